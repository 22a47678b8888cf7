use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use super::finish;
use super::options;
use super::server::{Server, whole};
use crate::common::{Cluster, Front, assert_missing, assert_stored};

/// A tracker that the test plays: what it answers to a line.
fn tracker(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answer = std::sync::Arc::clone(&answer);
            std::thread::spawn(move || talk(connection, &*answer));
        }
    });
    address
}

fn talk(mut connection: TcpStream, answer: &impl Fn(&str) -> String) {
    let lines = BufReader::new(connection.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if connection.write_all(answer(line.trim_end()).as_bytes()).is_err() {
            return;
        }
    }
}

fn mogilefs(cluster: &Cluster, trackers: &[SocketAddr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["import", "mogilefs", "--domain", "img:site", "--json", "--retries", "1"]);
    trackers.iter().for_each(|tracker| _ = command.arg("--tracker").arg(tracker.to_string()));
    command.arg("--to").arg(format!("http://{}", cluster.address(0)));
    command
}

/// Devices that give every file the name of its path; device 1 is down.
fn devices() -> Server {
    Server::start(|path| match path {
        path if path.starts_with("/dev1/") => {
            b"HTTP/1.1 500 Dead\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
        path if path.ends_with("cut.fid") => whole(path.as_bytes())[..70].to_vec(),
        path => whole(path.as_bytes()),
    })
}

/// Answers to `get_paths`, with what the device serves at `url`.
fn paths(line: &str, url: &str) -> String {
    let encoded = |url: String| url.replace(':', "%3A").replace('/', "%2F");
    let two = |name: &str| {
        let (dead, good) = (format!("{url}/dev1/{name}"), format!("{url}/dev2/{name}"));
        format!("OK paths=2&path1={}&path2={}\r\n", encoded(dead), encoded(good))
    };
    let key = line.split('&').find_map(|pair| pair.strip_prefix("key=")).expect("a key");
    match key {
        "a/cat.jpg" => two("1.fid"),
        "with+space%2B%26.jpg" | "with%20space%2B%26.jpg" => two("2.fid"),
        "/slash" => two("3.fid"),
        "cut" => two("cut.fid"),
        "gone" => "ERR unknown_key unknown+key\r\n".to_owned(),
        "nowhere" => "OK paths=0\r\n".to_owned(),
        other => panic!("{other} was never named"),
    }
}

#[test]
fn all_files_of_a_domain_come_and_what_cannot_be_had_is_told() {
    let cluster = Cluster::start(Front::Embedded, options());
    let devices = devices();
    let url = devices.url("");
    let keys = tracker(move |line| {
        if line.starts_with("get_paths domain=img:site&") {
            return paths(line, &url);
        }
        let after = line.split('&').find_map(|pair| pair.strip_prefix("after=")).expect(line);
        assert!(line.starts_with("list_keys domain=img:site&prefix=&"), "{line}");
        match after {
            "" => "OK key_count=3&next_after=cut&key_1=%2Fslash&key_2=a%2Fcat.jpg&key_3=cut\r\n".to_owned(),
            "cut" => "OK key_count=2&next_after=no%2F%2Fname&key_1=gone&key_2=no%2F%2Fname\r\n".to_owned(),
            "no//name" => {
                "OK next_after=with+space%2B%26.jpg&key_2=with+space%2B%26.jpg&key_1=nowhere&key_count=2\r\n"
                    .to_owned()
            }
            _ => "ERR none_match No+keys+match\r\n".to_owned(),
        }
    });
    // The first does not exist.
    let said = finish(&mut mogilefs(&cluster, &[SocketAddr::from(([127, 0, 0, 1], 9)), keys]));
    assert_eq!(said.counts(), [3, 0, 0, 4], "{said:#?}");
    assert_stored(&cluster, "/a/cat.jpg", b"/dev2/1.fid");
    assert_stored(&cluster, "/with%20space%2B%26.jpg", b"/dev2/2.fid");
    assert_stored(&cluster, "/slash", b"/dev2/3.fid");
    said.assert_failed("/cut", "cut off");
    said.assert_failed("/gone", "unknown_key");
    said.assert_failed("/nowhere", "knows no place");
    said.assert_failed("key no//name", "empty segment");
    assert_missing(&cluster, "/cut");

    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    fs::write(&list, "a/cat.jpg\ngone\na/ca").unwrap();
    let said = finish(mogilefs(&cluster, &[keys]).arg("--keys").arg(&list));
    assert_eq!(said.counts(), [0, 1, 0, 2], "{said:#?}");
    said.assert_failed("keys:3", "may be cut off");
}

#[test]
fn a_tracker_that_is_wrong_ends_the_list_with_an_error() {
    let cluster = Cluster::start(Front::Embedded, options());
    let wrong = [
        ("HTTP/1.1 400 Bad Request\r\n", "is no answer of a tracker"),
        ("OK key_count=2&next_after=b&key_1=%2F%2F\r\n", "says 2 keys and names 1"),
        ("OK\r\n", "no key_count"),
        ("ERR domain_not_found Domain+not+found\r\n", "domain_not_found"),
        ("OK key_count=0\r\n", ""),
        ("OK key_count=1&next_after=a&key_1=%2F%2F\r\n", "again and again"),
    ];
    for (answer, expected) in wrong {
        let said = finish(&mut mogilefs(&cluster, &[tracker(move |_| answer.to_owned())]));
        match expected {
            "" => assert_eq!(said.counts(), [0; 4]),
            expected => said.assert_failed("domain img:site", expected),
        }
    }
}
