//! Apache httpd with the shipped configurations, both ways: what they promise, and the facts about Apache and its
//! modules that they rest on.

/// How Apache's processes and those it starts come and go.
#[path = "apache/lives.rs"]
mod lives;
/// Any name, who answers, and what is never served.
#[path = "apache/names.rs"]
mod names;
/// What Apache tells webdfs of a request.
#[path = "apache/parameters.rs"]
mod parameters;
/// Bodies, methods and heads, and who may upload.
#[path = "apache/requests.rs"]
mod requests;

mod common;

use std::fs;
use std::path::Path;

use common::{Cluster, Front};
use rustix::process::{Pid, Signal, kill_process};

/// Makes each function a test with each of the two configurations.
#[macro_export]
macro_rules! both_ways {
    ($($name:ident),+ $(,)?) => {
        mod fcgid {
            $(#[test] fn $name() { super::$name($crate::common::Front::ApacheFcgid) })+
        }
        mod proxy {
            $(#[test] fn $name() { super::$name($crate::common::Front::ApacheProxy) })+
        }
    };
}

/// The shipped file as a node's Apache includes it.
fn site(cluster: &Cluster, node: usize) -> std::path::PathBuf {
    let file = match cluster.front {
        Front::ApacheFcgid => "webdfs-fcgid.conf",
        _ => "webdfs-proxy-fcgi.conf",
    };
    cluster.config(node).with_file_name(file)
}

/// Changes a line of a node's configuration before it starts.
fn edit(cluster: &Cluster, node: usize, from: &str, to: &str) {
    let file = site(cluster, node);
    let text = fs::read_to_string(&file).expect("the site's file");
    assert!(text.contains(from), "{} does not say {from}", file.display());
    fs::write(&file, text.replace(from, to)).expect("the site's file is written");
}

/// Adds lines to the server's own configuration, above the site.
fn configure_server(cluster: &Cluster, node: usize, lines: &str) {
    let file = cluster.config(node).with_file_name("httpd.conf");
    let text = fs::read_to_string(&file).expect("httpd.conf");
    let (top, sites) = text.split_once("<VirtualHost").expect("a site");
    fs::write(&file, format!("{top}{lines}\n<VirtualHost{sites}")).expect("httpd.conf is written");
}

/// The command lines and numbers of the webdfs processes that Apache has started for a node.
fn spawned(cluster: &Cluster, node: usize) -> Vec<(u32, String)> {
    let mut processes = processes_of(&cluster.config(node));
    processes.retain(|(_, line)| line.contains("die-with-parent"));
    processes
}

/// The command lines and numbers of all processes that name a path on their command line.
fn processes_of(path: &Path) -> Vec<(u32, String)> {
    let path = path.display().to_string();
    let of = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&path).then_some((number, line))
    };
    fs::read_dir("/proc").expect("/proc").filter_map(|entry| of(entry.ok()?)).collect()
}

/// Ends whatever process of an Apache with this configuration is left: after a graceful restart one of before may wait
/// for ever.
fn end_leftovers(configuration: &Path) {
    for (process, _) in processes_of(configuration) {
        let process = Pid::from_raw(u32::cast_signed(process)).expect("a process id");
        let _ = kill_process(process, Signal::KILL);
    }
}
