use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use sha2::{Digest, Sha256};

use super::server::Server;
use super::{Said, finish};

/// Imports a folder of one file to a server that answers its PUTs so, one after the other, and then with 201. What it was
/// asked, and what the import says.
fn answered(answers: &'static [&'static str]) -> (Vec<String>, Said) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let server = Server::start_with(move |head| {
        let mut seen = seen.lock().unwrap();
        let puts = seen.iter().filter(|head: &&String| head.starts_with("PUT")).count();
        seen.push(head.to_owned());
        let status = match head.starts_with("PUT") {
            true => answers.get(puts).copied().unwrap_or("201 Created"),
            false => "404 Not Found",
        };
        // Nothing: the connection is closed.
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        if status.is_empty() { Vec::new() } else { answer.into_bytes() }
    });
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("a b.jpg"), "bytes").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.arg("import").arg(source.path()).args([
        "--json",
        "--prefix",
        "/p/",
        "--to",
        &server.url("/below/"),
    ]);
    let said = finish(&mut command);
    let heads = heads.lock().unwrap().clone();
    (heads, said)
}

#[test]
fn an_upload_has_its_length_its_digest_and_no_leave_to_replace_anything() {
    let (heads, said) = answered(&[]);
    assert_eq!((said.counts(), heads.len()), ([1, 0, 0, 0], 1));
    let head = heads[0].to_ascii_lowercase();
    for line in
        ["put /below/p/a%20b.jpg http/1.1", "content-length: 5", "if-none-match: *", "repr-digest: sha-256=:"]
    {
        assert!(head.contains(line), "{line}\n{head}");
    }
    let sent = heads[0].split("sha-256=:").nth(1).unwrap().split(':').next().unwrap();
    let sent = base64::engine::general_purpose::STANDARD.decode(sent).unwrap();
    assert_eq!(sent, Sha256::digest("bytes").as_slice());
}

#[test]
fn what_may_pass_is_tried_again_after_a_look_at_what_is_there() {
    const PASSING: [&str; 7] =
        ["503 Busy", "507 Full", "504 Unknown", "502 Bad Gateway", "", "408 Slow", "429 Many"];
    let (heads, said) = answered(&PASSING);
    assert_eq!(said.counts(), [1, 0, 0, 0], "{said:?}");
    let methods: Vec<&str> = heads.iter().map(|head| head.split(' ').next().unwrap()).collect();
    assert_eq!(methods[0], "PUT");
    assert_eq!(methods[1..], ["HEAD", "PUT"].repeat(PASSING.len()));
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for answer in
        [&["403 Forbidden"][..], &["400 Bad Request"], &["405 Method Not Allowed"], &["413 Too Large"]]
    {
        let (heads, said) = answered(answer);
        assert_eq!((said.counts(), heads.len()), ([0, 0, 0, 1], 1), "{answer:?}");
        said.assert_failed("/a b.jpg", &answer[0][..3]);
    }
}
