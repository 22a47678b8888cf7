//! The web servers that a cluster can run behind.

/// What stands in front of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// nginx as shipped: it serves the files that are on its disk itself.
    Nginx,
    /// nginx that leaves every request to webdfs, as a site does that wants each of them seen.
    Responder,
    /// No web server.
    Embedded,
    /// Apache with mod_fcgid: it starts webdfs itself; `webdfs agent` runs beside it.
    ApacheFcgid,
    /// Apache with mod_proxy_fcgi, connecting to a webdfs that runs on its own.
    ApacheProxy,
    /// lighttpd, connecting to a webdfs that runs on its own.
    Lighttpd,
    /// lighttpd, which starts several webdfs itself (`bin-path`, `max-procs`).
    LighttpdSpawned,
    /// HAProxy, which has no files of its own.
    Haproxy,
    /// Caddy.
    Caddy,
}

impl Front {
    /// What runs for a node beside the web server.
    pub fn role(self) -> Option<&'static str> {
        match self {
            Front::ApacheFcgid => Some("agent"),
            Front::LighttpdSpawned => None,
            _ => Some("serve"),
        }
    }

    /// `front` in node.toml.
    pub fn word(self) -> &'static str {
        match self {
            Front::Nginx | Front::Responder | Front::Embedded => "nginx",
            Front::ApacheFcgid | Front::ApacheProxy => "apache",
            Front::Lighttpd | Front::LighttpdSpawned => "lighttpd",
            Front::Haproxy => "plain",
            // Debian's.
            Front::Caddy => "caddy-2.6",
        }
    }
}
