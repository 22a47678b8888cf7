//! A node whose `prefix` is only a part of the site: the shipped files, which are about all of it, kept to the URLs
//! below the prefix.  Pure.

use super::exclude::literal;
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

    /// What to say at the top of a file.
    pub(super) fn note(&self, file: &str) -> String {
        let Self { path, .. } = self;
        let how = match self.server {
            Server::Nginx => {
                "sections 1 and 2 are one `location`, which holds what is said about the server block"
            }
            Server::ApacheFcgid | Server::ApacheProxy => "an Alias takes the place of DocumentRoot",
            Server::Lighttpd => "an alias takes the place of server.document-root",
            Server::Haproxy | Server::Caddy => "they are a `handle` of their own",
        };
        if file == "webdfs-http.conf" {
            return String::new();
        }
        format!("# For the URLs below {path}/ and no others: {how}.\n")
    }

    /// An expression about names, told to look at what follows the prefix alone.
    pub(super) fn below(&self, names: &str) -> String {
        format!("(?s)^{}(?=/).*?(?:{names})", self.pattern)
    }

    /// What stands in a file in the place of what is about all of the site; for nginx's second file, see
    /// [`nginx`](Self::nginx).
    pub(super) fn values(&self, file: &str) -> Vec<Value> {
        let Self { path, pattern, root, .. } = self;
        match (self.server, file) {
            (Server::Nginx, "webdfs-http.conf") => vec![Value::new("#             root /srv/webdfs;\n", "")],
            (Server::ApacheFcgid | Server::ApacheProxy, _) => vec![
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
                // An alias comes before the rules that look for the file.
                Value::new("( \"mod_rewrite\",", "( \"mod_alias\", \"mod_rewrite\","),
            ],
            (Server::Caddy, _) => vec![
                Value::new("handle /_webdfs/v1/* {\n", "handle /_webdfs/v1/* {\n\trequest_header -*_*\n"),
                // A path that is written in an odd way keeps its prefix.
                Value::new(
                    "\tfile {path}\n",
                    "\tnot vars {http.request.uri.path} {http.request.orig_uri.path}\n\tfile {path}\n",
                ),
            ],
            _ => Vec::new(),
        }
    }

    /// The same for nginx's second file, where the limit of uploads is `upload_max`.
    ///
    /// Named locations cannot stand in another, so that what the server block says for all is said in each of them.
    pub(super) fn nginx(&self, upload_max: &str) -> Vec<Value> {
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
            values[asking].own += &format!("    {upload_max}\n");
        }
        values[5].own +=
            &format!("    root \"{root}\";\n    log_not_found off;\n    if_modified_since before;\n");
        values.extend([
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
                    "@webdfs_prefix path_regexp \"^{pattern}/\"\nhandle @webdfs_prefix {{\n\turi strip_prefix \"{path}\"\n"
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
