//! A raw HTTP/1.1 client (RFC 9112) that shows exactly what came over the wire, and can send exactly what no decent
//! client would: broken requests, bodies that stall or stop. It blocks; a stalled answer is a failure after
//! [`PATIENCE`](super::PATIENCE).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    /// In the order they came, names as they were written.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// # Panics
    /// When there is none.
    pub fn etag(&self) -> &str {
        self.header("ETag").unwrap_or_else(|| panic!("no ETag in {self}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {}", self.status, self.reason)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        let shown = &self.body[..self.body.len().min(300)];
        write!(f, "\n{} bytes: {}", self.body.len(), shown.escape_ascii())
    }
}

/// A request to be made.
#[derive(Debug, Clone)]
pub struct Call {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    /// `target` is written as it stands.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None }
    }

    /// A form as a browser posts it: the parts' dispositions and bytes.
    pub fn form(target: &str, parts: &[(&str, &[u8])]) -> Self {
        Self::new("POST", target).header("Content-Type", FORM_TYPE).body(form_body(parts))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its headers so far.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A body with its Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it on a new connection.
    ///
    /// # Panics
    /// When no whole answer comes.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Answer {
        self.try_send(to).unwrap_or_else(|error| panic!("{} {} to {to}: {error}", self.method, self.target))
    }

    /// Sends it on a new connection.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        self.send_on(&mut Connection::open(to)?)
    }

    /// Sends it on a connection, which is left open.
    pub fn send_on(&self, connection: &mut Connection) -> io::Result<Answer> {
        connection.begin(self)?;
        connection.answer(&self.method)
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    /// The lines before the body.
    fn head(&self, host: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    to: SocketAddr,
}

impl Connection {
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), to })
    }

    /// Sends a request's head, and its body if it has one. An answer may come before all of a body has been taken;
    /// so a connection that takes no more is no error here.
    pub fn begin(&mut self, call: &Call) -> io::Result<()> {
        self.write(&call.head(self.to))?;
        match &call.body {
            Some(body) => self.write(body).or_else(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(()),
                _ => Err(error),
            }),
            None => Ok(()),
        }
    }

    /// Sends a request's head, and so much of its body; its Content-Length is that of the whole.
    pub fn begin_cut(&mut self, call: &Call, length: usize) -> io::Result<()> {
        self.write(&call.head(self.to))?;
        self.write(&call.body.as_deref().unwrap_or_default()[..length])
    }

    /// Sends anything.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends one chunk of a chunked body; an empty one ends it.
    pub fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
    }

    /// Says that nothing more will be sent.
    pub fn end_sending(&mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write)
    }

    /// Reads an answer to a request of this method, passing over interim ones.
    pub fn answer(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let mut answer = self.answer_head()?;
            if answer.status >= 200 {
                answer.body = self.body(method, &answer)?;
                return Ok(answer);
            }
        }
    }

    /// Reads the head of an answer, interim or not.
    pub fn answer_head(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let mut words = first.splitn(3, ' ');
        let (version, status) = (words.next(), words.next());
        let status = status.and_then(|status| status.parse().ok());
        let (Some("HTTP/1.1" | "HTTP/1.0"), Some(status)) = (version, status) else {
            return Err(broken(format!("not a status line: {first:?}")));
        };
        let reason = words.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Answer { status, reason, headers, body: Vec::new() });
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| broken(format!("not a header: {line:?}")))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads some of a body that has no encoding.
    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads until the other side closes.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// The body that belongs to a head that was just read (RFC 9112 section 6.3).
    pub fn body(&mut self, method: &str, head: &Answer) -> io::Result<Vec<u8>> {
        if method == "HEAD" || matches!(head.status, 204 | 304) {
            return Ok(Vec::new());
        }
        if head.header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.chunks();
        }
        match head.header("Content-Length") {
            Some(length) => {
                let length = length.parse().map_err(|_| broken(format!("Content-Length: {length}")))?;
                self.read_exactly(length)
            }
            None => self.read_to_end(),
        }
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            let line = self.line()?;
            let length =
                usize::from_str_radix(&line, 16).map_err(|_| broken(format!("a chunk of {line:?}")))?;
            whole.extend(self.read_exactly(length)?);
            if !self.line()?.is_empty() {
                return Err(broken("a chunk is longer than it says".to_owned()));
            }
            if length == 0 {
                return Ok(whole);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(broken(format!("a line without an end: {}", line.escape_ascii()))),
        }
    }
}

/// The Content-Type of what [`form_body`] makes.
pub const FORM_TYPE: &str = "multipart/form-data; boundary=limit";

/// A form (RFC 7578) of these parts: their dispositions and bytes.
pub fn form_body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, bytes) in parts {
        body.extend(format!("--limit\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--limit--\r\n");
    body
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
