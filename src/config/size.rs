//! Sizes as an operator writes them, "256KiB", to bytes and back.  Pure.
//!
//! Units are the binary ones of IEC 80000-13 alone: "MB" means two different numbers to two people, and a limit
//! that is 5 % off is found out too late.

/// The units known, largest first, each with its number of bytes.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The largest size: what a file offset can hold, in bytes.
pub(super) const SIZE_MAX: u64 = i64::MAX as u64;

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No whole number followed by a known unit.
    #[error("a size is a whole number with B, KiB, MiB, GiB or TiB, such as \"256KiB\"")]
    Form,
    /// More than a file can hold.
    #[error("no file can be that large; sizes go up to {}", show(SIZE_MAX))]
    TooLarge,
    /// Outside the bounds of this setting, which are given in bytes, both inclusive.
    #[error("use a size from {} to {}", show(*.least), show(*.most))]
    OutOfBounds {
        /// The smallest size allowed, in bytes.
        least: u64,
        /// The largest size allowed, in bytes.
        most: u64,
    },
}

/// The number of bytes that `text` names. A bare number counts bytes; the unit may be in any case.
///
/// # Errors
/// When `text` is not of that form, or too large for a file.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit = unit.trim();
    let bytes_each = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some((_, bytes)) => *bytes,
        None if unit.is_empty() => 1,
        None => return Err(SizeError::Form),
    };
    if digits.is_empty() {
        return Err(SizeError::Form);
    }
    // Only digits are left, so a failure here is a number too long.
    let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
    let bytes = number.checked_mul(bytes_each).ok_or(SizeError::TooLarge)?;
    if bytes > SIZE_MAX { Err(SizeError::TooLarge) } else { Ok(bytes) }
}

/// As [`parse`], and from `least` to `most` bytes, both inclusive.
///
/// # Errors
/// As [`parse`], or when the size is out of bounds.
pub fn parse_within(text: &str, least: u64, most: u64) -> Result<u64, SizeError> {
    match parse(text)? {
        bytes if (least..=most).contains(&bytes) => Ok(bytes),
        _ => Err(SizeError::OutOfBounds { least, most }),
    }
}

/// A size with the largest unit that divides it, such as "256KiB"; [`parse`] reads it back.
pub fn show(bytes: u64) -> String {
    let (unit, bytes_each) =
        UNITS.into_iter().find(|(_, each)| bytes != 0 && bytes.is_multiple_of(*each)).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / bytes_each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_size_is_a_number_and_a_binary_unit() {
        let table = [
            ("0", 0),
            ("4096", 4096),
            ("17B", 17),
            ("256KiB", 256 << 10),
            ("256 kib", 256 << 10),
            ("3MiB", 3 << 20),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
        ];
        for (text, bytes) in table {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused_with_the_right_form() {
        for text in ["", "KiB", "-1", "1.5GiB", "10m", "256k", "1MB", "1GiBs", "٣", " 1", "0x10", "1 2"] {
            assert_eq!(parse(text), Err(SizeError::Form), "{text}");
        }
    }

    #[test]
    fn a_size_beyond_any_file_is_refused_and_does_not_wrap() {
        for text in ["9223372036854775808", "99999999999999999999999", "16777216TiB", "18014398509481984TiB"]
        {
            assert_eq!(parse(text), Err(SizeError::TooLarge), "{text}");
        }
    }

    #[test]
    fn bounds_are_inclusive_and_named() {
        assert_eq!(parse_within("1KiB", 1024, 2048), Ok(1024));
        assert_eq!(parse_within("2KiB", 1024, 2048), Ok(2048));
        let error = parse_within("3KiB", 1024, 2048).unwrap_err();
        assert_eq!(error.to_string(), "use a size from 1KiB to 2KiB");
    }

    proptest! {
        #[test]
        fn a_shown_size_reads_back(bytes in 0..=SIZE_MAX) {
            prop_assert_eq!(parse(&show(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
