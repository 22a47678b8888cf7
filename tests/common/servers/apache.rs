//! Apache httpd: one of two shipped files in a virtual host, and around it a server that owes nothing to the system's
//! configuration.
//!
//! Apache does not serve as root, and mod_fcgid runs webdfs as Apache's user. So a test that runs as root runs all of
//! a node as [`APACHE_USER`], Apache included; any other user runs it as himself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::shipped::{
    APACHE_MODULES, APACHE_STANDARD, APACHE_USER, CONFIG, PROGRAM, PROGRAM_FOLDER, ROOT, SOCKET,
};
use super::{Cluster, Front, shipped};

/// The modules of Debian's standard set that a configuration must do without harm beside, and those that it uses.
const MORE: [&str; 5] = ["autoindex", "status", "headers", "rewrite", "xsendfile"];

pub(super) fn configure(cluster: &Cluster, node: usize) {
    let dir = cluster.node_dir(node);
    let (root, config, socket) = (cluster.root(node), cluster.config(node), cluster.socket(node));
    let text = |path: &Path| path.to_str().expect("a path of UTF-8").to_owned();
    let (root, config, socket) = (text(&root), text(&config), text(&socket));
    let (file, module) = match cluster.front {
        Front::ApacheFcgid => ("webdfs-fcgid.conf", "fcgid"),
        _ => ("webdfs-proxy-fcgi.conf", "proxy_fcgi"),
    };
    let folder = text(Path::new(env!("CARGO_BIN_EXE_webdfs")).parent().expect("a folder"));
    let folder = format!("\"{folder}\"");
    let mut values = vec![(ROOT, root.as_str())];
    match cluster.front {
        Front::ApacheFcgid => {
            values.push((PROGRAM, env!("CARGO_BIN_EXE_webdfs")));
            values.push((PROGRAM_FOLDER, &folder));
            values.push((CONFIG, &config));
        }
        _ => values.push((SOCKET, &socket)),
    }
    if !cluster.options.static_first {
        values.push(("#RewriteRule", "RewriteRule"));
    }
    let site = shipped(&format!("apache/{file}"), &values);
    fs::write(dir.join(file), site).expect("a file is written");

    let load = |name: &str| format!("LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n");
    let mut modules: String = APACHE_STANDARD.iter().chain(&MORE).map(|name| load(name)).collect();
    match cluster.front {
        Front::ApacheFcgid => {
            modules += &load(module);
            modules += "FcgidIPCDir fcgid\nFcgidProcessTableFile fcgid.shm\nFcgidInitialEnv RUST_LOG info,webdfs=debug\n";
        }
        _ => modules += &["proxy", module].map(load).concat(),
    }
    let conf = format!(
        "ServerRoot \"{dir}\"\nPidFile httpd.pid\nErrorLog server-error.log\nLogLevel warn\n\
         DefaultRuntimeDir \"{dir}\"\nListen {listen}\nServerName {host}\n{modules}\
         TypesConfig /etc/mime.types\n\
         StartServers 1\nServerLimit 4\nThreadsPerChild 32\nThreadLimit 32\nMaxRequestWorkers 128\n\
         MinSpareThreads 8\nMaxSpareThreads 128\n\
         <Directory />\n    Require all denied\n    Options FollowSymLinks\n    AllowOverride None\n</Directory>\n\
         <VirtualHost {listen}>\n    ServerName {host}\n    Include {file}\n</VirtualHost>\n",
        dir = dir.display(),
        listen = cluster.address(node),
        host = cluster.address(node).ip(),
    );
    fs::write(dir.join("httpd.conf"), conf).expect("httpd.conf is written");
}

pub(super) fn command(cluster: &Cluster, node: usize) -> Command {
    let dir = cluster.node_dir(node);
    let mut apache = Command::new("/usr/sbin/apache2");
    apache.arg("-d").arg(&dir).arg("-f").arg(dir.join("httpd.conf")).args(["-D", "FOREGROUND"]);
    apache.arg("-E").arg(dir.join("server-error.log"));
    // Bodies on their way through mod_fcgid.
    apache.env("TMPDIR", &dir);
    apache
}

/// Makes a process of a node one of [`APACHE_USER`]'s if this is root's, and the node's folder his.
pub(super) fn as_user(cluster: &Cluster, node: usize, command: &mut Command) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let output = Command::new("id").arg("-u").arg(APACHE_USER).output().expect("id runs");
    let id = String::from_utf8_lossy(&output.stdout).trim().parse().expect("Debian's Apache brings its user");
    let dir = cluster.node_dir(node);
    // Made for this test program alone; the user has to pass through it.
    let above = dir.parent().expect("the cluster's folder");
    fs::set_permissions(above, fs::Permissions::from_mode(0o711)).expect("the folder is ours");
    give(&dir, id);
    command.uid(id).gid(id);
}

/// Gives a file, or a folder and all in it, to a user.
fn give(path: &Path, id: u32) {
    // What another process of the node removes meanwhile needs no owner.
    let _ = lchown(path, Some(id), Some(id));
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            give(&entry.path(), id);
        }
    }
}
