//! A plain HTTP client, to store the objects and to compare answers before anything is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Result;
use crate::objects::{Objects, bytes_of};

/// Connections that store objects at the same time.
const STORING: usize = 8;

/// One connection, kept for several requests.
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    pub fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned() })
    }

    /// Sends one request and reads the answer: its status and its body.
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        self.stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("{}: no status: {line:?}", self.address))?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "transfer-encoding" => return Err(format!("{}{path}: no length", self.address).into()),
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}

/// The status with which `path` is answered.
pub fn status(address: &str, path: &str) -> Result<u16> {
    Ok(Connection::open(address)?.ask("GET", path, b"")?.0)
}

/// Stores every object, each with the status of a new one.
pub fn store(address: &str, objects: &Objects) -> Result<()> {
    let some = objects.paths.len().div_ceil(STORING);
    std::thread::scope(|scope| {
        let stores = objects.paths.chunks(some).map(|paths| {
            scope.spawn(move || {
                let mut connection = Connection::open(address)?;
                for path in paths {
                    expect(
                        connection.ask("PUT", path, &bytes_of(path, objects.size))?.0,
                        201,
                        address,
                        path,
                    )?;
                }
                Ok(())
            })
        });
        let stores: Vec<_> = stores.collect();
        stores.into_iter().try_for_each(|store| store.join().expect("storing does not panic"))
    })
}

/// Compares some of the objects with what is served at `address`.
pub fn compare(address: &str, objects: &Objects) -> Result<()> {
    let mut connection = Connection::open(address)?;
    for path in objects.samples() {
        let (status, body) = connection.ask("GET", path, b"")?;
        expect(status, 200, address, path)?;
        if body != bytes_of(path, objects.size) {
            return Err(format!("{address}{path}: other bytes than were stored").into());
        }
    }
    Ok(())
}

/// Compares a status with the one expected.
pub fn expect(status: u16, expected: u16, address: &str, path: &str) -> Result<()> {
    if status == expected {
        return Ok(());
    }
    Err(format!("{address}{path}: status {status}, not {expected}").into())
}
