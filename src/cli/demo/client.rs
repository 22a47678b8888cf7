//! The demo as a client of its nodes: a plain HTTP/1.1 request and its whole answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// No answer of the demo is larger; more is an error rather than memory.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a request may take, its answer included.
const DEADLINE: Duration = Duration::from_secs(30);

/// Sends requests; keeps connections open between them.
#[derive(Clone, Debug)]
pub struct Client {
    inner: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// A header as text; empty if it is absent or no text.
    pub fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Why there is no answer. Nobody can say whether the request was carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one.
    #[error("{url} is not a URL")]
    Url {
        /// The text.
        url: String,
        /// Why.
        source: http::Error,
    },
    /// Nobody listens there, or the connection was lost.
    #[error("{url} does not answer")]
    Connection {
        /// What was asked for.
        url: String,
        /// Why.
        source: hyper_util::client::legacy::Error,
    },
    /// The answer broke off, or is too large.
    #[error("the answer of {url} broke off")]
    Body {
        /// What was asked for.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer did not come in time.
    #[error("{url} did not answer within {} s", DEADLINE.as_secs())]
    Slow {
        /// What was asked for.
        url: String,
    },
}

impl Default for Client {
    fn default() -> Self {
        Self { inner: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http() }
    }
}

impl Client {
    /// Sends a request with this body and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub async fn send(&self, method: Method, url: &str, body: Bytes) -> Result<Answer, ClientError> {
        let slow = |_| ClientError::Slow { url: url.to_owned() };
        tokio::time::timeout(DEADLINE, self.exchange(method, url, body)).await.map_err(slow)?
    }

    async fn exchange(&self, method: Method, url: &str, body: Bytes) -> Result<Answer, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Full::new(body))
            .map_err(|source| ClientError::Url { url: url.to_owned(), source })?;
        let connection_error = |source| ClientError::Connection { url: url.to_owned(), source };
        let (head, body) = self.inner.request(request).await.map_err(connection_error)?.into_parts();
        let body_error = |source| ClientError::Body { url: url.to_owned(), source };
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(body_error)?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request with its method, path and body; returns where.
    async fn echo() -> String {
        async fn answer(request: Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            let text = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
            let response = http::Response::builder().status(203).header("ETag", "\"1-2\"");
            Ok(response.body(Full::new(text.into())).expect("a good response"))
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_request_arrives_as_it_was_written_and_its_answer_comes_back_whole() {
        let server = echo().await;
        let url = format!("{server}/a%20b/50%25+.png");
        let client = Client::default();
        for _ in 0..2 {
            let answer = client.send(Method::PUT, &url, "picture".into()).await.expect("an answer");
            assert_eq!(answer.status, 203);
            assert_eq!(answer.header(http::header::ETAG), "\"1-2\"");
            assert_eq!(answer.header(http::header::LAST_MODIFIED), "");
            assert_eq!(answer.body, "PUT /a%20b/50%25+.png picture");
        }
    }

    #[tokio::test]
    async fn nobody_there_and_no_url_are_told_apart() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let client = Client::default();
        let refused = client.send(Method::GET, &format!("http://{port}/"), Bytes::new()).await;
        assert!(matches!(refused, Err(ClientError::Connection { .. })), "{refused:?}");
        let no_url = client.send(Method::GET, "http://[", Bytes::new()).await;
        assert!(matches!(no_url, Err(ClientError::Url { .. })), "{no_url:?}");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        });
        let answer = Client::default().send(Method::GET, &format!("http://{address}/"), Bytes::new()).await;
        assert!(matches!(answer, Err(ClientError::Body { .. })), "{answer:?}");
    }
}
