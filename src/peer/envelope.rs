//! The envelope of a message between nodes: who speaks, to whom, under which map, and the signature.  Pure.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::sign::{Signed, Signer, digest, is_alive};
use crate::cluster::{Fingerprint, NodeName};
use crate::held::CopyInfo;
use crate::version::Version;

/// The sender's node name.
pub const FROM: HeaderName = HeaderName::from_static("webdfs-from");
/// The name of the node that is meant.
pub const TO: HeaderName = HeaderName::from_static("webdfs-to");
/// The sender's epoch.
pub const EPOCH: HeaderName = HeaderName::from_static("webdfs-epoch");
/// The fingerprint of the sender's map.
pub const MAP: HeaderName = HeaderName::from_static("webdfs-map");
/// When it was sent, in seconds since 1970.
pub const TIME: HeaderName = HeaderName::from_static("webdfs-time");
/// The version of the copy in an answer's body, or of a tombstone.
pub const VERSION: HeaderName = HeaderName::from_static("webdfs-version");
/// The checksum of the copy in an answer's body.
pub const CRC32: HeaderName = HeaderName::from_static("webdfs-crc32");
/// The size of the copy, all or part of which is in an answer's body.
pub const SIZE: HeaderName = HeaderName::from_static("webdfs-size");
/// Whether the sender's root is complete: `yes` or `no`.
pub const COMPLETE: HeaderName = HeaderName::from_static("webdfs-complete");
/// HMAC-SHA256 in hexadecimal.
pub const SIGNATURE: HeaderName = HeaderName::from_static("webdfs-signature");

/// Who speaks, to whom, and under which map: what every message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: NodeName,
    /// The receiver.
    pub to: NodeName,
    /// The sender's epoch; 0: it waits for a map.
    pub epoch: u64,
    /// The fingerprint of the sender's map.
    pub map: Fingerprint,
    /// When it was sent, in seconds since 1970 by the sender's clock.
    pub time: u64,
}

/// Why a message from another node is not heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not a message between nodes at all.
    #[error("no valid signature of this cluster")]
    Unsigned,
    /// It is meant for another node: two names reach one machine.
    #[error("this is node \"{own}\", not \"{meant}\": check the node's url in the map")]
    Misdirected {
        /// Who received it.
        own: NodeName,
        /// Who was meant.
        meant: NodeName,
    },
    /// It is older, or dated further ahead, than [`LIFETIME`](super::sign::LIFETIME).
    #[error("the message is dated {time}, it is {now} here: set the clocks of both nodes")]
    Expired {
        /// The message's time.
        time: u64,
        /// The receiver's time.
        now: u64,
    },
    /// The two nodes work by different maps.
    #[error("epoch {their_epoch} of map {their_map} meets epoch {own_epoch} of map {own_map}")]
    OtherMap {
        /// The sender's epoch.
        their_epoch: u64,
        /// The sender's fingerprint.
        their_map: Fingerprint,
        /// The receiver's epoch.
        own_epoch: u64,
        /// The receiver's fingerprint.
        own_map: Fingerprint,
    },
}

impl EnvelopeError {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            EnvelopeError::Unsigned | EnvelopeError::Expired { .. } => StatusCode::FORBIDDEN,
            EnvelopeError::Misdirected { .. } => StatusCode::MISDIRECTED_REQUEST,
            EnvelopeError::OtherMap { .. } => StatusCode::CONFLICT,
        }
    }
}

impl Envelope {
    /// The headers of a request, signed. `body` is the control body, `None` where a file follows.
    pub fn seal(&self, signer: &Signer, method: &Method, path: &str, body: Option<&[u8]>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(FROM, text(self.from.as_str()));
        headers.insert(TO, text(self.to.as_str()));
        headers.insert(EPOCH, text(&self.epoch.to_string()));
        headers.insert(MAP, text(&self.map.to_string()));
        headers.insert(TIME, HeaderValue::from(self.time));
        let signature = self.with_parts(method, path, body, |message| signer.sign(message));
        headers.insert(SIGNATURE, text(&signature));
        headers
    }

