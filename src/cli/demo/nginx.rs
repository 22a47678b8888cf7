//! The nginx in front of a node of the demo: finding it, and its configuration.
//!
//! What webdfs needs comes from the two files that are shipped for every nginx; here is only what they leave to the
//! site around them. Each node has an nginx of its own, with all of its files in the node's folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The shipped file for the http context.
const HTTP_CONF: &str = include_str!("../../../nginx/webdfs-http.conf");
/// The shipped file for the server block.
const SERVER_CONF: &str = include_str!("../../../nginx/webdfs.conf");
/// The socket as the shipped file names it.
const SHIPPED_SOCKET: &str = "unix:/run/webdfs/webdfs.sock";
/// Where nginx often is without being in an ordinary user's PATH.
const ALSO_IN: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// An nginx program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nginx {
    /// Where it is.
    pub program: PathBuf,
    /// What it says its version is.
    pub version: String,
    /// Which kinds of temporary files this build writes: the names in front of `_temp_path`.
    temp_kinds: Vec<&'static str>,
}

/// One file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfFile {
    /// Its name, in the node's folder.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// Where an nginx of the demo listens and what stands behind it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The node's folder, the prefix of the relative paths.
    pub folder: &'a Path,
    /// The node's storage root.
    pub root: &'a Path,
    /// The responder's socket.
    pub socket: &'a Path,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// Whether the demo runs as root. Workers would then become another user, who may not enter the folder.
    pub as_root: bool,
}

impl Nginx {
    /// The first nginx in `path` (as in the environment) and then in the usual folders that runs.
    pub fn find(path: Option<&OsStr>) -> Option<Self> {
        let named = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
        let folders = named.into_iter().chain(ALSO_IN.map(PathBuf::from));
        folders.filter(|folder| folder.is_absolute()).find_map(|folder| Self::ask(folder.join("nginx")))
    }

    /// Where [`find`](Self::find) looks, for people.
    pub fn searched() -> String {
        format!("PATH, {}", ALSO_IN.join(" or "))
    }

    fn ask(program: PathBuf) -> Option<Self> {
        if !program.is_file() {
            return None;
        }
        let output = Command::new(&program).arg("-V").stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| Self::from_build(program, &String::from_utf8_lossy(&output.stderr)))
    }

    /// `build` is what `nginx -V` prints.
    fn from_build(program: PathBuf, build: &str) -> Self {
        let version = build.lines().find_map(|line| line.split_once("nginx/")).map(|(_, version)| version);
        let temp_kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .into_iter()
            .filter(|kind| !build.contains(&format!("--without-http_{kind}_module")))
            .collect();
        Self { program, version: version.unwrap_or("of unknown version").trim().to_owned(), temp_kinds }
    }

    /// The files that [`command`](Self::command) expects in the node's folder.
    pub fn files(&self, site: &Site<'_>) -> [ConfFile; 3] {
        let socket = format!("\"unix:{}\"", site.socket.display());
        [
            ConfFile { name: "nginx.conf", text: self.main_conf(site) },
            ConfFile { name: "webdfs-http.conf", text: HTTP_CONF.replace(SHIPPED_SOCKET, &socket) },
            ConfFile { name: "webdfs.conf", text: SERVER_CONF.to_owned() },
        ]
    }

    fn main_conf(&self, site: &Site<'_>) -> String {
        let user = if site.as_root { "user root;\n" } else { "" };
        let temp: String =
            self.temp_kinds.iter().map(|kind| format!("    {kind}_temp_path nginx-{kind};\n")).collect();
        let (port, root) = (site.port, site.root.display());
        format!(
            r#"# The nginx of one node of the demo. In a site of your own, only the two lines with `include webdfs` are new.
{user}daemon off;
master_process on;
worker_processes 1;
pid nginx.pid;
lock_file nginx.lock;
error_log nginx-error.log;
events {{ worker_connections 512; }}

http {{
    access_log nginx-access.log;
    sendfile on;
    tcp_nopush on;
    types {{
        image/png png;
        image/jpeg jpg jpeg;
        image/gif gif;
        image/x-ms-bmp bmp;
        image/webp webp;
        image/svg+xml svg;
        text/html html htm;
        text/plain txt;
        text/css css;
    }}
    default_type application/octet-stream;
{temp}
    include webdfs-http.conf;

    server {{
        listen 127.0.0.1:{port};
        root "{root}";
        include webdfs.conf;
    }}
}}
"#
        )
    }

    /// What runs it in the foreground with the files in `folder`.
    pub fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // Without -e, which older versions refuse: at worst the first lines come with a complaint about the log that
        // was compiled in.
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: &str =
        "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0\nconfigure arguments: --with-cc-opt=-g";

    fn site() -> Site<'static> {
        Site {
            folder: Path::new("/tmp/a b/img1"),
            root: Path::new("/tmp/a b/img1/root"),
            socket: Path::new("/tmp/a b/img1/webdfs.sock"),
            port: 4711,
            as_root: false,
        }
    }

    fn text(nginx: &Nginx, site: &Site<'_>, name: &str) -> String {
        nginx.files(site).into_iter().find(|file| file.name == name).expect("such a file").text
    }

    #[test]
    fn the_shipped_file_is_used_with_the_socket_of_the_node() {
        let nginx = Nginx::from_build("nginx".into(), BUILD);
        let named = HTTP_CONF.matches(SHIPPED_SOCKET).count();
        assert_eq!(named, 2, "the shipped file names the socket for reads and for writes");
        let http = text(&nginx, &site(), "webdfs-http.conf");
        assert_eq!(http.matches("server \"unix:/tmp/a b/img1/webdfs.sock\";").count(), named, "{http}");
        assert!(!http.contains(SHIPPED_SOCKET));
        assert_eq!(text(&nginx, &site(), "webdfs.conf"), SERVER_CONF);
    }

    #[test]
    fn the_site_around_it_listens_on_loopback_and_keeps_to_its_folder() {
        let nginx = Nginx::from_build("nginx".into(), BUILD);
        let conf = text(&nginx, &site(), "nginx.conf");
        assert!(conf.contains("listen 127.0.0.1:4711;"));
        assert!(conf.contains("root \"/tmp/a b/img1/root\";"));
        assert!(conf.contains("daemon off;"));
        assert!(!conf.contains("user root;"));
        let path_lines = conf.lines().filter(|line| line.contains("_path ") || line.contains("_log "));
        assert_eq!(path_lines.filter(|line| line.contains('/')).count(), 0, "relative to the prefix");
        let as_root = text(&nginx, &Site { as_root: true, ..site() }, "nginx.conf");
        assert!(as_root.contains("user root;"));
    }

    #[test]
    fn a_build_without_a_module_is_not_told_of_its_files() {
        let nginx = Nginx::from_build("nginx".into(), &format!("{BUILD} --without-http_uwsgi_module"));
        assert_eq!(nginx.version, "1.22.1");
        let conf = text(&nginx, &site(), "nginx.conf");
        assert!(conf.contains("scgi_temp_path nginx-scgi;") && !conf.contains("uwsgi"));
    }

    #[test]
    fn nginx_is_found_by_path_only_if_it_runs() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("nginx");
        let found = || Nginx::find(Some(dir.path().as_os_str())).filter(|nginx| nginx.program == program);
        assert_eq!(found(), None);
        std::os::unix::fs::symlink("/bin/false", &program).expect("a link");
        assert_eq!(found(), None);
        std::fs::remove_file(&program).expect("it was there");
        std::os::unix::fs::symlink("/bin/true", &program).expect("a link");
        assert_eq!(found().expect("it runs").version, "of unknown version");
    }
}
