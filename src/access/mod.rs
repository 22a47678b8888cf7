//! Who may read and write: the one decision about a client's request (design section 11), and what it is made from.  Pure.
//!
//! Four things give a right: a token ([`token`]), a signed URL ([`signed`]), a name that the web server vouches for, and
//! the address a client comes from ([`rule`]). Whoever shows a signed URL or a token of ours is judged by that alone, so that
//! what one can do with it does not depend on where one happens to be. What was admitted is not asked about again when it
//! is passed on from node to node. [`limits`] says how much of it there may be.

pub mod limits;
pub mod right;
pub mod rule;
pub mod signed;
pub mod token;

use std::fmt;
use std::net::IpAddr;

use crate::name::Prefix;
use right::{Lacking, Operation, Right};
use rule::AllowList;
use signed::{Presented, SignatureError, SigningKey};
use token::{TokenError, Tokens, bearer};

/// Somebody whom the web server lets in under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name that the web server passes on (`REMOTE_USER`).
    pub name: String,
    /// What is allowed.
    pub right: Right,
}

/// What a node's settings say about who may do what; its tokens are read again while it runs, and come with each question.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Who may write without showing anything.
    pub allow: AllowList,
    /// Whom the web server lets in.
    pub users: Vec<User>,
    /// URL paths, decoded, below which reading needs a right.
    pub private: Vec<Prefix>,
    /// What signs URLs; the first is the one for new ones.
    pub sign_keys: Vec<SigningKey>,
}

/// A client's request, as far as it matters for whether it is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The request's method.
    pub method: &'a str,
    /// The URL path, decoded and normalised, beginning with a slash.
    pub path: &'a [u8],
    /// The query, as it came.
    pub query: Option<&'a [u8]>,
    /// The value of its Authorization header.
    pub authorization: Option<&'a [u8]>,
    /// Where it comes from, if that is known.
    pub address: Option<IpAddr>,
    /// Whom the web server has authenticated, if anybody.
    pub user: Option<&'a str>,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// By what a request is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Nothing: everybody may.
    Everybody,
    /// The address it comes from, or that the web server has let it in.
    AllowList,
    /// The name that the web server vouches for.
    User(String),
    /// The token of this name.
    Token(String),
    /// A URL signed by the key of this id.
    SignedUrl(String),
}

/// A request that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// By what.
    pub by: By,
    /// The largest upload, in bytes, beside the node's own limit.
    pub max_size: Option<u64>,
}

impl Admitted {
    /// Whether a browser sends along by itself what admits it, whichever page makes it send the request.
    pub fn is_ambient(&self) -> bool {
        matches!(self.by, By::AllowList | By::User(_))
    }
}

/// Why a request is refused. The texts are for the log: a client is told nothing, for it might be guessing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It shows nothing that would allow it.
    #[error("neither its address nor anything that it shows allows it")]
    Nothing,
    /// Its token does not allow it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Its URL's signature does not allow it.
    #[error(transparent)]
    SignedUrl(#[from] SignatureError),
    /// The web server vouches for somebody who may not do this.
    #[error("user {}: {lacking}", .name.escape_debug())]
    User {
        /// Who.
        name: String,
        /// What is lacking.
        lacking: Lacking,
    },
}

/// What is said to a request: it is allowed, and by what, or refused, and why.
pub type Decision = Result<Admitted, Refused>;

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Everybody => f.write_str("everybody"),
            By::AllowList => f.write_str("[write] allow"),
            By::User(name) => write!(f, "user {}", name.escape_debug()),
            By::Token(name) => write!(f, "token {name}"),
            By::SignedUrl(key) => write!(f, "a URL signed by key {key}"),
        }
    }
}

impl Access {
    /// Whether reading at a decoded path needs a right.
    pub fn is_private(&self, path: &[u8]) -> bool {
        self.private.iter().any(|prefix| prefix.covers(path))
    }

