//! Spans of time as an operator writes them, "6h", and back.  Pure.

use std::time::Duration;

/// The units known, longest first, each with its number of seconds.
const UNITS: [(&str, u64); 4] = [("d", 24 * 60 * 60), ("h", 60 * 60), ("min", 60), ("s", 1)];

/// Why a text is no span of time for a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No whole number followed by a known unit.
    #[error("a time is a whole number with s, min, h or d, such as \"6h\"")]
    Form,
    /// Outside the bounds of this setting, both inclusive.
    #[error("use a time from {} to {}", show(*.least), show(*.most))]
    OutOfBounds {
        /// The shortest allowed.
        least: Duration,
        /// The longest allowed.
        most: Duration,
    },
}

/// The span that `text` names, from `least` to `most`, both inclusive.
///
/// # Errors
/// When `text` is not of that form, or out of bounds.
pub fn parse_within(text: &str, least: Duration, most: Duration) -> Result<Duration, DurationError> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim());
    let (Some((_, seconds_each)), false) = (unit, digits.is_empty()) else { return Err(DurationError::Form) };
    // Only digits are left, so a failure here is a number too long.
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(*seconds_each));
    let span = seconds.map(Duration::from_secs).filter(|span| (least..=most).contains(span));
    span.ok_or(DurationError::OutOfBounds { least, most })
}

/// A span in whole seconds with the longest unit that divides it, such as "6h".
pub fn show(span: Duration) -> String {
    let seconds = span.as_secs();
    let (unit, each) =
        UNITS.into_iter().find(|(_, each)| seconds != 0 && seconds.is_multiple_of(*each)).unwrap_or(("s", 1));
    format!("{}{unit}", seconds / each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(365 * 86_400);

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("5min", 300), ("6h", 21_600), ("30 d", 2_592_000)] {
            assert_eq!(parse_within(text, LEAST, MOST), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "6", "h", "-1h", "1.5h", "6H", "6m", "1h30min", " 1h", "٣h"] {
            assert_eq!(parse_within(text, LEAST, MOST), Err(DurationError::Form), "{text}");
        }
    }

    #[test]
    fn bounds_are_inclusive_and_named_and_nothing_wraps() {
        for text in ["0s", "366d", "99999999999999999999d", "213503982334602d"] {
            let error = parse_within(text, LEAST, MOST).unwrap_err();
            assert_eq!(error.to_string(), "use a time from 1s to 365d", "{text}");
        }
        assert_eq!(parse_within("365d", LEAST, MOST), Ok(MOST));
    }

    proptest! {
        #[test]
        fn a_shown_time_reads_back(seconds in 1..=365u64 * 86_400) {
            let span = Duration::from_secs(seconds);
            prop_assert_eq!(parse_within(&show(span), LEAST, MOST), Ok(span));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse_within(&text, LEAST, MOST);
        }
    }
}
