//! What the demo does with its images and what it makes sure of: stored, on the right disks, read back unchanged.
//!
//! Each group of checks is counted in a [`Tally`]; nothing is printed here, and a failure does not stop the rest.

use std::fs;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use tokio::time::Instant;

use super::client::{Answer, Client};
use super::cluster::{Cluster, Node};
use super::images::{self, Image};
use super::locate::Owner;
use crate::chain::chain;

/// A write is acknowledged before the last copy is in place; how long that one may take.
const LAST_COPY_WITHIN: Duration = Duration::from_secs(10);
/// How often a copy that is not there yet is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many of a group of checks have passed, and what was wrong with the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many were made.
    pub total: usize,
    /// One line for each that failed.
    pub failures: Vec<String>,
}

impl Tally {
    /// Counts one check; an error says what was wrong.
    pub fn note(&mut self, outcome: Result<(), String>) {
        self.total += 1;
        self.failures.extend(outcome.err());
    }

    /// How many have passed.
    pub fn passed(&self) -> usize {
        self.total - self.failures.len()
    }
}

/// What reading everything back has shown.
#[derive(Clone, Debug, Default)]
pub struct ReadBack {
    /// Each image from each node: status, bytes and Content-Type.
    pub read: Tally,
    /// Each image: the same ETag and Last-Modified from every node.
    pub alike: Tally,
    /// Each image: decodes as what was drawn.
    pub decoded: Tally,
}

/// Puts each image through the next node in turn; `done` is called after each.
///
/// # Errors
/// Those of `done` alone.
pub async fn store(
    client: &Client,
    cluster: &Cluster,
    images: &[Image],
    mut done: impl FnMut() -> io::Result<()>,
) -> io::Result<Tally> {
    let mut tally = Tally::default();
    for (image, node) in images.iter().zip(cluster.nodes.iter().cycle()) {
        let url = format!("{}{}", node.url(), image.url_path());
        let outcome = match client.send(Method::PUT, &url, image.bytes.clone()).await {
            Ok(answer) if answer.status == StatusCode::CREATED => Ok(()),
            Ok(answer) => Err(format!("PUT {url}: {}", told(&answer))),
            Err(error) => Err(format!("PUT {}", chain(&error))),
        };
        tally.note(outcome);
        done()?;
    }
    Ok(tally)
}

/// Looks for each image on the disks: a plain file under its own name on each of its owners, and on no other node.
pub async fn copies_on_disk(cluster: &Cluster, images: &[Image], owners: &[Vec<Owner>]) -> Tally {
    let deadline = Instant::now() + LAST_COPY_WITHIN;
    let mut tally = Tally::default();
    for (image, owners) in images.iter().zip(owners) {
        for node in &cluster.nodes {
            if owners.iter().any(|owner| owner.node == node.name) {
                tally.note(wait_for_copy(node, image, deadline).await);
            } else if node.root().join(&image.path).exists() {
                tally
                    .note(Err(format!("{} is on {}, which is not one of its owners", image.path, node.name)));
            }
        }
    }
    tally
}

async fn wait_for_copy(node: &Node, image: &Image, deadline: Instant) -> Result<(), String> {
    let file = node.root().join(&image.path);
    loop {
        match fs::read(&file) {
            Ok(bytes) if bytes == image.bytes => return Ok(()),
            Ok(_) => return Err(format!("{} has other bytes than were stored", file.display())),
            Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => return Err(format!("{}: {error}", file.display())),
        }
    }
}

/// Gets each image from every node and compares.
///
/// The bytes are compared with what was drawn, from every node; the first that has them is decoded.
pub async fn read_back(client: &Client, cluster: &Cluster, images: &[Image]) -> ReadBack {
    let mut result = ReadBack::default();
    for image in images {
        let mut answers = Vec::new();
        for node in &cluster.nodes {
            let url = format!("{}{}", node.url(), image.url_path());
            match client.send(Method::GET, &url, Bytes::new()).await {
                Ok(answer) => {
                    result
                        .read
                        .note(as_stored(&answer, image).map_err(|wrong| format!("GET {url}: {wrong}")));
                    answers.push((node.name.as_str(), answer));
                }
                Err(error) => result.read.note(Err(format!("GET {}", chain(&error)))),
            }
        }
        result.alike.note(alike(image, &answers));
        let body = answers.first().map(|(_, answer)| answer.body.as_ref()).unwrap_or_default();
        result.decoded.note(images::check(image, body).map_err(|error| chain(&error)));
    }
    result
}

