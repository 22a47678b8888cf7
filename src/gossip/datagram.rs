//! What one datagram of gossip is on the wire: form, time, payload, signature.  Pure.
//!
//! ```text
//! | form 1 byte | time 8 bytes, seconds since 1970, big endian | payload | HMAC-SHA256 32 bytes |
//! ```
//!
//! The signature covers everything before it. Its time makes a recorded datagram worthless after
//! [`sign::LIFETIME`], the same as for every other message between nodes, since clocks may be wrong. A replay within
//! that time is harmless: heartbeats and versions only ever rise.

use crate::peer::sign::{self, Signed, Signer};

/// The most bytes of a datagram: what UDP over IPv4 can carry, 65,535 less the headers of IP and UDP (RFC 768, RFC
/// 791).
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// The form of datagram told here. Another is for a later release.
const FORM: u8 = 1;

/// What tells its signature from those of other messages.
const KIND: &str = "gossip";

/// Bytes before the payload.
const HEAD_BYTES: usize = 1 + 8;

/// Bytes of the signature.
const SIGNATURE_BYTES: usize = 32;

/// The most bytes of a payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - HEAD_BYTES - SIGNATURE_BYTES;

/// Why a datagram that came in is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Longer than any node sends.
    #[error("it has more than {DATAGRAM_BYTES_MAX} bytes")]
    Oversized,
    /// Too short, of another form, or with a payload that means nothing.
    #[error("it is no gossip of this release")]
    Malformed,
    /// Signed with none of the secrets, or changed on its way.
    #[error("it is not signed with the cluster's secret; compare secret_file on both nodes")]
    Forged,
    /// Genuine, but from another time.
    #[error("its time is too far from this node's; compare the clocks of both")]
    Late,
}

/// A payload as a datagram; none when it is too long for one.
pub(super) fn seal(signer: &Signer, time: u64, payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let mut datagram = Vec::with_capacity(HEAD_BYTES + payload.len() + SIGNATURE_BYTES);
    datagram.push(FORM);
    datagram.extend(time.to_be_bytes());
    datagram.extend(payload);
    let signature = signer.sign(Signed { kind: KIND, parts: &[&datagram] });
    datagram.extend(hex::decode(signature).expect("a signature is hexadecimal"));
    Some(datagram)
}

/// The payload of a datagram that is genuine and of our time.
pub(super) fn open<'a>(signer: &Signer, now: u64, datagram: &'a [u8]) -> Result<&'a [u8], Refused> {
    if datagram.len() > DATAGRAM_BYTES_MAX {
        return Err(Refused::Oversized);
    }
    let (message, signature) = datagram.split_last_chunk::<SIGNATURE_BYTES>().ok_or(Refused::Malformed)?;
    let (form, rest) = message.split_first().ok_or(Refused::Malformed)?;
    let (time, payload) = rest.split_first_chunk::<8>().ok_or(Refused::Malformed)?;
    if *form != FORM {
        return Err(Refused::Malformed);
    }
    // Before the time, so that only a node of this cluster is ever told of for its clock.
    if !signer.verifies(Signed { kind: KIND, parts: &[message] }, hex::encode(signature).as_bytes()) {
        return Err(Refused::Forged);
    }
    if sign::is_alive(u64::from_be_bytes(*time), now) { Ok(payload) } else { Err(Refused::Late) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secrets;

    const NOW: u64 = 1_000_000;

    fn signer(secrets: &str) -> Signer {
        Signer::new(&Secrets::parse(secrets.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_sealed_is_opened_by_whoever_has_the_secret() {
        let ours = signer("the secret of this cluster");
        let other = signer("the secret of another cluster");
        for payload in [&b""[..], b"hello", &[7; PAYLOAD_BYTES_MAX]] {
            let datagram = seal(&ours, NOW, payload).unwrap();
            assert!(datagram.len() <= DATAGRAM_BYTES_MAX);
            assert_eq!(open(&ours, NOW, &datagram), Ok(payload));
            assert_eq!(open(&other, NOW, &datagram), Err(Refused::Forged));
        }
        assert_eq!(seal(&ours, NOW, &[7; PAYLOAD_BYTES_MAX + 1]), None);
    }

    #[test]
    fn while_secrets_are_rotated_both_are_heard() {
        let old = signer("the secret of yesterday");
        let both = signer("the secret of tomorrow\nthe secret of yesterday");
        let new = signer("the secret of tomorrow");
        let opens = |from: &Signer, to: &Signer| open(to, NOW, &seal(from, NOW, b"x").unwrap()).is_ok();
        assert!(opens(&old, &both) && opens(&both, &new) && opens(&both, &both));
        assert!(!opens(&both, &old) && !opens(&old, &new));
    }

    #[test]
    fn a_datagram_cut_or_changed_anywhere_is_refused() {
        let ours = signer("the secret of this cluster");
        let datagram = seal(&ours, NOW, b"a payload").unwrap();
        for length in 0..datagram.len() {
            assert!(open(&ours, NOW, &datagram[..length]).is_err(), "{length}");
        }
        for place in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[place] ^= 1;
            assert!(open(&ours, NOW, &changed).is_err(), "{place}");
        }
        assert_eq!(open(&ours, NOW, &[datagram, vec![0]].concat()), Err(Refused::Forged));
        assert_eq!(open(&ours, NOW, &[1; DATAGRAM_BYTES_MAX + 1]), Err(Refused::Oversized));
    }

    #[test]
    fn a_recorded_datagram_is_worthless_after_its_lifetime() {
        let ours = signer("the secret of this cluster");
        let datagram = seal(&ours, NOW, b"x").unwrap();
        let lifetime = sign::LIFETIME.as_secs();
        assert!(open(&ours, NOW + lifetime, &datagram).is_ok());
        assert_eq!(open(&ours, NOW + lifetime + 1, &datagram), Err(Refused::Late));
        assert_eq!(open(&ours, NOW - lifetime - 1, &datagram), Err(Refused::Late));
    }
}
