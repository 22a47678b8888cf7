//! What is sent of a case, byte by byte.

use std::time::{Duration, SystemTime};

use super::case::Sending;
use super::judge::find;
use super::run::{Job, Known};
use crate::common::{Answer, Cluster, Connection};

impl Job<'_> {
    /// The value of a header.
    pub fn value(&self, text: &str, known: Option<&Known>) -> String {
        let text = self.fill(text);
        let Some(known) = known else { return text };
        let date = httpdate::parse_http_date(&known.modified).unwrap_or(SystemTime::UNIX_EPOCH);
        let day = Duration::from_secs(86_400);
        text.replace("{etag}", &known.etag)
            .replace("{date}", &known.modified)
            .replace("{date+1}", &httpdate::fmt_http_date(date + day))
            .replace("{date-1}", &httpdate::fmt_http_date(date.checked_sub(day).unwrap_or(date)))
    }

    /// The lines before the body.
    fn head(&self, cluster: &Cluster, known: Option<&Known>) -> Vec<u8> {
        let case = self.case;
        let host = cluster.address(self.node).to_string();
        let target =
            replace(&replace(&case.target, b"{host}", host.as_bytes()), b"{}", self.folder.as_bytes());
        let mut head = [case.method.as_bytes(), b" ", &target, b" HTTP/1.1\r\n"].concat();
        let mut line = |name: &str, value: &str| head.extend(format!("{name}: {value}\r\n").bytes());
        if case.host {
            line("Host", &host);
        }
        for (name, value) in &case.headers {
            line(name, &self.value(value, known).replace("{host}", &host));
        }
        match &case.body {
            Sending::None | Sending::Raw(_) => {}
            Sending::Length(body) => line("Content-Length", &body.len().to_string()),
            Sending::Continue(body) => {
                line("Content-Length", &body.len().to_string());
                line("Expect", "100-continue");
            }
            Sending::Asking(length) => {
                line("Content-Length", &length.to_string());
                line("Expect", "100-continue");
            }
            Sending::Cut { promised, .. } => line("Content-Length", &promised.to_string()),
            Sending::Chunked(..) | Sending::CutChunked(_) => line("Transfer-Encoding", "chunked"),
        }
        head.extend(b"\r\n");
        head
    }

    /// Sends the request. No answer is an answer too: the error says what came instead.
    pub fn send(&self, cluster: &Cluster, known: Option<&Known>) -> std::io::Result<Answer> {
        let mut connection = Connection::open(cluster.address(self.node))?;
        // At once with the head: who refuses that (Caddy) closes without reading on, and where a body arrives after that the
        // connection is reset and the answer lost.
        let mut first = self.head(cluster, known);
        if let Sending::Length(body) | Sending::Raw(body) = &self.case.body {
            first.extend(body);
        }
        // A server may answer and close before it has read everything.
        let _ = connection.write(&first);
        let _ = match &self.case.body {
            Sending::None | Sending::Length(_) | Sending::Raw(_) => Ok(()),
            Sending::Chunked(body, size) => {
                body.chunks(*size).chain([&[][..]]).try_for_each(|chunk| connection.chunk(chunk))
            }
            Sending::Continue(body) => {
                let mut head = connection.answer_head()?;
                if head.status != 100 {
                    head.body = connection.body(self.case.method, &head)?;
                    return Ok(head);
                }
                connection.write(body)
            }
            Sending::Asking(_) => {
                let mut head = connection.answer_head()?;
                if head.status >= 200 {
                    head.body = connection.body(self.case.method, &head)?;
                }
                return Ok(head);
            }
            Sending::Cut { sent, .. } => connection.write(sent).and_then(|()| connection.end_sending()),
            Sending::CutChunked(sent) => connection.chunk(sent).and_then(|()| connection.end_sending()),
        };
        connection.answer(self.case.method)
    }
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match find(text, from) {
        Some(at) => [&text[..at], to, &replace(&text[at + from.len()..], from, to)].concat(),
        None => text.to_vec(),
    }
}
