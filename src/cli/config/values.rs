//! Which values of the shipped files are a node's own, and how each of them is written for its server.  Pure.

use std::path::Path;

use super::Filled;
use super::exclude::{Excluded, literal};
use super::prefix::Part;
use super::servers::{Server, SiteError};
use super::snippet::{Value, fill as fill_text};
use crate::config::{FcgiListen, Layout, Read, Site};

/// The values that the files are shipped with.
const ROOT: &str = "/srv/webdfs";
const SOCKET: &str = "/run/webdfs/webdfs.sock";
const NODE_TOML: &str = "/etc/webdfs/node.toml";
const PROGRAM: &str = "/usr/bin/webdfs";
/// The largest `server.max-request-size`: lighttpd keeps it in a signed number of 32 bits, and counts KiB.
const LIGHTTPD_KIB_MAX: u64 = i32::MAX as u64;
/// The end of a path's segment in a regular expression.
const END: &str = "(?:/|$)";
/// How many buffers nginx is shipped with for an answer, beside the one for the header.
const NGINX_BUFFERS: u64 = 15;
/// The size of each of them, in bytes.
const NGINX_BUFFER: u64 = 32 << 10;
/// What nginx and Apache are told not to serve, and of the folders on the way alone.
const NAMES: &str = r"\.(?:(?<=/\.)(?!well-known/)|(?:php|phtml|cgi|pl|py|sh|asp|jsp)(?:/|$))";
const FOLDERS: &str = r"\.(?:(?<=/\.)(?!well-known/)|(?:php|phtml|cgi|pl|py|sh|asp|jsp)/)";

/// The files of a server, filled in for a node whose program is `program`.
///
/// # Errors
/// When a value cannot be said there.
pub(super) fn fill(server: Server, site: &Site, program: &Path) -> Result<Vec<Filled>, SiteError> {
    let patterns = site.exclude_patterns.iter().map(|pattern| server.text("exclude", pattern, " '#"));
    let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
    // Stands in rewrite rules, where `$` and `%` mean something.
    let index = site.index.as_deref().unwrap_or_default();
    let private = site.private.iter().map(|prefix| server.text("[access] private", &prefix.to_string(), "$"));
    let private = private.collect::<Result<Vec<_>, _>>()?;
    // Stands in the line at the top of what is printed.
    server.path("the path of node.toml", &site.path)?;
    let index = server.text("index", index, " \"'\\$%{}")?;
    let root = server.path("root", &site.root)?;
    let node = Node {
        server,
        site,
        patterns,
        private,
        index,
        part: Part::of(server, site, &root)?,
        root,
        socket: match &site.fcgi {
            FcgiListen::Unix { path, .. } => Some(server.path("[listen] fcgi", path)?),
            _ => None,
        },
    };
    let file = |name, text, mut values: Vec<Value>| {
        let Some(part) = &node.part else { return Filled { name, text: fill_text(text, &values) } };
        values.extend(part.values(name));
        Filled { name, text: part.note(name) + &part.scoped(name, fill_text(text, &values)) }
    };
    Ok(match server {
        Server::Nginx => vec![
            file("webdfs-http.conf", include_str!("../../../nginx/webdfs-http.conf"), node.nginx_http()),
            file("webdfs.conf", include_str!("../../../nginx/webdfs.conf"), node.nginx()),
        ],
        Server::ApacheFcgid => {
            let values = node.apache_fcgid(program)?;
            vec![file("webdfs-fcgid.conf", include_str!("../../../apache/webdfs-fcgid.conf"), values)]
        }
        Server::ApacheProxy => {
            let text = include_str!("../../../apache/webdfs-proxy-fcgi.conf");
            vec![file("webdfs-proxy-fcgi.conf", text, node.apache_proxy())]
        }
        Server::Lighttpd => vec![
            file("webdfs.conf", include_str!("../../../lighttpd/webdfs.conf"), node.lighttpd(program)?),
            file("mimetypes.conf", include_str!("../../../lighttpd/mimetypes.conf"), Vec::new()),
        ],
        Server::Haproxy => {
            vec![file("webdfs.cfg", include_str!("../../../haproxy/webdfs.cfg"), node.haproxy())]
        }
        Server::Caddy => vec![file("Caddyfile", include_str!("../../../caddy/Caddyfile"), node.caddy())],
    })
}

/// One node, in values that the server can be told.
struct Node<'a> {
    server: Server,
    site: &'a Site,
    patterns: Vec<String>,
    /// As [`Site::private`], decoded.
    private: Vec<String>,
    /// Empty for none.
    index: String,
    root: String,
    /// `None` if all of the site is webdfs's.
    part: Option<Part>,
    socket: Option<String>,
}

