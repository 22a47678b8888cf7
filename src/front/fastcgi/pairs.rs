//! Name-value pairs: the parameters of a request and the questions of `FCGI_GET_VALUES`.  Pure.
//!
//! Here is only the encoding of FastCGI 1.0, section 3.4; what a parameter means is never decided here. A block is
//! checked once as a whole, and then read in place: a value is a slice of the bytes that came in.
//!
//! A length below 128 is one byte; any other is four bytes, the highest bit set.

use bytes::{BufMut, Bytes, BytesMut};

/// The largest length that the encoding can express.
pub const LENGTH_MAX: u32 = 0x7fff_ffff;

/// The parameters of one request as they came: names and values as bytes, in order.
///
/// Cheap to make and to clone: one shared buffer. Looking up scans it, which for the twenty to forty short parameters
/// of a web server costs less than building an index.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// Invariant: a sequence of whole pairs, checked by [`Params::decode`].
    block: Bytes,
}

/// A block of pairs ended in the middle of a pair, or a length reaches beyond the block's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a block of {block_length} bytes of name-value pairs is cut in the middle of the pair at byte {pair_start}"
)]
pub struct PairsError {
    /// Where the broken pair starts.
    pub pair_start: usize,
    /// The length of the whole block.
    pub block_length: usize,
}

impl Params {
    /// The pairs of a complete block.
    ///
    /// # Errors
    /// The block is not a sequence of whole pairs.
    pub fn decode(block: Bytes) -> Result<Self, PairsError> {
        let mut rest: &[u8] = &block;
        while !rest.is_empty() {
            let pair_start = block.len() - rest.len();
            (_, rest) = split_pair(rest).ok_or(PairsError { pair_start, block_length: block.len() })?;
        }
        Ok(Self { block })
    }

    /// The value of the first parameter of this name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// All names and values, in the order they came.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.block }
    }
}

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

impl<'a> IntoIterator for &'a Params {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Params {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Self {
        let mut block = BytesMut::new();
        pairs.into_iter().for_each(|(name, value)| encode_pair(name, value, &mut block));
        Self { block: block.freeze() }
    }
}

/// The pairs of a [`Params`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (pair, rest) = split_pair(self.rest)?;
        self.rest = rest;
        Some(pair)
    }
}

/// A name and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The first pair and what follows it; `None` if it is cut.
fn split_pair(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (name_length, rest) = split_length(bytes)?;
    let (value_length, rest) = split_length(rest)?;
    let (name, rest) = rest.split_at_checked(name_length)?;
    let (value, rest) = rest.split_at_checked(value_length)?;
    Some(((name, value), rest))
}

/// The first length and what follows it; `None` if it is cut.
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..=0x7f, rest @ ..] => Some((usize::from(*short), rest)),
        [a, b, c, d, rest @ ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) & LENGTH_MAX;
            Some((usize::try_from(length).ok()?, rest))
        }
        _ => None,
    }
}

/// Appends one pair.
///
/// # Panics
/// The name or the value is longer than [`LENGTH_MAX`].
pub fn encode_pair(name: &[u8], value: &[u8], out: &mut BytesMut) {
    out.reserve(8 + name.len() + value.len());
    for length in [name.len(), value.len()] {
        match u32::try_from(length) {
            Ok(short @ 0..=0x7f) => out.put_u8(short as u8),
            Ok(long @ 0..=LENGTH_MAX) => out.put_u32(long | !LENGTH_MAX),
            _ => panic!("a name or value of {length} bytes cannot be encoded"),
        }
    }
    out.put_slice(name);
    out.put_slice(value);
}

/// What must hold for every block whatsoever; called by the tests and by the fuzzer.
#[doc(hidden)]
pub fn fuzz_pairs(bytes: &[u8]) {
    match Params::decode(Bytes::copy_from_slice(bytes)) {
        Ok(params) => {
            let again: Params = params.iter().collect();
            assert_eq!(Params::decode(again.block.clone()), Ok(again.clone()));
            assert!(again.iter().eq(params.iter()), "writing the pairs again keeps them");
            let total: usize = params.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(total <= bytes.len());
            for (name, _) in &params {
                assert!(params.get(name).is_some());
            }
        }
        Err(error) => {
            assert!(error.pair_start < bytes.len());
            let whole = Params::decode(Bytes::copy_from_slice(&bytes[..error.pair_start]));
            assert!(whole.is_ok(), "everything before the broken pair is sound");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Params, PairsError> {
        Params::decode(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn pairs_read_and_written_are_the_same() {
        let long = [b'v'; 128];
        let mut long_bytes = vec![1, 0x80, 0, 0, 128, b'n'];
        long_bytes.extend_from_slice(&long);
        let table: &[(&[Pair<'_>], &[u8])] = &[
            (&[], b""),
            (&[(b"", b"")], b"\0\0"),
            (&[(b"", b"x")], b"\0\x01x"),
            (&[(b"A", b"")], b"\x01\0A"),
            (&[(b"A", b"bc"), (b"DE", b"f")], b"\x01\x02Abc\x02\x01DEf"),
            (&[(b"n", &long)], &long_bytes),
        ];
        for (pairs, bytes) in table {
            let params: Params = pairs.iter().copied().collect();
            assert_eq!(&params.block[..], *bytes);
            assert!(decode(bytes).unwrap().iter().eq(pairs.iter().copied()));
        }
    }

    #[test]
    fn a_long_form_of_a_short_length_is_understood() {
        let params = decode(b"\x80\0\0\x01\x80\0\0\x02Abc").unwrap();
        assert_eq!(params.get(b"A"), Some(&b"bc"[..]));
    }

    #[test]
    fn the_first_of_two_parameters_of_one_name_is_found_and_both_are_listed() {
        let params = decode(b"\x01\x01A1\x01\x01A2").unwrap();
        assert_eq!(params.get(b"A"), Some(&b"1"[..]));
        assert_eq!(params.iter().count(), 2);
        assert_eq!(params.get(b"B"), None);
    }

    #[test]
    fn a_block_cut_anywhere_but_between_pairs_is_refused_with_the_place() {
        let block = b"\x01\x02Abc\x80\0\0\x02\x01DEf";
        for cut in 0..block.len() {
            let whole_pairs = cut == 0 || cut == 5;
            let result = decode(&block[..cut]);
            assert_eq!(result.is_ok(), whole_pairs, "cut at {cut}");
            if let Err(error) = result {
                assert_eq!(error.pair_start, if cut < 5 { 0 } else { 5 });
            }
        }
    }

    #[test]
    fn huge_lengths_are_refused_without_reserving_anything() {
        assert!(decode(b"\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
        assert!(decode(b"\x01\xff\xff\xff\xffA").is_err());
        assert!(decode(b"\xff\xff\xff\xff\x01A").is_err());
    }

    proptest! {
        #[test]
        fn any_pairs_survive_the_way_there_and_back(
            pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), prop::collection::vec(any::<u8>(), 0..200)), 0..8)
        ) {
            let params: Params = pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            let again = Params::decode(params.block.clone()).unwrap();
            prop_assert!(again.iter().eq(pairs.iter().map(|(name, value)| (&name[..], &value[..]))));
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz_pairs(&bytes);
        }

        #[test]
        fn small_lengths_do_not_break_the_reader_either(bytes in prop::collection::vec(prop_oneof![0u8..6, 0x80u8..0x82], 0..60)) {
            fuzz_pairs(&bytes);
        }
    }
}
