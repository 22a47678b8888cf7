use std::os::unix::net::UnixStream;

use crate::common::fcgi::Client;
use crate::common::{Cluster, Front, Options, PATIENCE};

const USERS: &str = "[access]\nprivate = [\"/members/\"]\nusers = [\n\
                     { name = \"ann\", prefix = \"/members/\", methods = [\"GET\", \"DELETE\"] },\n\
                     { name = \"bob\", methods = [\"DELETE\"] },\n]";

#[test]
fn a_user_of_the_web_server_may_do_what_the_list_says() {
    let options = Options { write: USERS, allow: "[\"127.0.0.0/8\"]", ..Options::default() };
    let cluster = Cluster::start(Front::Nginx, options);
    cluster.put(0, "/members/a.jpg", "a").expect(201);
    cluster.put(0, "/a.jpg", "a").expect(201);
    let status = |method: &str, target: &str, user: &str, more: &[(&str, &str)]| {
        let stream = UnixStream::connect(cluster.socket(0)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let params = [("REQUEST_METHOD", method), ("REQUEST_URI", target), ("REMOTE_ADDR", "192.0.2.1")];
        let params = [&params[..], &[("REMOTE_USER", user)], more].concat();
        Client::new(stream).get(&params).status()
    };
    assert_eq!(status("GET", "/members/a.jpg", "ann", &[]), 200);
    assert_eq!(status("HEAD", "/members/a.jpg", "ann", &[]), 200);
    for (method, target, user) in [
        ("GET", "/members/a.jpg", "bob"),
        ("GET", "/members/a.jpg", "eve"),
        ("GET", "/members/a.jpg", "Ann"),
        ("GET", "/members/a.jpg", ""),
        ("DELETE", "/a.jpg", "ann"),
        ("DELETE", "/a.jpg", "eve\n"),
        ("PUT", "/members/b.jpg", "ann"),
    ] {
        assert_eq!(status(method, target, user, &[]), 403, "{method} {target} {user:?}");
    }
    // A browser sends the password along, whichever page makes it ask.
    let page = [("HTTP_SEC_FETCH_SITE", "cross-site")];
    assert_eq!(status("DELETE", "/a.jpg", "bob", &page), 403);
    // A header that says so is no user.
    assert_eq!(status("DELETE", "/a.jpg", "", &[("HTTP_REMOTE_USER", "bob")]), 403);
    assert_eq!(status("DELETE", "/a.jpg", "bob", &[]), 204);
    assert_eq!(status("DELETE", "/members/a.jpg", "ann", &[]), 204);
    assert!(cluster.log(0).contains("user ann: its prefix does not cover this path"));
    assert!(cluster.log(0).contains("DELETE /a.jpg is allowed by user bob"));
}