impl Node<'_> {
    fn nginx_http(&self) -> Vec<Value> {
        let address = self.address().unwrap_or_else(|| format!("unix:{}", self.socket()));
        let mut values = vec![Value::new("unix:/run/webdfs/webdfs.sock", self.server.word_of(address))];
        if self.part.is_none() {
            values.push(self.root(ROOT));
        }
        values
    }

    fn nginx(&self) -> Vec<Value> {
        let size = format!("client_max_body_size {};", self.size(&["", "k", "m", "g"]));
        let index = match &*self.index {
            "" => "index /_webdfs/index;".to_owned(),
            index => format!("index {index} /_webdfs/index;"),
        };
        const EVERYTHING: &str = "#location / {\n#    error_page 404 = @webdfs;\n#    return 404;\n#}";
        let names = self.names(END);
        let names = match &self.part {
            Some(part) if part.may_be_one_of(&Excluded::of(&self.patterns, END)) => part.below(&names),
            _ => names,
        };
        let buffers = NGINX_BUFFERS.max(self.site.map_max / NGINX_BUFFER);
        let memory = (buffers + 1) * NGINX_BUFFER / 1024;
        let mut values = vec![
            Value::new("client_max_body_size 1g;", size.as_str()),
            Value::new(NAMES, names),
            Value::new("index index.html /_webdfs/index;", index),
            Value::new("fastcgi_buffers 15 32k;", format!("fastcgi_buffers {buffers} 32k;")),
            Value::new("512 KiB in memory", format!("{memory} KiB in memory")),
        ];
        let everything = match &self.part {
            None => EVERYTHING,
            Some(_) => "#return 404;",
        };
        let everything =
            if self.asks_for_everything() { everything.replace('#', "") } else { everything.to_owned() };
        values.push(Value::new(EVERYTHING, everything));
        if let Some(blocks) = self.private_lines(|path| {
            format!("location ^~ \"{path}\" {{\n    error_page 404 = @webdfs;\n    return 404;\n}}")
        }) {
            const BLOCK: &str =
                "#location ^~ \"/members/\" {\n#    error_page 404 = @webdfs;\n#    return 404;\n#}";
            values.push(Value::new(BLOCK, blocks));
        }
        match &self.part {
            None => values.push(self.root(ROOT)),
            Some(part) => values.extend(part.nginx(&size)),
        }
        values
    }

    fn apache(&self) -> Vec<Value> {
        let bytes = self.site.object_max.to_string();
        let digits = bytes.len();
        let index = match &*self.index {
            "" => "DirectoryIndex disabled".to_owned(),
            index => format!("DirectoryIndex {index}"),
        };
        let size =
            format!("{}, whose length has {digits} digits", self.size(&[" bytes", " KiB", " MiB", " GiB"]));
        let mut values = vec![
            self.root(ROOT),
            // Rules compare numbers as texts, so that first their lengths have to be the same.
            Value::new("1 GiB, whose length has 10 digits", size),
            Value::new("{10}$", format!("{{{digits}}}$")),
            Value::new(">1073741824", format!(">{bytes}")),
            Value::new("{11,}$", format!("{{{},}}$", digits + 1)),
            Value::new(NAMES, self.names(END)),
            Value::new(FOLDERS, self.names("/")),
            Value::new("$1index.html", format!("$1{}", self.index)),
            Value::new("DirectoryIndex index.html", index),
        ];
        if self.asks_for_everything() {
            values.push(Value::new("#RewriteRule", "RewriteRule"));
        }
        // Apache merges slashes, unless it is told not to.
        let pattern = |path: &str| {
            let path = literal(self.below(path));
            path.trim_end_matches('/').replace('/', "/+")
        };
        let line = |path: &str| format!("RewriteCond $1 \"!^{}/\"", pattern(path));
        if let Some(lines) = self.private_lines(line) {
            values.push(Value::new("#RewriteCond $1 \"!^/+members/\"", lines));
        }
        values
    }

    fn apache_fcgid(&self, program: &Path) -> Result<Vec<Value>, SiteError> {
        if self.site.fcgi != FcgiListen::Inherited {
            return Err(SiteError::FcgiSet);
        }
        let (program, folder, name) = self.program(program)?;
        let mut values = self.apache();
        values.extend([
            Value::new(PROGRAM, program),
            Value::new("<Directory \"/usr/bin\">", format!("<Directory \"{folder}\">")),
            Value::new("<Files \"webdfs\">", format!("<Files \"{name}\">")),
            self.node_toml()?,
        ]);
        Ok(values)
    }

    fn apache_proxy(&self) -> Vec<Value> {
        let target = match self.address() {
            Some(address) => format!("fcgi://{address}/"),
            None => format!("unix:{}|fcgi://webdfs/", self.socket()),
        };
        let mut values = self.apache();
        values.push(Value::new("unix:/run/webdfs/webdfs.sock|fcgi://webdfs/", target));
        values
    }

    fn lighttpd(&self, program: &Path) -> Result<Vec<Value>, SiteError> {
        const QUERY: &str = "(?:[/?]|$)";
        let excluded = Excluded::of(&self.patterns, QUERY);
        let names = excluded.extensions.iter().map(|words| format!(r"\.(?:{words}){QUERY}"));
        let names: Vec<String> = names.chain(excluded.others).collect();
        let names = if names.is_empty() { format!(r"/\.webdfs{QUERY}") } else { names.join("|") };
        let hidden = if excluded.dotfiles { r"\.(?!(?-i:well-known)/)" } else { r"\.webdfs" };
        let (program, ..) = self.program(program)?;
        let size = self.site.object_max.div_ceil(1024);
        if size > LIGHTTPD_KIB_MAX {
            let (bytes, most) = (self.site.object_max, LIGHTTPD_KIB_MAX * 1024);
            return Err(SiteError::Limit { server: self.server.word(), bytes, most });
        }
        let index = match &*self.index {
            "" => "\"/_webdfs/client\"".to_owned(),
            index => format!("\"/$1{index}$2\""),
        };
        let responder = match self.host_and_port() {
            Some((host, port)) => {
                // An IPv6 address stands here without the brackets that set it off from the port.
                let host = host.trim_start_matches('[').trim_end_matches(']');
                format!("\"host\" => \"{host}\", \"port\" => {port}")
            }
            None => format!("\"socket\" => \"{}\"", self.socket()),
        };
        let mut values = vec![
            self.root(ROOT),
            self.node_toml()?,
            Value::new(PROGRAM, program),
            Value::new("server.max-request-size := 1048576", format!("server.max-request-size := {size}")),
            Value::new(r"\.(?:php|phtml|cgi|pl|py|sh|asp|jsp)(?:[/?]|$)", names),
            Value::new(r"\.(?!(?-i:well-known)/)", hidden),
            Value::new("\"/$1index.html$2\"", index),
            Value::new("\"socket\" => \"/run/webdfs/webdfs.sock\"", responder),
        ];
        let line = |path: &str| format!("\"(?i)^{}\" => \"/_webdfs/client\",", as_written(path));
        if let Some(lines) = self.private_lines(line) {
            let lines = lines.replace('\n', "\n    ");
            values.push(Value::new("#\"(?i)^/members/\" => \"/_webdfs/client\",", lines));
        }
        if self.site.fcgi == FcgiListen::Inherited {
            values.push(Value::new("#\"bin-path\"", "\"bin-path\""));
            values.push(Value::new("#\"max-procs\"", "\"max-procs\""));
        }
        if self.asks_for_everything() {
            values.push(Value::new("#url.rewrite-once", "url.rewrite-once"));
        }
        Ok(values)
    }

    fn haproxy(&self) -> Vec<Value> {
        let address = self.address().unwrap_or_else(|| self.socket());
        vec![
            Value::new(ROOT, self.server.word_of(self.root.clone())),
            Value::new(SOCKET, self.server.word_of(address)),
            Value::new("gt 1073741824", format!("gt {}", self.site.object_max)),
        ]
    }

    fn caddy(&self) -> Vec<Value> {
        const SHIPPED: &str = r"(?i)/\.|\.(php|phtml|cgi|pl|py|sh|asp|jsp)(/|$)";
        const END: &str = "(/|$)";
        let excluded = Excluded::of(&self.patterns, END);
        let mut names = vec![if excluded.dotfiles { r"/\.".to_owned() } else { format!(r"/\.webdfs{END}") }];
        names.extend(excluded.extensions.iter().map(|words| format!(r"\.({words}){END}")));
        names.extend(excluded.others);
        let address = self.address().unwrap_or_else(|| format!("unix/{}", self.socket()));
        let mut values = vec![
            Value::new("root * /srv/webdfs", format!("root * {}", self.server.word_of(self.root.clone()))),
            Value::new("unix//run/webdfs/webdfs.sock", self.server.word_of(address)),
            Value::new("max_size 1GiB", format!("max_size {}", self.size(&["B", "KiB", "MiB", "GiB"]))),
            Value::new(SHIPPED, format!("(?i){}", names.join("|"))),
        ];
        let line = |path: &str| {
            format!("not path_regexp {}", self.server.word_of(format!("^{}", literal(self.below(path)))))
        };
        if let Some(lines) = self.private_lines(line) {
            values.push(Value::new("#not path_regexp ^/members/", lines.replace('\n', "\n\t")));
        }
        if self.asks_for_everything() {
            // No request has this method.
            values.push(Value::new("\tmethod GET HEAD\n", "\tmethod NONE\n"));
        }
        values
    }

    /// The root as it stands within quotes or in a comment.
    fn root(&self, shipped: &'static str) -> Value {
        Value::new(shipped, self.root.clone())
    }

    /// node.toml, as an argument of a command line without quotes.
    fn node_toml(&self) -> Result<Value, SiteError> {
        let path = self.server.path("the path of node.toml", &self.site.path)?;
        Ok(Value::new(NODE_TOML, self.server.text("the path of node.toml", &path, " '")?))
    }

    /// The program's path, its folder and its name, likewise.
    fn program(&self, program: &Path) -> Result<(String, String, String), SiteError> {
        const WHAT: &str = "the path of this program";
        let path = self.server.path(WHAT, program)?;
        let path = self.server.text(WHAT, &path, " '")?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        Ok((
            path.clone(),
            if folder.is_empty() { "/".to_owned() } else { folder.to_owned() },
            name.to_owned(),
        ))
    }

    /// The socket's path; that of systemd's unit where node.toml names none.
    fn socket(&self) -> String {
        self.socket.clone().unwrap_or_else(|| SOCKET.to_owned())
    }

    /// Where to connect to over TCP.
    fn address(&self) -> Option<String> {
        self.host_and_port().map(|(host, port)| format!("{host}:{port}"))
    }

    /// The same in parts. Who listens everywhere is reached on this machine.
    fn host_and_port(&self) -> Option<(String, String)> {
        let FcgiListen::Tcp(address) = &self.site.fcgi else { return None };
        let (host, port) = address.rsplit_once(':')?;
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            host => host,
        };
        Some((host.to_owned(), port.to_owned()))
    }

    /// The names that nginx and Apache do not serve. It begins with the dot of most of them, which makes it cheap.
    fn names(&self, end: &str) -> String {
        let excluded = Excluded::of(&self.patterns, end);
        let hidden = if excluded.dotfiles { "(?!well-known/)".to_owned() } else { format!("webdfs{end}") };
        let extensions = excluded.extensions.iter().map(|words| format!("|(?:{words}){end}"));
        let others = excluded.others.iter().map(|other| format!("|{other}"));
        format!(r"\.(?:(?<=/\.){hidden}{}){}", extensions.collect::<String>(), others.collect::<String>())
    }

    /// Whether webdfs is asked for every file: the server would find none, since they do not lie under their URL paths, or
    /// would not know whether the one it finds is the newest, or who may have it.
    fn asks_for_everything(&self) -> bool {
        let all_is_private =
            self.site.private.iter().any(|private| private.covers(self.site.prefix.as_bytes()));
        self.site.layout != Layout::Path || self.site.read == Read::Quorum || all_is_private
    }

    /// What is to be said of each private path that is a part of what the node serves; none if there are none.
    fn private_lines(&self, line: impl Fn(&str) -> String) -> Option<String> {
        if self.private.is_empty() || self.asks_for_everything() {
            return None;
        }
        let lines: Vec<String> = self.private.iter().map(|path| line(path)).collect();
        Some(lines.join("\n"))
    }

    /// A URL path without the node's prefix, which some servers have taken away when they look at it.
    fn below<'p>(&self, path: &'p str) -> &'p str {
        self.part.as_ref().map_or(path, |part| part.strip(path))
    }

    /// `object_max` in the largest of the units (bytes and multiples of 1,024) in which it is a whole number.
    fn size(&self, units: &[&str]) -> String {
        let mut number = self.site.object_max;
        let mut unit = 0;
        while unit + 1 < units.len() && number.is_multiple_of(1024) {
            number /= 1024;
            unit += 1;
        }
        format!("{number}{}", units[unit])
    }
}

/// A regular expression for a URL path as clients may write it. Letters, digits and the few others that nobody encodes stand for
/// themselves: lighttpd leaves it to webdfs if they are encoded all the same. Anything else may be encoded or not.
fn as_written(path: &str) -> String {
    let byte = |byte: u8| match byte {
        b'.' => "\\.".to_owned(),
        b'/' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => "(?:%[0-9a-f]{2}|.)".to_owned(),
    };
    path.bytes().map(byte).collect()
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
