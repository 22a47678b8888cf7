//! Bodies that come from elsewhere, as streams: from hyper, or from another task.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::response::{BodyError, ByteStream};

/// The bytes of a body; it counts as cut off when nothing has come for longer than `patience`.
pub fn unstalled(body: impl Body<Data = Bytes> + Send + Unpin + 'static, patience: Duration) -> ByteStream {
    Box::pin(futures_util::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        loop {
            return match timeout(patience, body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Some((Ok(data), Some(body))),
                    Err(_trailers) => continue,
                },
                Ok(None) => None,
                Ok(Some(Err(_))) | Err(_) => Some((Err(BodyError::Cut), None)),
            };
        }
    }))
}

/// What another task sends, up to its end.
pub fn received<T>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> {
    futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
}
