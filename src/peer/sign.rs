//! Signatures between nodes: HMAC-SHA256 with the cluster secret (RFC 2104).  Pure.
//!
//! A signature covers everything that decides what a message does, and the digest of its control body. The bytes of a
//! file are covered by the checksum in the signed commit that makes them visible. An answer is signed together with
//! its request's signature, so that it cannot be given to another question. A replay is harmless: every operation
//! is idempotent by version.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::config::Secrets;

/// How far a message's time may lie from the receiver's clock, either way: clocks may be wrong.
pub const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Makes and checks signatures. The first secret signs, every secret verifies, so that secrets can be rotated.
#[derive(Clone)]
pub struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

/// What a signature covers, in the order it is fed in. Lengths are fed before values, so that no two different
/// messages read alike.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// What kind of message: `request`, `answer` or `hop`.
    pub kind: &'a str,
    /// Its parts, all that decide what it does.
    pub parts: &'a [&'a [u8]],
}

impl Signer {
    /// A signer with the cluster's secrets.
    pub fn new(secrets: &Secrets) -> Self {
        let key =
            |secret: &[u8]| Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        Self { keys: secrets.verifying().map(key).collect() }
    }

    /// The signature of a message, in hexadecimal.
    pub fn sign(&self, message: Signed<'_>) -> String {
        let key = self.keys.first().expect("the configuration has at least one secret");
        hex::encode(fed(key, message).finalize().into_bytes())
    }

    /// Whether `signature` is that of `message` under any of the secrets. Takes the same time wherever they differ.
    pub fn verifies(&self, message: Signed<'_>, signature: &[u8]) -> bool {
        let mut bytes = [0; 32];
        hex::decode_to_slice(signature, &mut bytes).is_ok()
            && self.keys.iter().any(|key| fed(key, message).verify_slice(&bytes).is_ok())
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.keys.len())
    }
}

fn fed(key: &Hmac<Sha256>, message: Signed<'_>) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in std::iter::once(message.kind.as_bytes()).chain(message.parts.iter().copied()) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

/// The digest of a control body.
pub fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// Whether a message of this time, in seconds since 1970, is to be heard now.
pub fn is_alive(time: u64, now: u64) -> bool {
    time.abs_diff(now) <= LIFETIME.as_secs()
}

/// The mark on a client's request that the web server hands to an owner: whoever gets it never hands it on again.
/// Text: `TIME:SIGNATURE`, over the request target and the time.
pub fn hop(signer: &Signer, target: &[u8], now: u64) -> String {
    let time = now.to_string();
    let signature = signer.sign(Signed { kind: "hop", parts: &[target, time.as_bytes()] });
    format!("{time}:{signature}")
}

/// Whether a hop mark is genuine and alive.
pub fn is_hop(signer: &Signer, target: &[u8], mark: &[u8], now: u64) -> bool {
    let Some(colon) = mark.iter().position(|byte| *byte == b':') else { return false };
    let (time, signature) = (&mark[..colon], &mark[colon + 1..]);
    let seconds = std::str::from_utf8(time).ok().and_then(|text| text.parse().ok());
    seconds.is_some_and(|seconds| is_alive(seconds, now))
        && signer.verifies(Signed { kind: "hop", parts: &[target, time] }, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[u8] = b"the old secret of the cluster";
    const NEW: &[u8] = b"the new secret of the cluster";

    fn signer(secrets: &[&[u8]]) -> Signer {
        Signer::new(&Secrets::parse(&secrets.join(&b'\n')).unwrap())
    }

    #[test]
    fn a_signature_holds_for_its_message_alone() {
        let signer = signer(&[OLD]);
        let message = Signed { kind: "request", parts: &[b"ab", b"c"] };
        let signature = signer.sign(message);
        assert!(signer.verifies(message, signature.as_bytes()));
        for other in [
            Signed { kind: "request", parts: &[b"a", b"bc"] },
            Signed { kind: "request", parts: &[b"ab", b"c", b""] },
            Signed { kind: "answer", parts: &[b"ab", b"c"] },
        ] {
            assert!(!signer.verifies(other, signature.as_bytes()), "{other:?}");
        }
        for broken in ["", "zz", &signature[1..], &format!("{signature}00")] {
            assert!(!signer.verifies(message, broken.as_bytes()), "{broken}");
        }
    }

    #[test]
    fn while_secrets_are_rotated_the_first_signs_and_both_verify() {
        let message = Signed { kind: "request", parts: &[b"x"] };
        let rotating = signer(&[NEW, OLD]);
        assert!(rotating.verifies(message, signer(&[OLD]).sign(message).as_bytes()));
        assert!(signer(&[NEW]).verifies(message, rotating.sign(message).as_bytes()));
        assert!(!signer(&[OLD]).verifies(message, rotating.sign(message).as_bytes()));
    }

    #[test]
    fn messages_live_twelve_hours_either_way() {
        let now = 1_000_000;
        assert!(is_alive(now - 43_200, now) && is_alive(now + 43_200, now));
        assert!(!is_alive(now - 43_201, now) && !is_alive(now + 43_201, now));
    }

    #[test]
    fn a_hop_mark_is_bound_to_its_target_and_time() {
        let signer = signer(&[OLD]);
        let mark = hop(&signer, b"/a.jpg", 1000);
        assert!(is_hop(&signer, b"/a.jpg", mark.as_bytes(), 1000));
        assert!(!is_hop(&signer, b"/b.jpg", mark.as_bytes(), 1000));
        assert!(!is_hop(&signer, b"/a.jpg", mark.as_bytes(), 1000 + 43_201));
        let later = mark.replacen("1000", "2000", 1);
        assert!(!is_hop(&signer, b"/a.jpg", later.as_bytes(), 2000));
        assert!(!is_hop(&signer, b"/a.jpg", b"1000", 1000));
    }
}
