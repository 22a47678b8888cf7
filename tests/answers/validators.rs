//! ETag and Last-Modified are the same on every node and in every delivery, and those the front's kind of web server
//! gives the file: so lanes of one server cannot differ either, though each has a cluster of its own.

use std::os::unix::fs::MetadataExt;

use super::lane::Lane;
use crate::common::{Call, Cluster, noise};

/// What one state of an object must be sent with.
#[derive(Debug, PartialEq)]
struct Validators {
    etag: String,
    last_modified: String,
}

/// Stores objects of several sizes and asks for them everywhere, then overwrites them and asks again.
///
/// # Panics
/// When any answer has other validators than its file.
pub fn check(lane: &Lane) {
    let cluster = Cluster::start(lane.front, lane.options.clone());
    let sizes = [0, 1, 1000, 262_144, 262_145, 700_000];
    // One that has no path, so that only webdfs can send it.
    let long = format!("/validators/{}.jpg", "x".repeat(300));
    let mut wrong = Vec::new();
    let mut objects: Vec<(String, usize, Option<String>)> = sizes
        .into_iter()
        .enumerate()
        .flat_map(|(number, size)| {
            [format!("/validators/{number}.jpg"), format!("{long}{number}")].map(|path| (path, size, None))
        })
        .collect();
    for (round, status) in [(0, 201), (1, 204), (2, 204)] {
        let put = |(path, size, _): &(String, usize, _)| {
            cluster.put(round, path, noise(round as u64, *size)).expect(status)
        };
        let stored: Vec<_> = objects.iter().map(put).collect();
        lane.wait_until_rested();
        for ((path, size, earlier), put) in objects.iter_mut().zip(stored) {
            let found = validators(&cluster, path, *size, &put, &mut wrong);
            assert_ne!(Some(&found.etag), earlier.as_ref(), "{path}: an overwritten file keeps its ETag");
            *earlier = Some(found.etag);
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", lane.name, wrong.join("\n"));
}

/// What an object is sent with; wherever it is not, a line is added to `wrong`.
fn validators(
    cluster: &Cluster,
    path: &str,
    size: usize,
    put: &crate::common::Answer,
    wrong: &mut Vec<String>,
) -> Validators {
    let known = |answer: &crate::common::Answer| Validators {
        etag: answer.header("ETag").unwrap_or("none").to_owned(),
        last_modified: answer.header("Last-Modified").unwrap_or("none").to_owned(),
    };
    let right = match cluster.owners(path).into_iter().find(|node| cluster.has_file(*node, path)) {
        Some(owner) => of_file(cluster, owner, path),
        None => known(put),
    };
    // Apache sends no date of the future; a version may be ahead by two seconds.
    let told = Validators { etag: known(put).etag, last_modified: right.last_modified.clone() };
    if told != right || (known(put) != right && cluster.front.word() != "apache") {
        wrong.push(format!("PUT of {path}: {put}\nwhere {right:?} is right"));
    }
    for node in cluster.present() {
        for (way, address) in
            [("front", cluster.address(node)), ("embedded front", cluster.side_address(node))]
        {
            for (method, header, status) in [
                ("GET", None, 200),
                ("HEAD", None, 200),
                ("GET", Some(("If-None-Match", right.etag.clone())), 304),
                ("GET", Some(("Range", "bytes=0-0".to_owned())), 206),
            ] {
                if size == 0 && status == 206 {
                    continue;
                }
                let call = Call::new(method, path);
                let call = header.iter().fold(call, |call, (name, value)| call.header(name, value));
                let answer = call.send(address);
                let mut found = known(&answer);
                if status == 304 && found.last_modified == "none" {
                    // RFC 9110 section 15.4.5: the ETag is enough.
                    found.last_modified.clone_from(&right.last_modified);
                }
                if answer.status != status || found != right {
                    let way = format!("{method} {header:?} of {path} by the {way} of node {node}");
                    wrong.push(format!("{way}: {answer}\nwhere {status} and {right:?} is right"));
                }
            }
        }
    }
    right
}

/// By the documented form of each server's ETag, from the file itself.
fn of_file(cluster: &Cluster, node: usize, path: &str) -> Validators {
    let meta = std::fs::metadata(cluster.file(node, path)).expect("the file");
    let (size, seconds, nanos) = (meta.size(), meta.mtime() as u64, meta.mtime_nsec() as u64);
    let etag = match cluster.front.word() {
        "nginx" | "plain" => format!("\"{seconds:x}-{size:x}\""),
        "apache" => format!("\"{size:x}-{:x}\"", seconds * 1_000_000 + nanos / 1000),
        "lighttpd" => {
            // lighttpd 1.4.69, http_etag.c: Knuth's hash over size, seconds and nanoseconds.
            let bytes = [size, seconds, nanos].map(u64::to_le_bytes).concat();
            let hash =
                bytes.iter().fold(bytes.len() as u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
            format!("\"{hash}\"")
        }
        "caddy" | "caddy-2.6" => format!("\"{}{}\"", base36(seconds), base36(size)),
        other => panic!("whose ETag does {other} send?"),
    };
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    Validators { etag, last_modified: httpdate::fmt_http_date(modified) }
}

/// Caddy 2.6, fileserver: both numbers as strconv.FormatInt(_, 36) writes them.
fn base36(number: u64) -> String {
    let rest = if number >= 36 { base36(number / 36) } else { String::new() };
    rest + &char::from_digit((number % 36) as u32, 36).expect("a digit").to_string()
}
