//! Where a node is reached: `http://host[:port][/path]` (RFC 3986, section 3), checked and normalised, so that two
//! spellings of one address compare equal. Nothing is resolved or connected here.

use std::fmt;

use http::Uri;

/// The address of a node: scheme, host, port and a path that everything asked for is appended to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeUrl {
    scheme: Scheme,
    /// `host:port`, the host in lower case and the port always there.
    authority: String,
    /// Length of the host within `authority`; the byte after it is the colon.
    host_bytes: usize,
    port: u16,
    /// Empty, or starting with `/` and not ending with one.
    path: String,
}

/// The scheme of a [`NodeUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// Why a text is refused as the address of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all.
    #[error("{given:?} is not a URL ({reason}); right would be {EXAMPLE}")]
    Syntax {
        /// What was given.
        given: String,
        /// What the parser said.
        reason: String,
    },
    /// No `http://` or `https://`, or no host after it.
    #[error("{given:?} is not of the form http://host[:port][/path]; right would be {EXAMPLE}")]
    Form {
        /// What was given.
        given: String,
    },
    /// TLS between nodes.
    #[error("{given:?} is https; nodes do not speak TLS to each other yet, give an http:// address for this")]
    Https {
        /// What was given.
        given: String,
    },
    /// A user name or password.
    #[error("{given:?} has a user name; leave out everything up to the '@'")]
    User {
        /// What was given.
        given: String,
    },
    /// A port that is none.
    #[error("{given:?} has no valid port; it is a number from 1 to 65535")]
    Port {
        /// What was given.
        given: String,
    },
    /// A query or fragment.
    #[error("{given:?} has a query or a fragment; leave out everything from the '?' or '#'")]
    Query {
        /// What was given.
        given: String,
    },
}

/// What the messages show as right.
const EXAMPLE: &str = "http://10.0.0.7:8080";

impl NodeUrl {
    /// The address other nodes use.
    ///
    /// # Errors
    /// If it is not `http://host[:port][/path]`.
    pub fn between_nodes(text: &str) -> Result<Self, UrlError> {
        let url = Self::public(text)?;
        match url.scheme {
            Scheme::Http => Ok(url),
            Scheme::Https => Err(UrlError::Https { given: text.to_owned() }),
        }
    }

    /// The address clients use, which may be `https`.
    ///
    /// # Errors
    /// If it is not `http://host[:port][/path]` or the same with `https`.
    pub fn public(text: &str) -> Result<Self, UrlError> {
        let given = || text.to_owned();
        // The parser would drop a fragment without a word.
        if text.contains(['?', '#']) {
            return Err(UrlError::Query { given: given() });
        }
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| UrlError::Syntax {
            given: given(),
            reason: error.to_string(),
        })?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(UrlError::Form { given: given() }),
        };
        let authority = uri.authority().ok_or_else(|| UrlError::Form { given: given() })?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User { given: given() });
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err(UrlError::Form { given: given() });
        }
        let port = match &authority.as_str()[host.len()..] {
            "" => scheme.default_port(),
            _ => authority
                .port_u16()
                .filter(|port| *port != 0)
                .ok_or_else(|| UrlError::Port { given: given() })?,
        };
        let path = uri.path().trim_end_matches('/').to_owned();
        let authority = format!("{host}:{port}");
        Ok(Self { scheme, authority, host_bytes: host.len(), port, path })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `host:port`, with the port even where it is the scheme's own: what to connect to.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.authority[..self.host_bytes]
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What comes before the path of every request: empty, or starting with `/` and not ending with one.
    pub fn path_prefix(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for NodeUrl {
    /// The shortest spelling: no default port, no trailing slash. A path can be appended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            if self.port == self.scheme.default_port() { self.host() } else { self.authority.as_str() };
        write!(f, "{}://{shown}{}", self.scheme.as_str(), self.path)
    }
}

impl Scheme {
    /// As in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_shown_in_their_shortest_spelling() {
        let cases = [
            ("http://10.0.0.7", "10.0.0.7:80", "", "http://10.0.0.7"),
            ("http://10.0.0.7:8080/", "10.0.0.7:8080", "", "http://10.0.0.7:8080"),
            ("HTTP://Web-1.Example.org:80", "web-1.example.org:80", "", "http://web-1.example.org"),
            ("http://[::1]:81/a/b//", "[::1]:81", "/a/b", "http://[::1]:81/a/b"),
            ("http://[2001:DB8::1]", "[2001:db8::1]:80", "", "http://[2001:db8::1]"),
        ];
        for (text, authority, path, shown) in cases {
            let url = NodeUrl::between_nodes(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.authority(), url.path_prefix()), (authority, path), "{text}");
            assert_eq!(format!("{}:{}", url.host(), url.port()), authority, "{text}");
            assert_eq!(url.to_string(), shown);
            assert_eq!(NodeUrl::between_nodes(shown).as_ref(), Ok(&url), "{text}");
        }
    }

    #[test]
    fn https_is_for_clients_only() {
        let error = NodeUrl::between_nodes("https://a").unwrap_err().to_string();
        assert!(error.contains("do not speak TLS"), "{error}");
        let url = NodeUrl::public("https://img.example.org/").unwrap();
        assert_eq!((url.scheme(), url.port()), (Scheme::Https, 443));
        assert_eq!(url.to_string(), "https://img.example.org");
    }

    #[test]
    fn anything_else_is_refused_with_what_is_right() {
        let cases = [
            ("", "is not a URL"),
            ("10.0.0.7", "not of the form"),
            ("10.0.0.7:80", "not of the form"),
            ("/a", "not of the form"),
            ("ftp://a", "not of the form"),
            ("http://", "is not a URL"),
            ("http://:80", ""),
            ("http:///a", ""),
            ("http://a b", "is not a URL"),
            ("http://a:0", "valid port"),
            ("http://a:65536", "valid port"),
            ("http://a:", "valid port"),
            ("http://a:x", ""),
            ("http://u@a", "user name"),
            ("http://a/?x", "query or a fragment"),
            ("http://a/#x", "query or a fragment"),
        ];
        for (text, expected) in cases {
            let error = NodeUrl::between_nodes(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(NodeUrl::public(text).is_err(), "{text:?}");
        }
    }
}
