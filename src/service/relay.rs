//! The bytes of a copy that other nodes hold, as one stream that outlives any of them.
//!
//! An owner's body may break off, stall or end early after any byte. Then the next owner, in rank order, is asked for what
//! is missing, and goes on if its copy is the same: same version, size and checksum. Only when nobody is left does the
//! stream end with an error, which makes the front cut the connection; it never ends early as if that were all.
//!
//! Frames of several ranges are not made here: the stream has the bytes of the copy alone, range after range.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};

use super::Service;
use crate::cluster::{NodeIndex, View};
use crate::held::CopyInfo;
use crate::name::ObjectName;
use crate::peer::client::{ObjectAnswer, ObjectReply};
use crate::peer::envelope::copy_in;
use crate::resolve::Route;
use crate::response::{BodyError, ByteStream};
use crate::semantics::ByteRange;

/// A copy that is being passed on from other nodes.
pub(super) struct Relay {
    service: Arc<Service>,
    pub map: Arc<View>,
    pub name: ObjectName,
    /// What every byte must be of.
    pub copy: CopyInfo,
    /// Who found it.
    first: NodeIndex,
    /// The other owners, which have not been asked for any of its bytes.
    untried: VecDeque<NodeIndex>,
}

/// A relay on its way.
struct Running {
    relay: Relay,
    /// What is still to be passed on, in this order.
    ranges: VecDeque<ByteRange>,
    source: Option<Source>,
    /// The checksum of what was passed on, where that is the whole copy and what it must be is known.
    checksum: Option<(crc32fast::Hasher, u32)>,
}

/// An owner that is sending.
struct Source {
    node: NodeIndex,
    body: ByteStream,
    /// Bytes that it is still to send.
    remaining: u64,
}

impl Relay {
    /// The copy that `first` has found, by the headers of its answer; `None` if they do not describe it.
    pub fn of(
        service: &Arc<Service>,
        map: &Arc<View>,
        name: &ObjectName,
        route: &Route,
        first: NodeIndex,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let copy = copy_in(headers)?;
        let own = map.own();
        let mut untried: Vec<_> = route.others.iter().copied().chain(route.former_only(own)).collect();
        untried.retain(|node| ![first, own].contains(node));
        // Not `in_order`: that would take the turn to try a failed one from a request that does.
        untried.sort_by_key(|&node| service.peers.has_failed(map, node));
        let (service, map, name) = (Arc::clone(service), Arc::clone(map), name.clone());
        let untried = untried.into();
        Some(Self { service, map, name, copy, first, untried })
    }

