use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::server::{Server, whole};
use super::{finish, import, options};
use crate::common::{Cluster, Front, assert_missing, assert_stored, noise};

#[test]
fn a_list_brings_what_can_be_had_whole_and_names_the_rest() {
    let cluster = Cluster::start(Front::Embedded, options());
    let (photo, large) = (noise(1, 20_000), noise(2, 2_500_000));
    let bodies = (photo.clone(), large.clone());
    let server = Server::start(move |path| match path {
        "/img/photo%201.jpg?v=2" | "/x" => whole(&bodies.0),
        "/large" => whole(&bodies.1),
        "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        "/chunked-cut" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab".to_vec(),
        "/cut" => whole(&bodies.0)[..10_000].to_vec(),
        "/large-cut" => whole(&bodies.1)[..2_000_000].to_vec(),
        "/endless" => b"HTTP/1.0 200 OK\r\n\r\nabc".to_vec(),
        "/busy" => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!".to_vec(),
    });
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("local.jpg"), "local").unwrap();
    let local = dir.path().join("local.jpg");
    let url = |path: &str| server.url(path);
    let lines = [
        url("/img/photo%201.jpg?v=2"),
        format!("/named%20so.jpg\t{}", url("/x")),
        format!("/large.bin\t{}", url("/large")),
        format!("/chunked\t{}", url("/chunked")),
        format!("/from-here\t{}", local.display()),
        format!("/nowhere\t{}", dir.path().join("nowhere").display()),
        format!("/folder\t{}", dir.path().display()),
        url("/chunked-cut"),
        url("/cut"),
        url("/large-cut"),
        url("/endless"),
        url("/busy"),
        url("/gone"),
        "https://127.0.0.1/x".to_owned(),
        "/no-origin\t".to_owned(),
        format!("/{}\t{}", "x".repeat(1_025), local.display()),
        format!("/half\t{}", url("/x")),
    ];
    let list = dir.path().join("list");
    fs::write(&list, lines.join("\n")).unwrap();

    let said = finish(import(&cluster, &list).args(["--retries", "2"]));
    assert_eq!(said.counts(), [5, 0, 0, 12], "{said:#?}");
    assert_eq!(said.bytes, 20_000 + 20_000 + 2_500_000 + 3 + 5);
    assert_stored(&cluster, "/img/photo%201.jpg", &photo);
    assert_stored(&cluster, "/named%20so.jpg", &photo);
    assert_stored(&cluster, "/large.bin", &large);
    assert_stored(&cluster, "/chunked", b"abc");
    assert_stored(&cluster, "/from-here", b"local");
    said.assert_failed("/nowhere", "No such file");
    said.assert_failed("/folder", "is no file");
    said.assert_failed("/gone", "404: no!");
    said.assert_failed("/busy", "503");
    said.assert_failed("/endless", "nobody knows whether it is whole");
    said.assert_failed("list:14", "https: URLs are not fetched");
    said.assert_failed("list:15", "neither /name<TAB>ORIGIN");
    said.assert_failed("list:16", "1025 bytes");
    said.assert_failed("list:17", "may be cut off");
    for cut in ["/cut", "/chunked-cut", "/large-cut"] {
        said.assert_failed(cut, "cut off");
        assert_missing(&cluster, cut);
    }
    ["/half", "/endless", "/busy", "/gone"].iter().for_each(|target| assert_missing(&cluster, target));
}

#[test]
fn a_list_may_come_from_standard_input_or_a_pipe() {
    let cluster = Cluster::start(Front::Embedded, options());
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    for (number, source) in ["-", "/dev/stdin"].iter().enumerate() {
        let name = format!("a/{number}.jpg");
        fs::write(dir.path().join(&name), "relative").unwrap();
        let mut command = import(&cluster, source.as_ref());
        command.current_dir(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("./{name}\n").as_bytes()).unwrap();
        assert!(child.wait_with_output().unwrap().status.success());
        assert_stored(&cluster, &format!("/{name}"), b"relative");
    }
}
