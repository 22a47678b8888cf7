//! The tracker of a MogileFS: which keys a domain has, and where their files are.
//!
//! A request is a line, `COMMAND name=value&...`, and so is its answer, `OK name=value&...` or `ERR code words`, with
//! values encoded as in HTML forms (<https://github.com/mogilefs/MogileFS-Server>, `lib/MogileFS/Worker/Query.pm`). A real
//! one was never at hand; the tests have one of their own.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::http::Trouble;
use super::list;
use super::source::{Found, Item, Origin};
use super::summary::Failed;
use super::upload::pause;
use crate::name::ObjectName;

/// An answer comes within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer, in bytes: 1,000 keys of 255 bytes, encoded.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Keys asked for at once; a tracker gives no more.
const KEYS_AT_ONCE: &str = "1000";
/// How often a question is asked again, each time of the next tracker.
const ATTEMPTS: u32 = 6;
/// Paths of one file that are tried.
const PATHS_MAX: usize = 8;

/// What a value is encoded as.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/').remove(b':').remove(b',');

/// The trackers of a domain.
#[derive(Clone, Debug)]
pub struct Tracker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    addresses: Vec<String>,
    domain: String,
    /// Connections that nobody uses.
    idle: Mutex<Vec<BufStream<TcpStream>>>,
}

/// Which keys are imported.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Those that begin so; all, if it is empty.
    Prefix(String),
    /// Those that a file lists, one a line, as they are.
    File(PathBuf),
}

/// The values of an answer.
type Values = HashMap<Vec<u8>, Vec<u8>>;

/// What a tracker answers to a question that it understood.
enum Answer {
    Values(Values),
    /// The code of an error.
    Refused(String),
}

impl Tracker {
    /// Trackers by `HOST:PORT`, at least one.
    pub fn new(addresses: Vec<String>, domain: String) -> Self {
        Self(Arc::new(Inner { addresses, domain, idle: Mutex::default() }))
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// Names every key to `found`, until that has enough.
    pub(super) async fn name(&self, keys: Keys, found: &Sender<Found>) {
        let end = match keys {
            Keys::Prefix(prefix) => self.list(&prefix, found).await,
            Keys::File(file) => {
                let found = found.clone();
                let read =
                    move || list::read_file_as(named, &file, &mut |one| found.blocking_send(one).is_ok());
                tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())
            }
        };
        if let Err(why) = end {
            let _ = found.send(Err(Failed::new(format!("domain {}", self.0.domain), why))).await;
        }
    }

    async fn list(&self, prefix: &str, found: &Sender<Found>) -> Result<(), String> {
        let mut after = Vec::new();
        loop {
            let arguments =
                [("prefix", prefix.as_bytes()), ("after", &after), ("limit", KEYS_AT_ONCE.as_bytes())];
            let values = match self.ask("list_keys", &arguments).await.map_err(|trouble| trouble.why)? {
                Answer::Refused(code) if code == "none_match" => return Ok(()),
                Answer::Refused(code) => return Err(format!("the tracker refuses list_keys: {code}")),
                Answer::Values(values) => values,
            };
            let count =
                values.get(&b"key_count"[..]).and_then(|count| std::str::from_utf8(count).ok()?.parse().ok());
            let count: usize = count.ok_or("the tracker's answer to list_keys has no key_count")?;
            for number in 1..=count {
                let Some(key) = values.get(format!("key_{number}").as_bytes()) else {
                    return Err(format!(
                        "the tracker says {count} keys and names {}: its answer is cut off",
                        number - 1
                    ));
                };
                if found
                    .send(named(key).map_err(|why| Failed::new(format!("key {}", key.escape_ascii()), why)))
                    .await
                    .is_err()
                {
                    return Ok(());
                }
            }
            let next = values.get(&b"next_after"[..]).cloned().unwrap_or_default();
            if count == 0 || next.is_empty() {
                return Ok(());
            }
            if next <= after {
                return Err("the tracker names the same keys again and again".to_owned());
            }
            after = next;
        }
    }

