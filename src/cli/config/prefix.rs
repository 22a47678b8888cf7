//! A node whose `prefix` is only a part of the site: the shipped files, which are about all of it, kept to the URLs
//! below the prefix.  Pure.

use percent_encoding::{CONTROLS, utf8_percent_encode};

use super::exclude::{Excluded, literal};
use super::servers::{Server, SiteError};
use super::snippet::Value;
use crate::config::Site;

/// The part of a site that a node serves.
#[derive(Debug)]
pub(super) struct Part {
    server: Server,
    /// The prefix without its last slash, decoded.
    path: String,
    /// The same as a regular expression.
    pattern: String,
    /// The root without a slash at its end.
    root: String,
}

/// A piece of a file that is put into a block of its own.
struct Block {
    /// How the piece begins.
    from: &'static str,
    /// How what follows it begins; `None`: the piece goes to the end of the file.
    to: Option<&'static str>,
    /// The lines that open the block, not indented.
    opening: String,
    indent: &'static str,
    /// An operator that does not belong into the block, and the one that does.
    operator: Option<[&'static str; 2]>,
}

impl Part {
    /// `None` if the node serves all of the site, or if the server's files do not depend on it.
    ///
    /// # Errors
    /// When the server cannot be told the prefix.
    pub(super) fn of(server: Server, site: &Site, root: &str) -> Result<Option<Self>, SiteError> {
        if site.prefix.as_bytes() == b"/" || server == Server::Haproxy {
            return Ok(None);
        }
        let path = server.text("prefix", &site.prefix.to_string(), "")?;
        let path = path.trim_end_matches('/').to_owned();
        // `alias` and `root` of nginx know variables.
        let also = if server == Server::Nginx { "$" } else { "" };
        let root = server.text("root", root.trim_end_matches('/'), also)?;
        Ok(Some(Self { server, pattern: literal(&path), path, root }))
    }

