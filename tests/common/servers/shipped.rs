//! The shipped files with the values of a run, and what Debian's Apache has around them. Benchmarks include this file,
//! too.

use std::path::Path;

/// The storage root, as the shipped files have it.
pub const ROOT: &str = "/srv/webdfs";
/// The socket of webdfs, as the shipped files have it.
pub const SOCKET: &str = "/run/webdfs/webdfs.sock";
/// The program, as the shipped files have it.
pub const PROGRAM: &str = "/usr/bin/webdfs";
/// The folder of the program, as the shipped files quote it.
pub const PROGRAM_FOLDER: &str = "\"/usr/bin\"";
/// The node's settings, as the shipped files have them.
pub const CONFIG: &str = "/etc/webdfs/node.toml";

/// Apache's user, as Debian calls it.
pub const APACHE_USER: &str = "www-data";
/// Where Debian has Apache's modules.
pub const APACHE_MODULES: &str = "/usr/lib/apache2/modules";
/// Those that Debian switches on, as far as they have to do with serving a file.
pub const APACHE_STANDARD: [&str; 16] = [
    "mpm_event",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_host",
    "authz_user",
    "auth_basic",
    "alias",
    "dir",
    "env",
    "mime",
    "negotiation",
    "setenvif",
    "filter",
    "deflate",
    "reqtimeout",
];

/// A shipped file, `nginx/webdfs.conf` for instance, with values of a run in the place of those that it is shipped with.
///
/// # Errors
/// The file cannot be read, or one of the values does not stand in it.
pub fn text(file: &str, values: &[(&str, &str)]) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    values.iter().try_fold(text, |text, (value, own)| {
        if text.contains(value) {
            Ok(text.replace(value, own))
        } else {
            Err(format!("{file} does not say {value}"))
        }
    })
}
