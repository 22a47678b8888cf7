//! Facts about web servers that keep them from answering as the others do. Each is one sentence, true of the server
//! whatever webdfs does and however it is configured; a difference that can be configured away is no fact.

use super::lane::{Lane, Place};
use crate::common::Front;

/// More would be no exceptions any more.
pub const FACTS_MAX: usize = 20;
/// Cases with an exception, counted once for each fact.
pub const EXCEPTIONS_MAX: usize = 30;

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

/// Whether nginx itself sends the file: one that it has found, or one that webdfs has left to it.
fn nginx_sends(lane: &Lane, place: Place) -> bool {
    let hands_over = lane.options.deliver.contains("map_max");
    match place {
        Place::Local => is_nginx(lane) && (lane.is_static_first() || hands_over),
        // The owner's nginx sends it, and ours passes its answer on.
        Place::Remote => is_nginx(lane) && (lane.is_static_first() || hands_over),
    }
}

pub static NGINX_HEAD_RANGE: Fact = Fact {
    text: "nginx answers HEAD with Range as it would answer GET (its range filter does not look at the method)",
    of: nginx_sends,
};

pub static NGINX_BOTH_CONDITIONS: Fact = Fact {
    text: "nginx sends 304 only if If-None-Match and If-Modified-Since both say so, where both are sent",
    of: nginx_sends,
};

pub static NGINX_BROKEN_DATE: Fact = Fact {
    text: "nginx takes an If-Unmodified-Since that is no date for one that has passed",
    of: nginx_sends,
};

pub static NGINX_ASTERISK: Fact =
    Fact { text: "nginx takes no `*` for a target", of: |lane, _| is_nginx(lane) };

pub static ASTERISK: Fact = Fact {
    text: "Apache, lighttpd and Caddy answer `OPTIONS *` themselves, since it is about the server",
    of: |lane, _| is_apache(lane) || is_lighttpd(lane) || is_caddy(lane),
};

/// The set waits for it; so this is no exception of any case.
pub static APACHE_YOUNG: Fact = Fact {
    text: "Apache calls the ETag of its own file weak (W/) until the file is a second old",
    of: |lane, _| is_apache(lane) && lane.is_static_first(),
};

pub static APACHE_NUL: Fact =
    Fact { text: "Apache answers an encoded NUL with 404 itself", of: |lane, _| is_apache(lane) };

pub static APACHE_HEAD_EMPTY: Fact = Fact {
    text: "Apache leaves `Content-Length: 0` out of the answer to HEAD",
    of: |lane, _| is_apache(lane),
};

pub static APACHE_FUTURE: Fact = Fact {
    text: "Apache passes over an If-Modified-Since that lies in the future, for its own files",
    of: |lane, place| is_apache(lane) && sends_itself(lane, place),
};

pub static FCGID_BROKEN_CHUNK: Fact = Fact {
    text: "Apache ends a body at a chunk that it cannot read, and mod_fcgid takes that for the end of the upload",
    of: |lane, _| lane.front == Front::ApacheFcgid,
};

pub static LIGHTTPD_METHODS: Fact = Fact {
    text: "lighttpd answers a method that it does not know with 501",
    of: |lane, _| is_lighttpd(lane),
};

pub static NO_CONTENT_RANGE: Fact = Fact {
    text: "Apache and lighttpd send 416 without Content-Range, for their own files",
    of: |lane, place| (is_apache(lane) || is_lighttpd(lane)) && sends_itself(lane, place),
};

pub static GO_UNITS: Fact = Fact {
    text: "Caddy (Go) answers a range of another unit with 416, for its own files",
    of: |lane, place| is_caddy(lane) && sends_itself(lane, place),
};

pub static CADDY_BAD_GATEWAY: Fact = Fact {
    text: "Caddy answers 502 where it cannot read the client's body to its end",
    of: |lane, _| is_caddy(lane),
};

pub static CONTINUES_FIRST: Fact = Fact {
    text: "Caddy lets the client go on (100) before it knows the answer",
    of: |lane, _| is_caddy(lane),
};

fn is_apache(lane: &Lane) -> bool {
    matches!(lane.front, Front::ApacheFcgid | Front::ApacheProxy)
}

fn is_lighttpd(lane: &Lane) -> bool {
    matches!(lane.front, Front::Lighttpd | Front::LighttpdSpawned)
}

fn is_caddy(lane: &Lane) -> bool {
    lane.front == Front::Caddy
}

/// Whether the web server sends a file that it has found.
fn sends_itself(lane: &Lane, place: Place) -> bool {
    lane.is_static_first() && place == Place::Local
}

pub static NGINX_MATCH_AND_DATE: Fact =
    Fact { text: "nginx asks If-Unmodified-Since before If-Match, where both are sent", of: nginx_sends };

pub static FOLDER_REDIRECT: Fact = Fact {
    text: "nginx leads from the name of a folder on its disk to that with a slash (301)",
    of: |lane, place| is_nginx(lane) && sends_itself(lane, place),
};
