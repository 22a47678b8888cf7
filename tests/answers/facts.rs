//! Facts about web servers that keep them from answering as the others do. Each is one sentence, true of the server
//! whatever webdfs does and however it is configured; a difference that can be configured away is no fact.

use super::lane::{Lane, Place};
use crate::common::Front;

/// More would be no exceptions any more.
pub const FACTS_MAX: usize = 25;
/// Cases with an exception, counted once for each fact.
pub const EXCEPTIONS_MAX: usize = 70;

pub struct Fact {
    pub text: &'static str,
    /// Of which lanes and places it is true.
    of: fn(&Lane, Place) -> bool,
}

impl Fact {
    pub fn holds(&self, lane: &Lane, place: Place) -> bool {
        (self.of)(lane, place)
    }
}

impl std::fmt::Debug for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text)
    }
}

fn is_nginx(lane: &Lane) -> bool {
    matches!(lane.front, Front::Nginx | Front::Responder)
}

fn is_apache(lane: &Lane) -> bool {
    matches!(lane.front, Front::ApacheFcgid | Front::ApacheProxy)
}

fn is_lighttpd(lane: &Lane) -> bool {
    matches!(lane.front, Front::Lighttpd | Front::LighttpdSpawned)
}

fn is_caddy(lane: &Lane) -> bool {
    lane.front == Front::Caddy
}

fn is_haproxy(lane: &Lane) -> bool {
    lane.front == Front::Haproxy
}

/// Whether the web server sends a file that it has found. nginx also fetches from the nginx that has.
fn sends_itself(lane: &Lane, place: Place) -> bool {
    lane.is_static_first() && (place == Place::Local || is_nginx(lane))
}

// ---- Of files that the web server finds itself ----

pub static HEAD_RANGE: Fact = Fact {
    text: "nginx, Apache and Caddy answer HEAD with Range as they would answer GET",
    of: |lane, place| !is_lighttpd(lane) && sends_itself(lane, place),
};

pub static BOTH_CONDITIONS: Fact = Fact {
    text: "nginx and Apache send 304 only if If-None-Match and If-Modified-Since both say so, where both are sent",
    of: |lane, place| (is_nginx(lane) || is_apache(lane)) && sends_itself(lane, place),
};

pub static MATCH_AND_DATE: Fact = Fact {
    text: "nginx and Apache heed If-Unmodified-Since also beside an If-Match that holds",
    of: |lane, place| (is_nginx(lane) || is_apache(lane)) && sends_itself(lane, place),
};

pub static NGINX_BROKEN_DATE: Fact = Fact {
    text: "nginx takes an If-Unmodified-Since that is no date for one that has passed",
    of: |lane, place| is_nginx(lane) && sends_itself(lane, place),
};

pub static FOLDER_REDIRECT: Fact = Fact {
    text: "nginx leads from the name of a folder on its disk to that with a slash (301)",
    of: |lane, place| is_nginx(lane) && lane.is_static_first() && place == Place::Local,
};

/// The set waits for it; so this is no exception of any case.
pub static APACHE_YOUNG: Fact = Fact {
    text: "Apache calls the ETag of its own file weak (W/) until it is a second old, and sends no Last-Modified of the future",
    of: |lane, _| is_apache(lane),
};

pub static APACHE_FUTURE: Fact = Fact {
    text: "Apache passes over an If-Modified-Since that lies in the future",
    of: |lane, place| is_apache(lane) && sends_itself(lane, place),
};

pub static APACHE_416: Fact = Fact {
    text: "Apache sends 416 without Content-Range",
    of: |lane, place| is_apache(lane) && sends_itself(lane, place),
};

pub static APACHE_NO_TYPE: Fact = Fact {
    text: "Apache sends a file of an extension that it does not know without Content-Type",
    of: |lane, place| is_apache(lane) && sends_itself(lane, place),
};

pub static LIGHTTPD_416: Fact = Fact {
    text: "lighttpd sends 416 without Content-Range",
    of: |lane, place| is_lighttpd(lane) && sends_itself(lane, place),
};

pub static LIGHTTPD_NONSENSE: Fact = Fact {
    text: "lighttpd sends the parts that it understands of a Range that is partly nonsense",
    of: |lane, place| is_lighttpd(lane) && sends_itself(lane, place),
};

pub static GO_RANGES: Fact = Fact {
    text: "Caddy (Go) answers a range of another unit with 416, and no last bytes with 206",
    of: |lane, place| is_caddy(lane) && sends_itself(lane, place),
};

// ---- Of every request ----

pub static NGINX_ASTERISK: Fact =
    Fact { text: "nginx takes no `*` for a target", of: |lane, _| is_nginx(lane) };

pub static ASTERISK: Fact = Fact {
    text: "Apache, lighttpd and Caddy answer `OPTIONS *` themselves, since it is about the server",
    of: |lane, _| is_apache(lane) || is_lighttpd(lane) || is_caddy(lane),
};

pub static APACHE_NUL: Fact =
    Fact { text: "Apache answers an encoded NUL with 404 itself", of: |lane, _| is_apache(lane) };

pub static APACHE_HEAD_EMPTY: Fact = Fact {
    text: "Apache leaves `Content-Length: 0` out of the answer to HEAD",
    of: |lane, _| is_apache(lane),
};

pub static FCGID_TRACE: Fact = Fact {
    text: "Apache answers TRACE itself unless it is a proxy, with an empty Allow where it is switched off",
    of: |lane, _| lane.front == Front::ApacheFcgid,
};

pub static FCGID_CHUNKS: Fact = Fact {
    text: "mod_fcgid takes a chunked upload that Apache could not read to its end for a whole one, so that all are refused (411)",
    of: |lane, _| lane.front == Front::ApacheFcgid,
};

pub static LIGHTTPD_METHODS: Fact = Fact {
    text: "lighttpd answers a method that it does not know with 501",
    of: |lane, _| is_lighttpd(lane),
};

pub static LIGHTTPD_UTF8: Fact = Fact {
    text: "lighttpd closes the connection on a target that is not UTF-8, since its rewrite rules are matched as UTF-8",
    of: |lane, _| is_lighttpd(lane),
};

pub static CADDY_BAD_GATEWAY: Fact = Fact {
    text: "Caddy answers 502 where it cannot read the client's body to its end",
    of: |lane, _| is_caddy(lane),
};

pub static CONTINUES_FIRST: Fact = Fact {
    text: "HAProxy and Caddy let the client go on (100) before they know the answer",
    of: |lane, _| is_caddy(lane) || is_haproxy(lane),
};

pub static HAPROXY_CHUNKS: Fact = Fact {
    text: "HAProxy sends FastCGI no chunked upload that is larger than its buffer",
    of: |lane, _| is_haproxy(lane),
};

pub static HAPROXY_NO_CHUNK: Fact = Fact {
    text: "HAProxy never tells FastCGI the end of a chunked upload without bytes",
    of: |lane, _| is_haproxy(lane),
};
