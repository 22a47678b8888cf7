//! Messages as lines of JSON on a connection. What comes from the other side is bounded, and never trusted to be JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest line, in bytes: a status names every node of the map.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// The next message; `None` at the end of the connection.
///
/// # Errors
/// When the connection breaks, a line is no such message, or has no end.
pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Sends a message.
///
/// # Errors
/// When the connection breaks.
pub async fn send<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Request;

    async fn received(bytes: &[u8]) -> io::Result<Option<Request>> {
        receive(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn a_message_comes_whole_or_not_at_all() {
        let mut sent = Vec::new();
        send(&mut sent, &Request::Status).await.unwrap();
        assert_eq!(received(&sent).await.unwrap(), Some(Request::Status));
        assert_eq!(received(b"").await.unwrap(), None);
        for end in 1..sent.len() {
            let error = received(&sent[..end]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut off after {end} bytes");
        }
        for strange in [&b"\n"[..], b"status\n", b"{}\n", b"{\"do\":7}\n", b"\xff\xfe\n", b"[[[[[[[[[[\n"] {
            assert_eq!(
                received(strange).await.unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "{strange:?}"
            );
        }
    }
}
