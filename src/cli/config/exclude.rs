//! `exclude` of node.toml as parts of a regular expression for a web server, which PCRE, PCRE2 and RE2 all
//! understand.  Pure.
//!
//! A pattern is about one segment of the path: its end is a slash or the end.

/// What the patterns come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excluded {
    /// `.*` is among them: dotfiles and dotted folders.
    pub dotfiles: bool,
    /// The names after the dot of patterns like `*.php`, as `php|phtml`; `None` if there are none.
    pub extensions: Option<String>,
    /// An alternative for each other pattern: `/private`, `/Thumbs\.db(?:/|$)`, `~(?:/|$)`.
    pub others: Vec<String>,
}

impl Excluded {
    /// Reads patterns that node.toml has been accepted with. `end` says in the server's regular expressions that a
    /// segment ends.
    pub(super) fn of(patterns: &[String], end: &str) -> Self {
        let (mut extensions, mut others, mut dotfiles) = (Vec::new(), Vec::new(), false);
        for pattern in patterns {
            match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
                _ if pattern == ".*" => dotfiles = true,
                (Some(rest), _) => match rest.strip_prefix('.') {
                    Some(word) if is_word(word) => extensions.push(word),
                    _ => others.push(format!("{}{end}", literal(rest))),
                },
                (None, Some(beginning)) => others.push(format!("/{}", literal(beginning))),
                (None, None) => others.push(format!("/{}{end}", literal(pattern))),
            }
        }
        let extensions = (!extensions.is_empty()).then(|| extensions.join("|"));
        Self { dotfiles, extensions, others }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A text that means itself in a regular expression.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() && !"_-/~,:;@!%&=<>'\"#".contains(c) {
            literal.push('\\');
        }
        literal.push(c);
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::DEFAULT_EXCLUDES;

    fn of(patterns: &[&str]) -> Excluded {
        Excluded::of(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>(), "(?:/|$)")
    }

    #[test]
    fn the_default_list_is_dotfiles_and_scripts() {
        let excluded = of(&DEFAULT_EXCLUDES);
        assert!(excluded.dotfiles && excluded.others.is_empty());
        assert_eq!(excluded.extensions.as_deref(), Some("php|phtml|cgi|pl|py|sh|asp|jsp"));
    }

    #[test]
    fn every_form_of_pattern_becomes_an_alternative() {
        let excluded = of(&["*.tmp", "private*", "Thumbs.db", "*~", "*.tar.gz"]);
        assert!(!excluded.dotfiles);
        assert_eq!(excluded.extensions.as_deref(), Some("tmp"));
        assert_eq!(excluded.others, ["/private", r"/Thumbs\.db(?:/|$)", "~(?:/|$)", r"\.tar\.gz(?:/|$)"]);
    }

    #[test]
    fn an_empty_list_excludes_nothing() {
        assert_eq!(of(&[]), Excluded { dotfiles: false, extensions: None, others: Vec::new() });
    }
}
