use std::fs;

use super::scene::{assert_bare, put, revoke, token, with_token};
use crate::common::{Call, Cluster, Front, Options, assert_missing, assert_stored, wait_until};
use crate::on_both_fronts;

on_both_fronts!(
    a_token_lets_in_for_what_it_is_for_and_no_further,
    a_change_of_the_file_is_noticed_and_a_wrong_one_changes_nothing,
);

fn nobody() -> Options {
    Options { allow: "[]", ..Options::default() }
}

fn a_token_lets_in_for_what_it_is_for_and_no_further(front: Front) {
    let cluster = Cluster::start(front, nobody());
    let all = token(&cluster, &["--name", "all", "--methods", "PUT,DELETE"]);
    let up = token(&cluster, &["--name", "up", "--prefix", "/up/", "--expires", "1h"]);
    let over = token(&cluster, &["--name", "over", "--expires", "2001-09-09T01:46:40Z"]);
    wait_until("the last token is known", || {
        assert_bare(&cluster.send(0, &with_token(put("/no.jpg", "x"), &over)));
        cluster.log(0).contains("token over has expired")
    });
    let send = |call: Call, token: &str| cluster.send(0, &with_token(call, token));
    send(put("/a.jpg", "a"), &all).expect(201);
    send(put("/up/a.jpg", "a"), &up).expect(201);
    send(Call::form("/up/form/", &[("name=\"f\"; filename=\"one.jpg\"", b"1")]), &up).expect(201);
    assert_stored(&cluster, "/up/form/one.jpg", b"1");
    let copy = |from: &str, to: &str| Call::new("COPY", from).header("Destination", to);
    let moved = |from: &str, to: &str| Call::new("MOVE", from).header("Destination", to);
    send(copy("/a.jpg", "/up/copy.jpg"), &up).expect(201);
    send(moved("/up/copy.jpg", "/moved.jpg"), &all).expect(201);
    send(Call::new("DELETE", "/moved.jpg"), &all).expect(204);
    // Everybody may read, whatever he shows.
    send(Call::new("GET", "/a.jpg"), "wdfs_wrong").expect(200);
    let flipped = format!("{}{}", &all[..all.len() - 1], if all.ends_with('0') { '1' } else { '0' });
    let refused = [
        (put("/no.jpg", "x"), up.as_str(), "token up: its prefix does not cover this path"),
        (put("/upper.jpg", "x"), &up, "PUT /upper.jpg"),
        (put("/up/../no.jpg", "x"), &up, "PUT /no.jpg"),
        (Call::new("DELETE", "/up/a.jpg"), &up, "token up: its methods do not include this"),
        (Call::form("/no/", &[("name=\"f\"; filename=\"one.jpg\"", b"1")]), &up, "POST /no/"),
        (copy("/a.jpg", "/no.jpg"), &up, "COPY /no.jpg"),
        (moved("/a.jpg", "/up/no.jpg"), &up, "MOVE /a.jpg"),
        (moved("/up/a.jpg", "/no.jpg"), &up, "MOVE /up/a.jpg"),
        (put("/no.jpg", "x"), &over, "token over has expired"),
        (put("/no.jpg", "x"), &flipped, "its token is none of those in tokens.toml"),
        (put("/no.jpg", "x"), "wdfs_", "its token is none of those in tokens.toml"),
    ];
    for (call, token, says) in refused {
        assert_bare(&send(call.clone(), token));
        assert!(cluster.log(0).contains(says), "{call:?}: {says}");
    }
    assert_bare(&cluster.send(0, &put("/no.jpg", "x")));
    assert_bare(&cluster.send(0, &put("/no.jpg", "x").header("Authorization", "Basic d2Rmc186eA==")));
    assert_missing(&cluster, "/no.jpg");
    assert_stored(&cluster, "/up/a.jpg", b"a");
    assert!(cluster.log(0).contains("PUT /a.jpg is allowed by token all"));
    for node in cluster.present() {
        let log = cluster.log(node);
        for secret in [&all, &up, &over] {
            assert!(!log.contains(secret.as_str()), "a token is in the log of node {node}");
        }
    }
}

fn a_change_of_the_file_is_noticed_and_a_wrong_one_changes_nothing(front: Front) {
    let cluster = Cluster::start(front, nobody());
    let ann = token(&cluster, &["--name", "ann"]);
    let bob = token(&cluster, &["--name", "bob"]);
    let status = |token: &str| cluster.send(0, &with_token(put("/a.jpg", "a"), token)).status;
    wait_until("new tokens are known", || status(&bob) < 300);
    assert_eq!(status(&ann), 204);
    revoke(&cluster, "ann");
    wait_until("the token is revoked", || status(&ann) == 403);
    assert_eq!(status(&bob), 204);
    let file = cluster.config(0).with_file_name("tokens.toml");
    let good = fs::read_to_string(&file).unwrap();
    let wrong = good.replace("methods = [\"PUT\"]", "methods = [\"POST\"]");
    fs::write(&file, format!("# by hand\n{wrong}")).unwrap();
    wait_until("the mistake is told", || {
        assert_eq!(status(&bob), 204, "the old tokens stay");
        cluster.log(0).contains("[[token]] bob: methods = \"POST\": use any of GET, PUT")
    });
    // Nor does a node start, or read its settings again, with it.
    cluster.with_webdfs(0, |webdfs| webdfs.signal(rustix::process::Signal::HUP));
    wait_until("the old settings stay", || cluster.log(0).contains("the old configuration stays"));
    assert_eq!(status(&bob), 204);
    fs::remove_file(&file).unwrap();
    wait_until("without the file there are no tokens", || status(&bob) == 403);
}