    /// Where the file of a key is, in the order in which to try.
    pub(super) async fn paths(&self, key: &[u8]) -> Result<Vec<String>, Trouble> {
        let values = match self.ask("get_paths", &[("key", key), ("noverify", b"1")]).await? {
            Answer::Refused(code) => {
                return Err(Trouble::lasting(format!("the tracker refuses get_paths: {code}")));
            }
            Answer::Values(values) => values,
        };
        let path = |number: usize| values.get(format!("path{number}").as_bytes()).cloned();
        let paths = (1..=PATHS_MAX).map_while(path).filter_map(|path| String::from_utf8(path).ok());
        let paths: Vec<String> = paths.collect();
        if paths.is_empty() {
            return Err(Trouble::lasting(
                "the tracker knows no place of it: all its devices are down or it was never stored",
            ));
        }
        Ok(paths)
    }

    /// Asks one tracker after the other.
    async fn ask(&self, command: &str, arguments: &[(&str, &[u8])]) -> Result<Answer, Trouble> {
        let mut line = format!("{command} domain={}", percent_encode(self.0.domain.as_bytes(), ENCODED));
        for (name, value) in arguments {
            line += &format!("&{name}={}", percent_encode(value, ENCODED));
        }
        line += "\r\n";
        let mut attempt = 0;
        loop {
            let address = &self.0.addresses[attempt as usize % self.0.addresses.len()];
            let error = match timeout(PATIENCE, self.ask_once(address, &line)).await {
                Ok(Ok(answer)) => return parse(&answer).map_err(Trouble::lasting),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if attempt + 1 == ATTEMPTS {
                return Err(Trouble::lasting(format!("the tracker {address} does not answer: {error}")));
            }
            sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn ask_once(&self, address: &str, line: &str) -> io::Result<Vec<u8>> {
        let idle = self.0.idle.lock().expect("no one panics while holding it").pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => BufStream::new(TcpStream::connect(address).await?),
        };
        connection.write_all(line.as_bytes()).await?;
        connection.flush().await?;
        let mut answer = Vec::new();
        (&mut connection).take(ANSWER_BYTES_MAX).read_until(b'\n', &mut answer).await?;
        if answer.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.idle.lock().expect("no one panics while holding it").push(connection);
        Ok(answer)
    }
}

/// The file of a key: a key may begin with a slash or not, and the file's name is the same.
fn named(key: &[u8]) -> Result<Item, String> {
    let name = ObjectName::from_bytes(key.strip_prefix(b"/").unwrap_or(key));
    Ok(Item { name: name.map_err(|error| error.to_string())?, origin: Origin::Key(key.to_vec()) })
}

fn parse(line: &[u8]) -> Result<Answer, String> {
    let line = line.trim_ascii();
    let (word, rest) = match line.iter().position(|byte| *byte == b' ') {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &line[line.len()..]),
    };
    match word {
        b"OK" => Ok(Answer::Values(rest.split(|byte| *byte == b'&').filter_map(pair).collect())),
        b"ERR" => {
            let code = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
            Ok(Answer::Refused(code.escape_ascii().to_string()))
        }
        _ => {
            let begin = &line[..line.len().min(80)];
            Err(format!(
                "{:?} is no answer of a tracker; is there another program?",
                begin.escape_ascii().to_string()
            ))
        }
    }
}

fn pair(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let decoded = |text: &[u8]| {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaced).collect()
    };
    Some((decoded(&text[..equals]), decoded(&text[equals + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_decoded_and_anything_else_is_named() {
        let Ok(Answer::Values(values)) = parse(b"OK key_count=2&key_1=a+b%2Bc&key_2=%ff&x&=\r") else {
            panic!()
        };
        assert_eq!(values[&b"key_1"[..]], b"a b+c");
        assert_eq!(values[&b"key_2"[..]], b"\xff");
        assert!(
            matches!(parse(b"ERR none_match No+keys"), Ok(Answer::Refused(code)) if code == "none_match")
        );
        assert!(matches!(parse(b"OK"), Ok(Answer::Values(values)) if values.is_empty()));
        for strange in [&b"HTTP/1.1 400 Bad Request"[..], b"", b"\xff\xfe", b"OKAY a=1"] {
            assert!(parse(strange).is_err_and(|why| why.contains("no answer of a tracker")));
        }
    }
}
