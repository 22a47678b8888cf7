//! The web servers, and what each of them can be told.  Pure.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::semantics::FrontKind;

/// The web servers that webdfs has configurations for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Server {
    /// nginx: one file for the http block, one for the server block
    Nginx,
    /// Apache with mod_fcgid, which starts webdfs itself
    ApacheFcgid,
    /// Apache with mod_proxy_fcgi, connecting to a webdfs that runs on its own
    ApacheProxy,
    /// lighttpd, connecting to a webdfs or, without `fcgi` in node.toml, starting it
    Lighttpd,
    /// HAProxy
    Haproxy,
    /// Caddy
    Caddy,
}

/// Why a configuration cannot be filled in.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A value has a character that means something else in the server's configuration.
    #[error(
        "{server} cannot be told {what} {value:?}: {character:?} means something else in its configuration; rename it"
    )]
    Unsayable {
        /// The web server.
        server: &'static str,
        /// Which value.
        what: &'static str,
        /// The value.
        value: String,
        /// The first character that is in the way.
        character: char,
    },
    /// A path that is not text.
    #[error("{server} cannot be told {what} {path:?}, which is not UTF-8; rename it")]
    NotText {
        /// The web server.
        server: &'static str,
        /// Which value.
        what: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A limit that the server cannot hold.
    #[error("[write] object_max is {bytes} bytes, and {server} knows limits of up to {most} bytes: lower it")]
    Limit {
        /// The web server.
        server: &'static str,
        /// `object_max`.
        bytes: u64,
        /// The largest limit there.
        most: u64,
    },
    /// The web server starts webdfs, which is told to listen elsewhere.
    #[error(
        "[listen] fcgi is set, but mod_fcgid starts webdfs itself and hands it the socket: take fcgi out of node.toml, or use apache-proxy"
    )]
    FcgiSet,
    /// There is no such file among those of the server.
    #[error("there is no file {name}; use one of {known}")]
    NoSuchFile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file, or its folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Server {
    /// Its name on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Server::Nginx => "nginx",
            Server::ApacheFcgid => "apache-fcgid",
            Server::ApacheProxy => "apache-proxy",
            Server::Lighttpd => "lighttpd",
            Server::Haproxy => "haproxy",
            Server::Caddy => "caddy",
        }
    }

    /// The values of `front` that go with it.
    pub(super) fn fronts(self) -> &'static [FrontKind] {
        match self {
            Server::Nginx => &[FrontKind::Nginx],
            Server::ApacheFcgid | Server::ApacheProxy => &[FrontKind::Apache],
            Server::Lighttpd => &[FrontKind::Lighttpd],
            Server::Haproxy => &[FrontKind::Plain],
            Server::Caddy => &[FrontKind::Caddy, FrontKind::Caddy26, FrontKind::CaddyDash],
        }
    }

    /// What tells whether the server accepts its configuration.
    pub(super) fn test_command(self) -> &'static str {
        match self {
            Server::Nginx => "nginx -t",
            Server::ApacheFcgid | Server::ApacheProxy => "apachectl configtest",
            Server::Lighttpd => "lighttpd -tt -f /etc/lighttpd/lighttpd.conf",
            Server::Haproxy => "haproxy -c -f /etc/haproxy/haproxy.cfg -f webdfs.cfg",
            Server::Caddy => "caddy validate --config /etc/caddy/Caddyfile",
        }
    }

    /// Where its files go.
    pub(super) fn place(self) -> &'static str {
        match self {
            Server::Nginx => {
                "webdfs-http.conf goes into nginx's http block, webdfs.conf into the site's server block, both by `include`"
            }
            Server::ApacheFcgid | Server::ApacheProxy => {
                "it goes into the site's <VirtualHost> by `Include`, as the last line"
            }
            Server::Lighttpd => "both files go into lighttpd.conf by `include`, after your own settings",
            Server::Haproxy => {
                "it is a file of its own beside haproxy.cfg: `haproxy -f haproxy.cfg -f webdfs.cfg`"
            }
            Server::Caddy => "it goes into the site's block in the Caddyfile by `import`",
        }
    }

    /// The characters that no value may have, beside control characters.
    fn forbidden(self) -> &'static str {
        match self {
            Server::Nginx => "\"\\",
            // Within quotes, in rules that know `$0` and `%{...}`.
            Server::ApacheFcgid | Server::ApacheProxy => "\"\\$%|",
            Server::Lighttpd => "\"\\",
            Server::Haproxy => "'\"\\",
            Server::Caddy => "\"`{}",
        }
    }

    /// A value in quotes if it has a space, where the server needs them.
    pub(super) fn word_of(self, value: String) -> String {
        let quote = match self {
            Server::Haproxy => '\'',
            _ => '"',
        };
        if value.contains(|c: char| c.is_whitespace() || ";#$".contains(c)) {
            format!("{quote}{value}{quote}")
        } else {
            value
        }
    }

    /// The value of a path, if the server can be told it.
    pub(super) fn path(self, what: &'static str, path: &Path) -> Result<String, SiteError> {
        let server = self.word();
        let not_text = || SiteError::NotText { server, what, path: path.to_owned() };
        let wildcards = match self {
            Server::ApacheFcgid | Server::ApacheProxy => "*?[]",
            _ => "",
        };
        self.text(what, path.to_str().ok_or_else(not_text)?, wildcards)
    }

    /// A value, if the server can be told it; `also` are characters that it must not have either.
    pub(super) fn text(self, what: &'static str, value: &str, also: &str) -> Result<String, SiteError> {
        let bad = |c: &char| c.is_control() || self.forbidden().contains(*c) || also.contains(*c);
        match value.chars().find(bad) {
            None => Ok(value.to_owned()),
            Some(character) => {
                Err(SiteError::Unsayable { server: self.word(), what, value: value.to_owned(), character })
            }
        }
    }
}