    /// The envelope of a request, if its signature holds.
    ///
    /// # Errors
    /// [`EnvelopeError::Unsigned`] whatever is missing or wrong: a stranger learns nothing.
    pub fn open(
        signer: &Signer,
        headers: &HeaderMap,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Self, EnvelopeError> {
        let envelope = Self::read(headers).ok_or(EnvelopeError::Unsigned)?;
        let signature = headers.get(SIGNATURE).ok_or(EnvelopeError::Unsigned)?;
        let holds =
            envelope.with_parts(method, path, body, |message| signer.verifies(message, signature.as_bytes()));
        if holds { Ok(envelope) } else { Err(EnvelopeError::Unsigned) }
    }

    /// Whether a genuine message is for this node and alive.
    ///
    /// # Errors
    /// Says which of these it is not.
    pub fn check(&self, own: &NodeName, now: u64) -> Result<(), EnvelopeError> {
        if self.to != *own {
            return Err(EnvelopeError::Misdirected { own: own.clone(), meant: self.to.clone() });
        }
        if !is_alive(self.time, now) {
            return Err(EnvelopeError::Expired { time: self.time, now });
        }
        Ok(())
    }

    /// Whether the sender works by the map of this epoch and fingerprint.
    ///
    /// # Errors
    /// Says by which it works.
    pub fn check_map(&self, epoch: u64, map: Fingerprint) -> Result<(), EnvelopeError> {
        if (self.epoch, self.map) != (epoch, map) {
            return Err(EnvelopeError::OtherMap {
                their_epoch: self.epoch,
                their_map: self.map,
                own_epoch: epoch,
                own_map: map,
            });
        }
        Ok(())
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        fn parsed<T: std::str::FromStr>(headers: &HeaderMap, name: HeaderName) -> Option<T> {
            headers.get(name)?.to_str().ok()?.parse().ok()
        }
        Some(Self {
            from: parsed(headers, FROM)?,
            to: parsed(headers, TO)?,
            epoch: parsed(headers, EPOCH)?,
            map: parsed(headers, MAP)?,
            time: parsed(headers, TIME)?,
        })
    }

    fn with_parts<T>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        use_message: impl FnOnce(Signed<'_>) -> T,
    ) -> T {
        let (epoch, map, time) = (self.epoch.to_string(), self.map.to_string(), self.time.to_string());
        let digest = body.map(digest);
        let parts: [&[u8]; 8] = [
            method.as_str().as_bytes(),
            path.as_bytes(),
            self.from.as_str().as_bytes(),
            self.to.as_str().as_bytes(),
            epoch.as_bytes(),
            map.as_bytes(),
            time.as_bytes(),
            digest.as_ref().map_or(b"file", |digest| digest),
        ];
        use_message(Signed { kind: "request", parts: &parts })
    }
}

/// The headers of an answer that decide what it means, and so are signed.
const ANSWER_HEADERS: [HeaderName; ANSWER_HEADER_COUNT] =
    [COMPLETE, VERSION, CRC32, SIZE, http::header::CONTENT_LENGTH];
const ANSWER_HEADER_COUNT: usize = 5;

/// The copy of which an answer's body is all or a part, as the headers describe it; `None` if they do not say enough.
pub fn copy_in(headers: &HeaderMap) -> Option<CopyInfo> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    Some(CopyInfo {
        version: version_in(headers)?,
        size: text(SIZE)?.parse().ok()?,
        crc32: text(CRC32).and_then(|text| u32::from_str_radix(text, 16).ok()),
    })
}

/// The version that an answer's headers name: of the copy, or where there is none of the tombstone.
pub fn version_in(headers: &HeaderMap) -> Option<Version> {
    headers.get(VERSION)?.to_str().ok()?.parse().ok()
}

/// Signs an answer. `body` is the control body, `None` where a file follows.
pub fn seal_answer(
    signer: &Signer,
    request_signature: &[u8],
    status: StatusCode,
    headers: &mut HeaderMap,
    body: Option<&[u8]>,
) {
    let signature =
        with_answer_parts(request_signature, status, headers, body, |message| signer.sign(message));
    headers.insert(SIGNATURE, text(&signature));
}

