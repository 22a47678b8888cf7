//! ETag and Last-Modified (RFC 9110 section 8.8, design section 4).  Pure.
//!
//! They are those that the web server in front would send for the same file, so that a client cannot tell whether
//! the server or webdfs answered, nor which node did.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};

use super::ascii_value;
use crate::version::Version;

/// The web server in front of webdfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FrontKind {
    /// nginx.
    Nginx,
    /// Apache httpd, with its default `FileETag MTime Size`.
    Apache,
    /// lighttpd, with `etag.use-inode = "disable"`.
    Lighttpd,
    /// Caddy whose ETag has the mtime in nanoseconds and then the size. By its source; none was at hand to ask.
    Caddy,
    /// Caddy whose ETag has a dash between the two, as its source does now. Again by that alone.
    #[serde(rename = "caddy-dash")]
    CaddyDash,
    /// Caddy whose ETag has whole seconds: 2.6, as in Debian 12, and 2.7.
    #[serde(rename = "caddy-2.6")]
    Caddy26,
    /// None that serves files itself: the embedded front, or a mere proxy. Answers like nginx.
    Plain,
}

/// What identifies one state of an object to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validators {
    /// The version, which is the file's mtime.
    pub version: Version,
    /// Length in bytes.
    pub size: u64,
    /// Whose form of ETag is used.
    pub front: FrontKind,
}

impl Validators {
    /// The strong entity tag, quotes included.
    pub fn etag(&self) -> HeaderValue {
        let Self { version, size, front } = *self;
        ascii_value(match front {
            FrontKind::Nginx | FrontKind::Plain => format!("\"{:x}-{size:x}\"", version.seconds()),
            FrontKind::Apache => format!("\"{size:x}-{:x}\"", version.nanos() / 1000),
            FrontKind::Lighttpd => format!("\"{}\"", lighttpd_hash(version, size)),
            FrontKind::Caddy => format!("\"{}{}\"", base_36(version.nanos()), base_36(size)),
            FrontKind::CaddyDash => format!("\"{}-{}\"", base_36(version.nanos()), base_36(size)),
            FrontKind::Caddy26 => format!("\"{}{}\"", base_36(version.seconds()), base_36(size)),
        })
    }

    /// The version in whole seconds, as an IMF-fixdate (RFC 9110 section 5.6.7).
    pub fn last_modified(&self) -> HeaderValue {
        // 64 bits of nanoseconds end in the year 2554, well within what the format can say.
        ascii_value(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.version.seconds())))
    }

    /// Sets both headers.
    pub fn insert_into(&self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.etag());
        headers.insert(LAST_MODIFIED, self.last_modified());
    }
}

/// lighttpd hashes size, mtime in seconds and the nanoseconds within, each as eight bytes in the machine's order
/// (little-endian here: the form of all its common platforms), with the hash of Knuth, The Art of Computer
/// Programming vol. 3, section 6.4, and prints it in decimal (lighttpd 1.4.69, `http_etag.c`, `algo_md.h`).
fn lighttpd_hash(version: Version, size: u64) -> u32 {
    let nanos = u64::from(version.subsecond_nanos());
    let bytes = [size, version.seconds(), nanos].map(u64::to_le_bytes);
    let length = size_of_val(&bytes) as u32;
    bytes.iter().flatten().fold(length, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte))
}

/// A number as Go's `strconv.FormatInt(number, 36)` writes it, which is what Caddy uses.
fn base_36(mut number: u64) -> String {
    const BASE: u64 = 36;
    const DIGITS: &[u8; BASE as usize] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(DIGITS[(number % BASE) as usize]));
        number /= BASE;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators(seconds: i64, nanos: i64, size: u64, front: FrontKind) -> Validators {
        Validators { version: Version::from_mtime(seconds, nanos), size, front }
    }

    #[test]
    fn the_etag_is_the_one_the_front_gives_the_same_file() {
        use FrontKind::{Apache, Caddy, Caddy26, CaddyDash, Lighttpd, Nginx, Plain};
        let cases = [
            // Size, mtime, and what the servers answered: nginx 1.22.1, lighttpd 1.4.69, Caddy 2.6.2; Apache's by its
            // documented form, that of later Caddys by their source (`calculateEtag` in `staticfiles.go`).
            (10, 1_700_000_000, 0, Nginx, "\"6553f100-a\""),
            (10, 1_700_000_000, 999_999_999, Nginx, "\"6553f100-a\""),
            (10, 1_700_000_000, 0, Plain, "\"6553f100-a\""),
            (0, 0, 0, Nginx, "\"0-0\""),
            (10, 1_700_000_000, 0, Apache, "\"a-60a24181e4000\""),
            (10, 1_700_000_000, 1_999, Apache, "\"a-60a24181e4001\""),
            (10, 1_700_000_000, 0, Lighttpd, "\"1213218016\""),
            (3, 1_706_933_106, 123_456_789, Lighttpd, "\"3194732327\""),
            (70_000, 1_706_933_106, 999_999_999, Lighttpd, "\"1010301559\""),
            (0, 0, 0, Lighttpd, "\"402653184\""),
            (5, 1_700_000_000, 123_456_789, Caddy26, "\"s44we85\""),
            (70_000, 1_706_933_106, 999_999_999, Caddy26, "\"s89i0i1i0g\""),
            (0, 0, 0, Caddy26, "\"00\""),
            (5, 1_700_000_000, 123_456_789, Caddy, "\"cwyvpeni7w9h5\""),
            (70_000, 1_706_933_106, 0, Caddy, "\"cyv5abitmgw01i0g\""),
            (5, 1_700_000_000, 123_456_789, CaddyDash, "\"cwyvpeni7w9h-5\""),
            (70_000, 1_706_933_106, 0, CaddyDash, "\"cyv5abitmgw0-1i0g\""),
        ];
        for (size, seconds, nanos, front, etag) in cases {
            assert_eq!(
                validators(seconds, nanos, size, front).etag(),
                etag,
                "{front:?} {size} {seconds}.{nanos}"
            );
        }
    }

    #[test]
    fn last_modified_is_the_whole_second_of_the_version() {
        let at = |seconds, nanos| validators(seconds, nanos, 1, FrontKind::Nginx).last_modified();
        assert_eq!(at(1_700_000_000, 999_999_999), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(at(0, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(i64::MAX, 0), "Sun, 21 Jul 2554 23:34:33 GMT");
    }

    #[test]
    fn the_extremes_of_size_and_version_have_validators_too() {
        use FrontKind::{Apache, Caddy, Caddy26, CaddyDash, Lighttpd, Nginx, Plain};
        for front in [Nginx, Apache, Lighttpd, Caddy, Caddy26, CaddyDash, Plain] {
            let mut headers = HeaderMap::new();
            let extreme = Validators { version: Version::from_nanos(u64::MAX), size: u64::MAX, front };
            extreme.insert_into(&mut headers);
            assert_eq!(headers[ETAG], extreme.etag());
            assert_eq!(headers[LAST_MODIFIED], extreme.last_modified());
        }
    }
}