fn as_stored(answer: &Answer, image: &Image) -> Result<(), String> {
    if answer.status != StatusCode::OK {
        return Err(told(answer));
    }
    let media_type = answer.header(header::CONTENT_TYPE);
    if media_type != image.format.media_type() {
        return Err(format!("Content-Type is {media_type:?}, {} is right", image.format.media_type()));
    }
    if answer.body != image.bytes {
        return Err(format!(
            "{} bytes came back, others than the {} stored",
            answer.body.len(),
            image.bytes.len()
        ));
    }
    Ok(())
}

fn alike(image: &Image, answers: &[(&str, Answer)]) -> Result<(), String> {
    for name in [header::ETAG, header::LAST_MODIFIED] {
        let values: Vec<(&str, &str)> =
            answers.iter().map(|(node, answer)| (*node, answer.header(name.clone()))).collect();
        let Some((_, first)) = values.first() else { return Err(format!("{}: no answer", image.path)) };
        if first.is_empty() || values.iter().any(|(_, value)| value != first) {
            return Err(format!("{}: {}", image.path, differing(&name, &values)));
        }
    }
    Ok(())
}

fn differing(name: &HeaderName, values: &[(&str, &str)]) -> String {
    let each: Vec<String> = values.iter().map(|(node, value)| format!("{value:?} from {node}")).collect();
    format!("{name} is {}", each.join(", "))
}

/// The status of an answer, and the first line of its text.
fn told(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    match text.lines().next() {
        Some(line) if !line.starts_with('<') => format!("{}: {line}", answer.status),
        _ => answer.status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::super::images::Format;
    use super::*;

    fn image() -> Image {
        let bytes = Bytes::from_static(b"stored");
        Image { path: "a/b.png".to_owned(), format: Format::Png, width: 1, height: 1, bytes }
    }

    fn answer(status: u16, headers: &[(HeaderName, &'static str)], body: &'static str) -> Answer {
        let pairs = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter(pairs),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn an_image_has_come_back_only_with_its_type_and_its_bytes() {
        let png = [(header::CONTENT_TYPE, "image/png")];
        assert_eq!(as_stored(&answer(200, &png, "stored"), &image()), Ok(()));
        let wrong = [
            (answer(503, &png, "too few nodes\nmore"), "503 Service Unavailable: too few nodes"),
            (answer(502, &[], "<html>"), "502 Bad Gateway"),
            (answer(200, &[], "stored"), "Content-Type is \"\", image/png is right"),
            (answer(200, &png, "stolen"), "6 bytes came back, others than the 6 stored"),
        ];
        for (answer, words) in wrong {
            assert_eq!(as_stored(&answer, &image()).unwrap_err(), words);
        }
    }

    #[test]
    fn answers_are_alike_when_every_node_sends_the_same_validators() {
        let both = |etag| [(header::ETAG, etag), (header::LAST_MODIFIED, "Sun, 22 Nov 2026 14:00:00 GMT")];
        let from = |node, etag| (node, answer(200, &both(etag), "stored"));
        assert_eq!(alike(&image(), &[from("img1", "\"1\""), from("img2", "\"1\"")]), Ok(()));
        let differ = alike(&image(), &[from("img1", "\"1\""), from("img2", "\"2\"")]).unwrap_err();
        assert_eq!(differ, "a/b.png: etag is \"\\\"1\\\"\" from img1, \"\\\"2\\\"\" from img2");
        assert!(alike(&image(), &[("img1", answer(200, &[], "stored"))]).is_err(), "none is not alike");
        assert!(alike(&image(), &[]).is_err());
    }

    #[test]
    fn a_tally_counts_what_passed_and_keeps_what_was_wrong() {
        let mut tally = Tally::default();
        tally.note(Ok(()));
        tally.note(Err("broken".to_owned()));
        assert_eq!((tally.passed(), tally.total), (1, 2));
        assert_eq!(tally.failures, ["broken"]);
    }
}