    /// The bytes of these ranges. `answer` is that of the node that found the copy, if it is these ranges that it sends:
    /// then the first byte need not be waited for any longer.
    pub fn stream(mut self, ranges: Vec<ByteRange>, answer: Option<ObjectAnswer>) -> ByteStream {
        let length: u64 = ranges.iter().map(ByteRange::length).sum();
        let source = answer.filter(|answer| length_of(&answer.headers) == Some(length));
        let source = source.map(|answer| Source { node: self.first, body: answer.body, remaining: length });
        if source.is_none() {
            self.untried.push_front(self.first);
        } else if length == 0 {
            self.service.peers.delivered(self.first);
        }
        let is_whole = ranges == Vec::from_iter(ByteRange::whole(self.copy.size));
        let checksum = self.copy.crc32.filter(|_| is_whole).map(|crc32| (crc32fast::Hasher::new(), crc32));
        let running = Running { relay: self, ranges: ranges.into(), source, checksum };
        Box::pin(futures_util::stream::unfold(Some(running), |running| async {
            let mut running = running?;
            match running.next().await? {
                Ok(bytes) => Some((Ok(bytes), Some(running))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

impl Running {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let range = *self.ranges.front()?;
            let Some(source) = &mut self.source else {
                match self.relay.source_of(range).await {
                    Some(source) => self.source = Some(source),
                    None => {
                        log::warn!("{}: no owner can go on with it; the answer is cut off", self.relay.name);
                        return Some(Err(BodyError::Cut));
                    }
                }
                continue;
            };
            match source.body.next().await {
                Some(Ok(bytes)) if bytes.len() as u64 <= source.remaining => {
                    let node = source.node;
                    source.remaining -= bytes.len() as u64;
                    if source.remaining == 0 {
                        // It did all it was asked to: it may be asked for the next range.
                        self.relay.service.peers.delivered(source.node);
                        self.relay.untried.push_front(source.node);
                        self.source = None;
                    }
                    pass_over(&mut self.ranges, bytes.len() as u64);
                    return Some(if self.is_sound(&bytes) { Ok(bytes) } else { Err(self.damaged(node)) });
                }
                _ => {
                    let node = self.relay.map.node(source.node).name();
                    log::warn!("{}: node {node} broke off; the next owner goes on", self.relay.name);
                    self.relay.service.peers.broke_off(source.node);
                    self.source = None;
                }
            }
        }
    }
}

impl Running {
    /// Takes the next bytes into the checksum; whether the copy may go on or end with them.
    fn is_sound(&mut self, bytes: &[u8]) -> bool {
        let Some((sum, crc32)) = &mut self.checksum else { return true };
        sum.update(bytes);
        !self.ranges.is_empty() || sum.clone().finalize() == *crc32
    }

    /// What came is not the copy. Its end is withheld, so that nobody takes it for the whole.
    fn damaged(&self, node: NodeIndex) -> BodyError {
        let name = self.relay.map.node(node).name();
        log::error!(
            "{}: what node {name} sent does not have its checksum; the answer is cut off",
            self.relay.name
        );
        self.relay.service.peers.broke_off(node);
        BodyError::Cut
    }
}

impl Relay {
    /// The next owner that goes on with the same copy from the beginning of a range.
    async fn source_of(&mut self, range: ByteRange) -> Option<Source> {
        let headers = HeaderMap::from_iter([(header::RANGE, range.as_range())]);
        while let Some(node) = self.untried.pop_front() {
            match self.service.peers.object(&self.map, node, &self.name, &headers).await {
                Ok(ObjectReply::Found(answer)) if goes_on(&self.copy, range, &answer) => {
                    return Some(Source { node, body: answer.body, remaining: range.length() });
                }
                Ok(_) => {
                    let node = self.map.node(node).name();
                    log::debug!("{}: node {node} cannot go on, it has not the same copy", self.name);
                }
                Err(error) => log::debug!("{}: {error}", self.name),
            }
        }
        None
    }
}

/// Whether an answer has the bytes of a range of the very copy.
fn goes_on(copy: &CopyInfo, range: ByteRange, answer: &ObjectAnswer) -> bool {
    let ObjectAnswer { status, headers, .. } = answer;
    let same = |theirs: CopyInfo| {
        let checksums = copy.crc32.zip(theirs.crc32);
        (theirs.version, theirs.size) == (copy.version, copy.size) && checksums.is_none_or(|(a, b)| a == b)
    };
    *status == StatusCode::PARTIAL_CONTENT
        && copy_in(headers).is_some_and(same)
        && headers.get(header::CONTENT_RANGE) == Some(&range.content_range(copy.size))
        && length_of(headers) == Some(range.length())
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Takes the first `count` bytes off these ranges, which have as many.
fn pass_over(ranges: &mut VecDeque<ByteRange>, mut count: u64) {
    while count > 0 {
        let Some(range) = ranges.pop_front() else { return };
        match range.after(count) {
            Some(rest) => return ranges.push_front(rest),
            None => count -= range.length(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::peer::envelope::{CRC32, SIZE, VERSION};
    use crate::version::Version;

    const COPY: CopyInfo = CopyInfo { version: Version::from_nanos(7), size: 1000, crc32: Some(0xabc) };

    fn range(first: u64) -> ByteRange {
        ByteRange::whole(COPY.size).unwrap().after(first).unwrap()
    }

    fn answer(status: u16, headers: &[(http::HeaderName, &str)]) -> ObjectAnswer {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        let headers = headers.iter().map(|(name, text)| (name.clone(), value(text))).collect();
        let status = StatusCode::from_u16(status).unwrap();
        ObjectAnswer { status, headers, body: Box::pin(futures_util::stream::empty()) }
    }

    #[test]
    fn only_the_same_range_of_the_same_copy_goes_on() {
        let right = [
            (VERSION, "7"),
            (SIZE, "1000"),
            (CRC32, "00000abc"),
            (header::CONTENT_RANGE, "bytes 600-999/1000"),
            (header::CONTENT_LENGTH, "400"),
        ];
        assert!(goes_on(&COPY, range(600), &answer(206, &right)));
        assert!(!goes_on(&COPY, range(600), &answer(200, &right)));
        assert!(!goes_on(&COPY, range(601), &answer(206, &right)));
        for (index, wrong) in ["8", "1001", "00000abd", "bytes 600-999/*", "399"].into_iter().enumerate() {
            let mut headers = right.clone();
            headers[index].1 = wrong;
            assert!(!goes_on(&COPY, range(600), &answer(206, &headers)), "{wrong}");
        }
        // A copy whose checksum is not known yet: its version and size are the same.
        let without = [right[0].clone(), right[1].clone(), right[3].clone(), right[4].clone()];
        assert!(goes_on(&COPY, range(600), &answer(206, &without)));
        assert!(goes_on(&CopyInfo { crc32: None, ..COPY }, range(600), &answer(206, &right)));
    }

    #[test]
    fn what_has_come_is_taken_off_range_after_range() {
        let left = |count| {
            let mut ranges = VecDeque::from([range(990), range(0), range(995)]);
            pass_over(&mut ranges, count);
            Vec::from(ranges)
        };
        assert_eq!(left(0), [range(990), range(0), range(995)]);
        assert_eq!(left(9), [range(999), range(0), range(995)]);
        assert_eq!(left(10), [range(0), range(995)]);
        assert_eq!(left(510), [range(500), range(995)]);
        assert_eq!(left(1014), [range(999)]);
        assert_eq!(left(1015), []);
    }
}
