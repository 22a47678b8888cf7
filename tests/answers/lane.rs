//! A lane: a web server, set up in one way. Every lane runs the whole set on two places.

use crate::common::{Front, Options};

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
