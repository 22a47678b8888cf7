//! A lane: a web server, set up in one way. Every lane runs the whole set on two places.

use std::time::{Duration, SystemTime};

use super::facts::APACHE_YOUNG;
use crate::common::{Front, Options, wait_until};

/// Where the replicas are, as seen from the node that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It has one.
    Local,
    /// Only others have.
    Remote,
}

#[derive(Debug, Clone)]
pub struct Lane {
    pub name: &'static str,
    pub front: Front,
    pub options: Options,
}

impl Lane {
    pub fn places(&self) -> [Place; 2] {
        [Place::Local, Place::Remote]
    }

    /// Whether the web server looks for files itself.
    pub fn is_static_first(&self) -> bool {
        self.options.static_first
            && !matches!(self.front, Front::Embedded | Front::Responder | Front::Haproxy)
    }
}

impl Lane {
    /// Waits until the web server takes what was stored up to now for as good as any other file.
    pub fn wait_until_rested(&self) {
        if APACHE_YOUNG.holds(self, Place::Local) {
            // Versions are ahead of the clock by up to two seconds when one follows another.
            let rested = SystemTime::now() + Duration::from_secs(4);
            wait_until("the files have rested", || SystemTime::now() > rested);
        }
    }
}

/// Three nodes, two replicas: for every name there is a node without it.
fn lane(name: &'static str, front: Front, static_first: bool, deliver: &'static str) -> Lane {
    let options =
        Options { nodes: 3, replicas: 2, write_quorum: 2, static_first, deliver, ..Options::default() };
    Lane { name, front, options }
}

/// Small files too are left to the web server (X-Accel-Redirect, X-Sendfile).
const HAND_OVER: &str = "map_max = \"0B\"";

pub fn nginx() -> Lane {
    lane("nginx", Front::Nginx, true, "")
}

pub fn nginx_responder() -> Lane {
    lane("nginx, every request to webdfs", Front::Responder, false, "")
}

pub fn nginx_handing_over() -> Lane {
    lane("nginx, files by X-Accel-Redirect", Front::Responder, false, HAND_OVER)
}

pub fn nginx_proxying() -> Lane {
    lane("nginx, webdfs fetches from owners", Front::Responder, false, "remote = \"proxy\"")
}

pub fn embedded() -> Lane {
    lane("the embedded front", Front::Embedded, false, "")
}

pub fn apache_fcgid() -> Lane {
    lane("Apache with mod_fcgid", Front::ApacheFcgid, true, "")
}

pub fn apache_fcgid_responder() -> Lane {
    lane("Apache with mod_fcgid, every request to webdfs", Front::ApacheFcgid, false, "")
}

pub fn apache_proxy() -> Lane {
    lane("Apache with mod_proxy_fcgi", Front::ApacheProxy, true, "")
}

pub fn apache_proxy_responder() -> Lane {
    lane("Apache with mod_proxy_fcgi, every request to webdfs", Front::ApacheProxy, false, "")
}

pub fn apache_proxy_handing_over() -> Lane {
    lane("Apache, files by X-Sendfile", Front::ApacheProxy, false, HAND_OVER)
}

pub fn lighttpd() -> Lane {
    lane("lighttpd", Front::Lighttpd, true, "")
}

pub fn lighttpd_responder() -> Lane {
    lane("lighttpd, every request to webdfs", Front::Lighttpd, false, "")
}

pub fn lighttpd_handing_over() -> Lane {
    lane("lighttpd, files by X-Sendfile", Front::Lighttpd, false, HAND_OVER)
}

pub fn lighttpd_spawned() -> Lane {
    lane("lighttpd, which starts webdfs", Front::LighttpdSpawned, true, "")
}

pub fn haproxy() -> Lane {
    lane("HAProxy", Front::Haproxy, false, "")
}

pub fn caddy() -> Lane {
    lane("Caddy", Front::Caddy, true, "")
}

pub fn caddy_responder() -> Lane {
    lane("Caddy, every request to webdfs", Front::Caddy, false, "")
}