    /// Decides about one request.
    pub fn decide(&self, tokens: &Tokens, question: &Question<'_>) -> Decision {
        let Question { operation, method, path, query, address, now, .. } = *question;
        let by = |by| Ok(Admitted { by, max_size: None });
        if operation == Operation::Get && !self.is_private(path) {
            return by(By::Everybody);
        }
        if let Some(query) = query.filter(|query| signed::is_signed(query)) {
            // The method is signed rather than the operation: a URL for PUT is none for COPY, which stores as well.
            let verified = signed::verify(&self.sign_keys, &Presented { method, path, query, address, now })?;
            return Ok(Admitted { by: By::SignedUrl(verified.key), max_size: verified.max_size });
        }
        if let Some(token) = question.authorization.and_then(bearer) {
            return by(By::Token(tokens.allow(token, operation, path, now)?.name.clone()));
        }
        let user = question.user.filter(|user| !user.is_empty());
        let mut refused = Refused::Nothing;
        if let Some(name) = user {
            for user in self.users.iter().filter(|user| user.name == name) {
                match user.right.allows(operation, path) {
                    Ok(()) => return by(By::User(name.to_owned())),
                    Err(lacking) => refused = Refused::User { name: name.to_owned(), lacking },
                }
            }
        }
        let is_write = matches!(operation, Operation::Put | Operation::Delete);
        if is_write && self.allow.admits(address, user) { by(By::AllowList) } else { Err(refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::signed::{Grant, SignedMethod, sign};
    use super::token::{Token, TokenHash};
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn right(prefix: &str, operations: &[Operation]) -> Right {
        Right { prefix: prefix.parse().unwrap(), operations: operations.to_vec() }
    }

    fn access() -> Access {
        let user = |prefix, operations: &[Operation]| User {
            name: "ann".to_owned(),
            right: right(prefix, operations),
        };
        Access {
            allow: AllowList::new(vec!["10.0.0.0/8".parse().unwrap()]),
            users: vec![user("/members/", &[Operation::Get]), user("/ann/", &[Operation::Put])],
            private: vec!["/members/".parse().unwrap()],
            sign_keys: vec![SigningKey::new("k", b"0123456789abcdef").unwrap()],
        }
    }

    fn tokens() -> Tokens {
        let operations = [Operation::Put, Operation::Metrics];
        Tokens(vec![Token {
            name: "ci".to_owned(),
            hash: TokenHash::of(b"wdfs_1"),
            right: right("/", &operations),
            expires: None,
        }])
    }

    fn question(operation: Operation, path: &str) -> Question<'_> {
        let method = if operation == Operation::Get { "GET" } else { "PUT" };
        let (query, authorization, address, user) = (None, None, None, None);
        Question { operation, method, path: path.as_bytes(), query, authorization, address, user, now: NOW }
    }

    fn admitted(question: Question<'_>) -> Result<By, Refused> {
        access().decide(&tokens(), &question).map(|admitted| admitted.by)
    }

    #[test]
    fn everybody_may_read_what_is_not_private_and_nobody_else_may_do_anything() {
        for path in ["/", "/a.jpg", "/members", "/membersx/a.jpg"] {
            assert_eq!(admitted(question(Operation::Get, path)), Ok(By::Everybody), "{path}");
        }
        for (operation, path) in [
            (Operation::Get, "/members/"),
            (Operation::Get, "/members/a.jpg"),
            (Operation::Put, "/a.jpg"),
            (Operation::Delete, "/a.jpg"),
            (Operation::List, "/"),
            (Operation::Ui, "/"),
            (Operation::Metrics, "/"),
        ] {
            assert_eq!(admitted(question(operation, path)), Err(Refused::Nothing), "{operation} {path}");
        }
    }

    #[test]
    fn an_address_gives_the_right_to_write_and_no_other() {
        let address = Some([10, 1, 2, 3].into());
        for (operation, may) in [
            (Operation::Put, true),
            (Operation::Delete, true),
            (Operation::Get, false),
            (Operation::List, false),
            (Operation::Ui, false),
            (Operation::Metrics, false),
        ] {
            let found = admitted(Question { address, ..question(operation, "/members/a.jpg") });
            assert_eq!(found == Ok(By::AllowList), may, "{operation}: {found:?}");
        }
    }

    #[test]
    fn whoever_shows_a_token_or_a_signature_is_judged_by_it_alone() {
        let address = Some([10, 1, 2, 3].into());
        let with = |authorization: &'static str, operation| {
            let authorization = Some(authorization.as_bytes());
            admitted(Question { address, authorization, ..question(operation, "/a.jpg") })
        };
        assert_eq!(with("Bearer wdfs_1", Operation::Put), Ok(By::Token("ci".to_owned())));
        assert_eq!(with("Bearer wdfs_1", Operation::Metrics), Ok(By::Token("ci".to_owned())));
        assert!(matches!(with("Bearer wdfs_1", Operation::Delete), Err(Refused::Token(_))));
        assert_eq!(with("Bearer wdfs_2", Operation::Put), Err(TokenError::Unknown.into()));
        assert_eq!(with("Basic YTpi", Operation::Put), Ok(By::AllowList));
        let signed = |query: &'static str| {
            admitted(Question {
                address,
                query: Some(query.as_bytes()),
                ..question(Operation::Put, "/a.jpg")
            })
        };
        assert!(matches!(signed("webdfs-signature=00"), Err(Refused::SignedUrl(_))));
        assert_eq!(signed("v=1"), Ok(By::AllowList));
    }

    #[test]
    fn a_signed_url_is_no_right_to_anything_but_its_method() {
        let key = &access().sign_keys[0];
        let grant = |method, path| Grant { method, path, expires: NOW + 1, max_size: None, from: None };
        let url = sign(key, &grant(SignedMethod::Get, b"/members/a.jpg")).unwrap();
        let query = url.split_once('?').map(|(_, query)| query.as_bytes());
        let asked = Question { query, ..question(Operation::Get, "/members/a.jpg") };
        assert_eq!(admitted(asked), Ok(By::SignedUrl("k".to_owned())));
        for method in ["COPY", "MOVE", "POST", "DELETE", "PUT"] {
            assert!(admitted(Question { method, ..asked }).is_err(), "{method}");
        }
    }

    #[test]
    fn a_user_has_the_rights_of_the_list_and_those_of_the_allow_list() {
        let user = Some("ann");
        let asked = |operation, path| Question { user, ..question(operation, path) };
        assert_eq!(admitted(asked(Operation::Get, "/members/a.jpg")), Ok(By::User("ann".to_owned())));
        assert_eq!(admitted(asked(Operation::Put, "/ann/a.jpg")), Ok(By::User("ann".to_owned())));
        let refused = admitted(asked(Operation::Put, "/a.jpg")).unwrap_err();
        assert_eq!(refused.to_string(), "user ann: its prefix does not cover this path");
        let other = Question { user: Some("bob"), ..asked(Operation::Put, "/ann/a.jpg") };
        assert_eq!(admitted(other), Err(Refused::Nothing));
        let allow = AllowList::new(vec!["remote-user".parse().unwrap()]);
        let access = Access { allow, ..access() };
        assert!(access.decide(&tokens(), &other).is_ok());
    }
}
