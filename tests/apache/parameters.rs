use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::common::{Call, Cluster, Connection, Front, Options};

#[test]
fn webdfs_gets_the_target_as_it_was_written_and_the_authorization_and_no_forged_name() {
    let options = Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() };
    let cluster = Cluster::start(Front::ApacheProxy, options);
    cluster.kill_webdfs(0);
    let _ = fs::remove_file(cluster.socket(0));
    let in_its_place = UnixListener::bind(cluster.socket(0)).expect("a socket");
    fs::set_permissions(cluster.socket(0), fs::Permissions::from_mode(0o777)).expect("ours");
    let target = "/a%20b%2Fc//x/../%c3%a9%3f.jpg?q=1%202&z=a+b";
    let call = Call::new("GET", target)
        .header("Authorization", "Bearer token")
        .header("X_Under", "forged")
        .header("Proxy", "forged")
        .header("Content_Length", "forged");
    let mut client = Connection::open(cluster.address(0)).expect("Apache");
    client.begin(&call).expect("Apache reads");
    let (mut connection, _) = in_its_place.accept().expect("Apache connects");
    let (mut seen, mut buffer) = (Vec::new(), [0; 8192]);
    // The empty record that ends the body ends the request.
    while !seen.ends_with(&[1, 5, 0, 1, 0, 0, 0, 0]) {
        let length = connection.read(&mut buffer).expect("Apache writes");
        assert!(length > 0, "the request ends: {}", seen.escape_ascii());
        seen.extend(&buffer[..length]);
    }
    let seen = String::from_utf8_lossy(&seen).into_owned();
    for expected in [&format!("REQUEST_URI{target}"), "HTTP_AUTHORIZATIONBearer token", "REQUEST_METHODGET"] {
        assert!(seen.contains(expected), "{expected} in {}", seen.escape_debug());
    }
    for unexpected in ["forged", "REMOTE_USER", "KEEP_CONN"] {
        assert!(!seen.contains(unexpected), "{unexpected} in {}", seen.escape_debug());
    }
    // FCGI_BEGIN_REQUEST: the role is responder, and no flag says that the connection is kept.
    assert_eq!(&seen.as_bytes()[8..11], [0, 1, 0]);
    // As with xsendfile loaded: Apache says what it can do.
    assert!(seen.contains("WEBDFS_SENDFILE1"), "{}", seen.escape_debug());
}
