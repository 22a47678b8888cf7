//! Names that are never accepted, spread, moved or served (design section 5).  Pure.

use super::ObjectName;

/// The patterns that hold when none are configured: dotfiles, and scripts that a web server might run, so that
/// adopting a docroot does not publish them and no upload becomes one.
pub const DEFAULT_EXCLUDES: [&str; 9] =
    [".*", "*.php", "*.phtml", "*.cgi", "*.pl", "*.py", "*.sh", "*.asp", "*.jsp"];

/// A list of patterns. A name is excluded when any of its segments matches any pattern, without regard to ASCII
/// case. Every segment is looked at, not just the last, because servers run `a.php` when asked for `a.php/b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclude {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(Vec<u8>),
    StartsWith(Vec<u8>),
    EndsWith(Vec<u8>),
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExcludeError {
    /// Not one of the forms that exist.
    #[error(
        "exclude pattern `{0}` is not understood: write a whole name (`Thumbs.db`), a beginning (`tmp*`) or an end \
         (`*.php`) of one path segment, with one `*` and no `/ ? [ ] {{ }} \\`"
    )]
    Unsupported(String),
}

impl Exclude {
    /// Reads patterns of the forms `name`, `beginning*` and `*end`; an empty list excludes nothing.
    ///
    /// # Errors
    /// The first pattern of any other form.
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, ExcludeError> {
        let patterns =
            patterns.into_iter().map(|text| Pattern::parse(text.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Whether the name is excluded.
    pub fn matches(&self, name: &ObjectName) -> bool {
        name.segments().any(|segment| self.patterns.iter().any(|pattern| pattern.matches(segment)))
    }
}

impl Default for Exclude {
    fn default() -> Self {
        Self::new(DEFAULT_EXCLUDES).expect("the default patterns are of the supported forms")
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, ExcludeError> {
        let (pattern, literal): (fn(Vec<u8>) -> Self, _) =
            match (text.strip_prefix('*'), text.strip_suffix('*')) {
                (Some(end), _) => (Self::EndsWith, end),
                (None, Some(beginning)) => (Self::StartsWith, beginning),
                (None, None) => (Self::Exact, text),
            };
        // Anything that means more than itself in other programs' globs is refused rather than taken literally.
        let is_unusual = |c: char| c.is_control() || "*/?[]{}\\".contains(c);
        if literal.is_empty() || literal.contains(is_unusual) {
            return Err(ExcludeError::Unsupported(text.to_owned()));
        }
        Ok(pattern(literal.as_bytes().to_vec()))
    }

    fn matches(&self, segment: &[u8]) -> bool {
        let (part, literal) = match self {
            Self::Exact(literal) => (Some(segment), literal),
            Self::StartsWith(literal) => (segment.get(..literal.len()), literal),
            Self::EndsWith(literal) => {
                (segment.len().checked_sub(literal.len()).and_then(|start| segment.get(start..)), literal)
            }
        };
        part.is_some_and(|part| part.eq_ignore_ascii_case(literal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(exclude: &Exclude, name: &[u8]) -> bool {
        exclude.matches(&ObjectName::from_bytes(name).expect("a good name"))
    }

    #[test]
    fn scripts_and_dotfiles_are_excluded_unless_configured_otherwise() {
        let exclude = Exclude::default();
        for name in [
            &b"a.php"[..],
            b"x/a.PhP",
            b"a.php/b.jpg",
            b".htaccess",
            b"a/.git/config",
            b"...",
            b".php",
            b"a.phtml",
            b"a.cgi",
            b"a.pl",
            b"a.py",
            b"a.SH",
            b"a.asp",
            b"a.jsp",
            b"\xff.php",
        ] {
            assert!(matches(&exclude, name), "{}", name.escape_ascii());
        }
        for name in [&b"a.jpg"[..], b"a.php.jpg", b"php", b"a.phpx", b"a.b/c", b"a/sh", b"h"] {
            assert!(!matches(&exclude, name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_pattern_is_a_name_a_beginning_or_an_end() {
        let exclude = Exclude::new(["Thumbs.db", "tmp-*", "*~"]).expect("good patterns");
        for name in [&b"a/thumbs.DB"[..], b"tmp-1", b"TMP-/x", b"a.txt~"] {
            assert!(matches(&exclude, name), "{}", name.escape_ascii());
        }
        for name in [&b"xThumbs.db"[..], b"tmp", b"~a", b"a.php", b".a"] {
            assert!(!matches(&exclude, name), "{}", name.escape_ascii());
        }
        assert!(!matches(&Exclude::new([""; 0]).expect("an empty list"), b".a"));
    }

    #[test]
    fn other_patterns_are_refused_rather_than_misunderstood() {
        for text in ["", "*", "**", "a*b", "*a*", "*.ph?", "[ab]", "*.{php,py}", "a/b", "/a", "a\\*", "a\0"] {
            assert_eq!(Exclude::new([text]), Err(ExcludeError::Unsupported(text.into())), "{text:?}");
        }
    }
}