/// Whether an answer is genuine and belongs to the request of this signature.
pub fn answer_is_genuine(
    signer: &Signer,
    request_signature: &[u8],
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> bool {
    headers.get(SIGNATURE).is_some_and(|signature| {
        with_answer_parts(request_signature, status, headers, body, |message| {
            signer.verifies(message, signature.as_bytes())
        })
    })
}

fn with_answer_parts<T>(
    request_signature: &[u8],
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&[u8]>,
    use_message: impl FnOnce(Signed<'_>) -> T,
) -> T {
    let digest = body.map(digest);
    let status = status.as_u16().to_string();
    let mut parts: [&[u8]; 3 + ANSWER_HEADER_COUNT] = [b""; 3 + ANSWER_HEADER_COUNT];
    parts[0] = request_signature;
    parts[1] = status.as_bytes();
    parts[2] = digest.as_ref().map_or(b"file", |digest| digest);
    for (part, name) in parts[3..].iter_mut().zip(&ANSWER_HEADERS) {
        // A control body is covered by its digest; its length may be written by whatever stands between.
        if body.is_none() || *name != http::header::CONTENT_LENGTH {
            *part = headers.get(name).map_or(b"", |value| value.as_bytes());
        }
    }
    use_message(Signed { kind: "answer", parts: &parts })
}

/// A header value from text that has no control characters by construction.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("names, numbers and hexadecimal digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secrets;

    fn signer() -> Signer {
        Signer::new(&Secrets::parse(b"the secret of the cluster").unwrap())
    }

    fn envelope() -> Envelope {
        Envelope {
            from: "img1".parse().unwrap(),
            to: "img2".parse().unwrap(),
            epoch: 3,
            map: "00112233445566778899aabbccddeeff".parse().unwrap(),
            time: 1_000_000,
        }
    }

    #[test]
    fn a_sealed_request_opens_unchanged_and_any_change_closes_it() {
        let (signer, body) = (signer(), Some(&b"{}"[..]));
        let headers = envelope().seal(&signer, &Method::POST, "ask/a", body);
        let open =
            |headers: &HeaderMap, method, path, body| Envelope::open(&signer, headers, method, path, body);
        assert_eq!(open(&headers, &Method::POST, "ask/a", body), Ok(envelope()));
        assert!(open(&headers, &Method::PUT, "ask/a", body).is_err());
        assert!(open(&headers, &Method::POST, "ask/b", body).is_err());
        assert!(open(&headers, &Method::POST, "ask/a", Some(b"{ }")).is_err());
        assert!(open(&headers, &Method::POST, "ask/a", None).is_err());
        for (name, value) in [
            (FROM, "img3"),
            (TO, "img3"),
            (EPOCH, "4"),
            (TIME, "1"),
            (MAP, "10112233445566778899aabbccddeeff"),
        ] {
            let mut changed = headers.clone();
            changed.insert(name, value.parse().unwrap());
            assert_eq!(open(&changed, &Method::POST, "ask/a", body), Err(EnvelopeError::Unsigned));
        }
        for missing in [FROM, TO, EPOCH, MAP, TIME, SIGNATURE] {
            let mut changed = headers.clone();
            changed.remove(missing);
            assert_eq!(open(&changed, &Method::POST, "ask/a", body), Err(EnvelopeError::Unsigned));
        }
    }

    #[test]
    fn a_genuine_message_for_another_node_time_or_map_is_refused_by_name() {
        let message = envelope();
        let (epoch, map) = (message.epoch, message.map);
        let own: NodeName = "img2".parse().unwrap();
        assert_eq!(message.check(&own, 1_000_000), Ok(()));
        let other = message.check(&"img9".parse().unwrap(), 1_000_000).unwrap_err();
        assert_eq!(other.status(), StatusCode::MISDIRECTED_REQUEST);
        let late = message.check(&own, 2_000_000).unwrap_err();
        assert_eq!(late.status(), StatusCode::FORBIDDEN);
        assert_eq!(message.check_map(epoch, map), Ok(()));
        let newer = message.check_map(4, map).unwrap_err();
        assert_eq!(newer.status(), StatusCode::CONFLICT);
        assert!(newer.to_string().contains(&map.to_string()), "{newer}");
    }

    #[test]
    fn an_answer_is_genuine_for_its_own_question_only() {
        let signer = signer();
        let mut headers = HeaderMap::new();
        headers.insert(COMPLETE, HeaderValue::from_static("yes"));
        seal_answer(&signer, b"question", StatusCode::OK, &mut headers, Some(b"{}"));
        let genuine = |question: &[u8], status, headers: &HeaderMap, body| {
            answer_is_genuine(&signer, question, status, headers, body)
        };
        assert!(genuine(b"question", StatusCode::OK, &headers, Some(b"{}")));
        assert!(!genuine(b"other", StatusCode::OK, &headers, Some(b"{}")));
        assert!(!genuine(b"question", StatusCode::NOT_FOUND, &headers, Some(b"{}")));
        assert!(!genuine(b"question", StatusCode::OK, &headers, Some(b"{ }")));
        headers.insert(COMPLETE, HeaderValue::from_static("no"));
        assert!(!genuine(b"question", StatusCode::OK, &headers, Some(b"{}")));
    }
}