    /// A URL path below the prefix without it.
    pub(super) fn strip<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.path).unwrap_or(path)
    }

    /// What to say at the top of a file.
    pub(super) fn note(&self, file: &str) -> String {
        let how = match self.server {
            Server::Nginx if file == "webdfs-http.conf" => return String::new(),
            Server::Nginx => "# Sections 1 and 2 are one location of the server block for them.\n",
            Server::ApacheFcgid => {
                "# An Alias (mod_alias) takes the place of DocumentRoot. AllowEncodedSlashes and TraceEnable hold for the virtual\n\
                 # host as a whole.\n"
            }
            Server::ApacheProxy => {
                "# An Alias (mod_alias) takes the place of DocumentRoot. AllowEncodedSlashes holds for the virtual host as a whole.\n"
            }
            Server::Lighttpd if file == "mimetypes.conf" => "",
            Server::Lighttpd => {
                "# An alias takes the place of server.document-root. Load mod_alias before mod_rewrite. What holds for all of\n\
                 # the server is `server.http-parseopts`, `server.stat-cache-engine` and `etag.use-inode`.\n"
            }
            Server::Haproxy | Server::Caddy => "# Sections 2 and 3 are one `handle` for them.\n",
        };
        format!("# For the URLs below {}/ and no others.\n{how}", self.path)
    }

    /// Whether an expression about these names could match within the prefix. Most begin with a dot.
    pub(super) fn may_be_one_of(&self, excluded: &Excluded) -> bool {
        self.path.contains('.') || !excluded.others.is_empty()
    }

    /// An expression about names, told to look at what follows the prefix alone.
    pub(super) fn below(&self, names: &str) -> String {
        format!("(?s)^{}(?=/).*?(?:{names})", self.pattern)
    }

    /// What stands in a file in the place of what is about all of the site; for nginx's second file, see
    /// [`nginx`](Self::nginx).
    pub(super) fn values(&self, file: &str) -> Vec<Value> {
        const APACHE_OTHERS: &str = "# - A path that is not for webdfs (an Alias, a ProxyPass, another application) needs a line above the Include:\n\
                                     #       RewriteRule \"^/app/\" \"-\" [END]\n";
        const LIGHTTPD_OTHERS: &str = "# - Parts of the site that are no files of webdfs, an application in PHP for instance, are taken out after the include:\n\
                                       #       $HTTP[\"url\"] =~ \"^/app/\" { url.rewrite-once = () url.rewrite-repeat-if-not-file = () }\n";
        let Self { path, pattern, root, .. } = self;
        match (self.server, file) {
            (Server::Nginx, "webdfs-http.conf") => vec![Value::new("#             root /srv/webdfs;\n", "")],
            (Server::ApacheFcgid | Server::ApacheProxy, _) => vec![
                Value::new(APACHE_OTHERS, ""),
                Value::new("DocumentRoot \"/srv/webdfs\"", format!("Alias \"{path}/\" \"{root}/\"")),
                Value::new("\"^(/", format!("\"^{pattern}(/")),
                Value::new("\"^/(?!_webdfs/v1/)\"", format!("\"^{pattern}/\"")),
                Value::new("\"^/\"", format!("\"^(?:{pattern}|/_webdfs/v1)/\"")),
            ],
            (Server::Lighttpd, "webdfs.conf") => vec![
                Value::new(
                    "#     server.document-root = \"/srv/webdfs\"             # the `root` of node.toml\n",
                    "",
                ),
                Value::new(LIGHTTPD_OTHERS, ""),
                // An alias comes before the rules that look for the file.
                Value::new("( \"mod_rewrite\",", "( \"mod_alias\", \"mod_rewrite\","),
            ],
            (Server::Caddy, _) => vec![
                Value::new("handle /_webdfs/v1/* {\n", "handle /_webdfs/v1/* {\n\trequest_header -*_*\n"),
                Value::new(
                    "\tfile {path}\n",
                    "\t# A path that is written in an odd way keeps its prefix, and is left to the responder.\n\
                     \tnot vars {http.request.uri.path} {http.request.orig_uri.path}\n\tfile {path}\n",
                ),
            ],
            _ => Vec::new(),
        }
    }

    /// The same for nginx's second file, where the limit of uploads is `upload_max`.
    ///
    /// Named locations cannot stand in another, so that what the server block says for all is said in each of them.
    pub(super) fn nginx(&self, upload_max: &str) -> Vec<Value> {
        const OTHERS: &str = "# This file contains no path of yours. A file that is on this disk is served as it always was, by whichever location of\n\
            # yours applies to it, and costs next to nothing extra. What nginx cannot answer (a file that is not here; PUT, DELETE and\n\
            # every other method) goes to the responder, by way of `error_page`. Hence three things to look at in your own lines:\n\
            #\n\
            # - `error_page` for 301, 404 or 405 in this server block or in its locations wins over, or switches off, the one\n\
            #   below. Take it out.\n\
            # - `try_files` has to end in =404, as in Debian's default site, not in a page of its own.\n\
            # - `expires` and `add_header` belong at this level rather than into a location, or else they hold only for\n\
            #   the files that happen to be on this disk.\n";
        const OWN: &str = "# A file that is on this disk is served by nginx. What nginx cannot answer (a file that is not here; PUT, DELETE and\n\
            # every other method) goes to the responder, by way of `error_page`. `expires` and `add_header` belong into the server\n\
            # block rather than into the location, or else they hold only for the files that happen to be on this disk.\n";
        const LOCATIONS: [&str; 7] = [
            "location @webdfs {\n",
            "location = /_webdfs/index {\n",
            "location @webdfs_folder {\n",
            "location @webdfs_or_redirect {\n",
            "location @webdfs_redirect {\n",
            "location ^~ /_webdfs/file/ {\n",
            "location @webdfs_peer {\n",
        ];
        let Self { path, pattern, root, .. } = self;
        let mut values: Vec<Value> = LOCATIONS
            .iter()
            .map(|opening| Value::new(opening, format!("{opening}    recursive_error_pages on;\n")))
            .collect();
        for asking in [0, 3] {
            values[asking].own += &format!("    {upload_max}\n\n");
        }
        values[5].own +=
            &format!("    root \"{root}\";\n    log_not_found off;\n    if_modified_since before;\n");
        values.extend([
            Value::new(OTHERS, OWN),
            Value::new(
                "#         root /srv/webdfs;                            # the `root` of node.toml, at this level, not in a location\n",
                "",
            ),
            Value::new("location ^~ /.webdfs {", format!("location ^~ \"{path}/.webdfs\" {{")),
            Value::new("^/_webdfs/file(/", format!("^/_webdfs/file{pattern}(/")),
            Value::new(
                "    if (!-d $request_filename) {",
                format!(
                    "    if ($uri ~ \"(?s)^{pattern}(/.*)\\z\") {{\n        set $webdfs_folder \"{root}$1\";\n    }}\n    if (!-d $webdfs_folder) {{"
                ),
            ),
        ]);
        values
    }

    /// The filled-in text of a file, with what is about clients' URLs in blocks for the prefix.
    ///
    /// # Panics
    /// When the file does not have what the blocks begin or end with.
    pub(super) fn scoped(&self, file: &str, text: String) -> String {
        self.blocks(file).iter().fold(text, |text, block| block.put_into(&text))
    }

    fn blocks(&self, file: &str) -> Vec<Block> {
        let Self { path, pattern, root, .. } = self;
        // `strip_prefix` compares bytes, and those above ASCII only as the client has encoded them.
        let stripped = utf8_percent_encode(path, CONTROLS);
        let lighttpd = |from, to, opening| Block { from, to, opening, indent: "    ", operator: None };
        match (self.server, file) {
            (Server::Nginx, "webdfs.conf") => vec![Block {
                from: "# ---- 1. ",
                to: Some("\n# ---- 3. "),
                opening: format!("location ^~ \"{path}/\" {{\n    alias \"{root}/\";\n"),
                indent: "    ",
                operator: None,
            }],
            (Server::Lighttpd, "webdfs.conf") => vec![
                Block {
                    operator: Some([" += ", " = "]),
                    ..lighttpd(
                        "# Left to the responder,",
                        Some("# A file that was just replaced"),
                        format!(
                            "$HTTP[\"url\"] =^ \"{path}/\" {{\n    alias.url = ( \"{path}/\" => \"{root}/\" )\n"
                        ),
                    )
                },
                Block {
                    operator: Some([" := ", " = "]),
                    ..lighttpd(
                        "# The largest upload, in KiB",
                        Some("# Other nodes: files"),
                        format!("$HTTP[\"url\"] =~ \"^(?:{pattern}|/_webdfs)/\" {{\n"),
                    )
                },
            ],
            (Server::Lighttpd, _) => vec![Block {
                operator: Some([" := ", " = "]),
                ..lighttpd("mimetype.use-xattr", None, format!("$HTTP[\"url\"] =^ \"{path}/\" {{\n"))
            }],
            (Server::Caddy, _) => vec![Block {
                from: "# ---- 2. ",
                to: None,
                opening: format!(
                    "@webdfs_prefix path_regexp \"^{pattern}/\"\nhandle @webdfs_prefix {{\n\turi strip_prefix \"{stripped}\"\n"
                ),
                indent: "\t",
                operator: None,
            }],
            _ => Vec::new(),
        }
    }
}

impl Block {
    /// The text with its piece in the block.
    fn put_into(&self, text: &str) -> String {
        let start =
            text.find(self.from).unwrap_or_else(|| panic!("the shipped file does not say {}", self.from));
        let (before, rest) = text.split_at(start);
        let end = match self.to {
            Some(to) => rest.find(to).unwrap_or_else(|| panic!("the shipped file does not say {to}")),
            None => rest.len(),
        };
        let (piece, after) = rest.split_at(end);
        let mut scoped = format!("{before}{}\n", self.opening);
        for line in piece.trim_end().lines() {
            let line = match self.operator {
                Some([from, to]) => line.replacen(from, to, usize::from(!line.starts_with('#'))),
                None => line.to_owned(),
            };
            if !line.is_empty() {
                scoped.push_str(self.indent);
            }
            scoped.push_str(&line);
            scoped.push('\n');
        }
        scoped.push_str(if after.is_empty() { "}\n" } else { "}\n\n" });
        scoped + after
    }
}
