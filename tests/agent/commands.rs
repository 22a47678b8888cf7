use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::process::Process;
use crate::common::{Cluster, wait_until};

/// What a command did. Its output is no terminal.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Starts a command.
pub fn start(arguments: &[&str], config: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(arguments).arg("--config").arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The next line that a command says on standard error.
pub fn hears(child: &mut Child) -> String {
    use std::io::Read;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

/// Waits for the end of a command.
pub fn end_of(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command.
pub fn run(arguments: &[&str], config: &Path) -> Ran {
    end_of(start(arguments, config))
}

/// `webdfs status --json` of a node.
pub fn status(cluster: &Cluster, node: usize) -> serde_json::Value {
    let Ran { code, out, err } = run(&["status", "--json"], &cluster.config(node));
    assert_eq!((code, err.as_str()), (0, ""));
    serde_json::from_str(&out).unwrap()
}

/// Another process on the root of a node, with a socket and a log of this name.
pub fn another(cluster: &Cluster, node: usize, name: &str) -> Process {
    let dir = cluster.root(node).parent().unwrap().to_path_buf();
    let socket = dir.join(format!("{name}.sock"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.arg("serve").arg("--config").arg(cluster.config(node));
    command.arg("--fcgi").arg(format!("unix:{}", socket.display()));
    let process = Process::start(&mut command, &dir.join(format!("{name}.log")));
    wait_until("it listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    process
}

/// Whether a command has a connection open.
pub fn waits_for_socket(id: u32) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{id}/fd")) else { return false };
    let sockets: Vec<String> = descriptors
        .flatten()
        .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
        .filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    // Of a connection the state is 03 (proc_pid_net(5)); a runtime has pairs of its own, which are connected, too.
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let peers = table.lines().filter(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(6).is_some_and(|inode| sockets.iter().any(|socket| socket == inode))
    });
    peers.count() > 2
}
