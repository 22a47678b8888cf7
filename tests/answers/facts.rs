//! Facts about web servers that keep them from answering as the others do. Each is one sentence, true of the server
//! whatever webdfs does and however it is configured; a difference that can be configured away is no fact.

use super::lane::{Lane, Place};
use crate::common::Front;

/// More would be no exceptions any more.
pub const FACTS_MAX: usize = 12;
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

pub static NGINX_MATCH_AND_DATE: Fact =
    Fact { text: "nginx asks If-Unmodified-Since before If-Match, where both are sent", of: nginx_sends };

pub static FOLDER_REDIRECT: Fact = Fact {
    text: "a server that looks for files first leads from the name of a folder on its disk to that with a slash (301)",
    of: |lane, place| lane.is_static_first() && place == Place::Local,
};
