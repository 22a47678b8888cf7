//! Apache httpd: one process with threads, and what `mod_fcgid` starts.
//!
//! Apache does not serve as root. Started by root, everything that Apache or its responders have to write belongs to
//! [`APACHE_USER`], and they run as this user.

use std::fmt::Write;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::shipped::{
    self, APACHE_MODULES, APACHE_STANDARD, APACHE_USER, CONFIG, PROGRAM, PROGRAM_FOLDER, ROOT, SOCKET,
};
use super::{Asks, Kind, Responders, Site, WebServer, program};
use crate::Result;
use crate::processes::{User, run};

/// The user as whom Apache and its responders have to run; `None` for the one who runs the benchmark.
pub fn user() -> Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let id = |what: &str| -> Result<u32> {
        Ok(run(Command::new("id").args([what, APACHE_USER]))?.trim().parse()?)
    };
    Ok(Some(User { id: id("-u")?, group: id("-g")? }))
}

/// Starts one in a folder of its own.
pub fn start(kind: Kind, name: &str, scratch: &Path, site: &Site<'_>) -> Result<WebServer> {
    let folder = scratch.join(name);
    fs::create_dir_all(&folder)?;
    let file = folder.join("httpd.conf");
    fs::write(&file, configuration(kind, &folder, site)?)?;
    let mut command = Command::new(program("apache2"));
    command.arg("-d").arg(&folder).arg("-f").arg(&file).args(["-D", "FOREGROUND"]);
    command.arg("-E").arg(folder.join("error.log"));
    if let Some(user) = user()? {
        user.own(&folder)?;
        command.uid(user.id).gid(user.group);
    }
    WebServer::start(name, scratch, &mut command, &[site.address.to_owned()])
}

fn configuration(kind: Kind, folder: &Path, site: &Site<'_>) -> Result<String> {
    let mut text = format!(
        "ServerRoot \"{folder}\"\nPidFile httpd.pid\nErrorLog error.log\nLogLevel error\nDefaultRuntimeDir \"{folder}\"\n\
         Listen {address}\nServerName {address}\n",
        folder = folder.display(),
        address = site.address,
    );
    let mut load = |name: &str| writeln!(text, "LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so");
    APACHE_STANDARD.iter().try_for_each(|name| load(name))?;
    if site.responders.is_some() {
        ["rewrite", "xsendfile"].into_iter().try_for_each(&mut load)?;
        match kind {
            Kind::ApacheFcgid => load("fcgid")?,
            _ => ["proxy", "proxy_fcgi"].into_iter().try_for_each(&mut load)?,
        }
    }
    text += "TypesConfig /etc/mime.types\nStartServers 1\nServerLimit 1\nThreadsPerChild 64\nThreadLimit 64\n\
             MaxRequestWorkers 64\nMinSpareThreads 64\nMaxSpareThreads 64\n\
             MaxKeepAliveRequests 0\nKeepAliveTimeout 65\n\
             <Directory />\n    Require all denied\n    Options FollowSymLinks\n    AllowOverride None\n</Directory>\n";
    text += site.lines;
    let root = site.root.display();
    let Some((responders, asks)) = site.responders else {
        write!(
            text,
            "DocumentRoot \"{root}\"\n<Directory \"{root}\">\n    Require all granted\n</Directory>\n"
        )?;
        return Ok(text);
    };
    fs::write(folder.join("webdfs.conf"), webdfs(site.root, responders, asks)?)?;
    if let Responders::Started(start) = responders {
        text += "FcgidIPCDir fcgid\nFcgidProcessTableFile fcgid.shm\n";
        for (name, value) in &start.environment {
            writeln!(text, "FcgidInitialEnv {name} \"{value}\"")?;
        }
    }
    writeln!(text, "<VirtualHost {}>\n    Include webdfs.conf\n</VirtualHost>", site.address)?;
    Ok(text)
}

/// The shipped file.
fn webdfs(root: &Path, responders: &Responders, asks: Asks) -> Result<String> {
    let root = root.to_string_lossy();
    let text = match responders {
        Responders::At(socket) => {
            let values = [(ROOT, &*root), (SOCKET, &*socket.to_string_lossy())];
            shipped::text("apache/webdfs-proxy-fcgi.conf", &values)?
        }
        Responders::Started(start) => {
            let for_clients = format!("{PROGRAM} serve --config {CONFIG} --die-with-parent");
            let for_nodes = format!("{PROGRAM} serve --die-with-parent --config {CONFIG}");
            let program = Path::new(env!("CARGO_BIN_EXE_webdfs"));
            let folder = program.parent().ok_or("a program without a folder")?.to_string_lossy();
            let values = [
                (ROOT, &*root),
                (&*for_clients, start.command.as_str()),
                // No node asks the others through this Apache.
                (&*for_nodes, "/bin/false"),
                // The name by which requests are sent to mod_fcgid. What it starts for them was said above.
                (PROGRAM, env!("CARGO_BIN_EXE_webdfs")),
                (PROGRAM_FOLDER, &*format!("\"{folder}\"")),
            ];
            shipped::text("apache/webdfs-fcgid.conf", &values)?
        }
    };
    if asks != Asks::Everything {
        return Ok(text);
    }
    let everything = text.lines().find_map(|line| line.strip_prefix("#RewriteRule "));
    let everything = everything.ok_or("the shipped file has no commented RewriteRule any more")?;
    Ok(format!("RewriteEngine On\nRewriteRule {everything}\n{text}"))
}
