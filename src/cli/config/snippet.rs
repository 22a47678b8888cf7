//! Putting values into a shipped text.  Pure.

/// The value that a text is shipped with, and the one to put there.
#[derive(Debug)]
pub(super) struct Value {
    /// As it stands in the text, wherever it stands there as a whole.
    pub shipped: &'static str,
    /// What takes its place.
    pub own: String,
}

impl Value {
    pub(super) fn new(shipped: &'static str, own: impl Into<String>) -> Self {
        Self { shipped, own: own.into() }
    }
}

/// The text with its own values. What has been put in is not looked at again, so that no value can change another;
/// where two begin at the same place, the longer one counts.
///
/// # Panics
/// When a value does not occur: then the text and the rules for it have grown apart.
pub(super) fn fill(text: &str, values: &[Value]) -> String {
    let mut filled = String::with_capacity(text.len() + 256);
    let mut seen = vec![false; values.len()];
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let here = values.iter().enumerate().filter(|(_, value)| stands_at_start(rest, value.shipped));
        if let Some((index, value)) = here.max_by_key(|(_, value)| value.shipped.len()) {
            seen[index] = true;
            filled.push_str(&value.own);
            rest = &rest[value.shipped.len()..];
        } else {
            filled.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    for (value, seen) in values.iter().zip(seen) {
        assert!(seen, "the shipped file does not say {}", value.shipped);
    }
    filled
}

/// Whether `text` begins with `shipped`, and not with a longer word or path of which it is the beginning.
fn stands_at_start(text: &str, shipped: &str) -> bool {
    let is_part_of_word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let Some(rest) = text.strip_prefix(shipped) else { return false };
    !(shipped.ends_with(is_part_of_word) && rest.starts_with(is_part_of_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_place_of_those_shipped_and_of_nothing_else() {
        let text = "root /srv/webdfs; deny /srv/webdfs/.webdfs; # not /srv/webdfs2\nsize 1g 11g";
        let values = [Value::new("/srv/webdfs", "/data/1g"), Value::new(" 1g", " 5m")];
        assert_eq!(
            fill(text, &values),
            "root /data/1g; deny /data/1g/.webdfs; # not /srv/webdfs2\nsize 5m 11g"
        );
    }

    #[test]
    fn of_two_that_begin_alike_the_longer_counts() {
        let values = [Value::new("/run/a", "short"), Value::new("/run/a|fcgi", "long")];
        assert_eq!(fill("/run/a|fcgi /run/a", &values), "long short");
    }

    #[test]
    #[should_panic(expected = "does not say 2g")]
    fn a_value_that_is_not_there_is_a_mistake_of_ours() {
        fill("1g", &[Value::new("2g", "3g")]);
    }
}
