//! The rows of the table, one file per kind.

mod gateway;
mod memory;
mod put;
mod repair;
mod responder;
mod rivals;
mod sendfile;
mod static_first;
mod storm;

use std::path::Path;

use crate::Result;
use crate::build::Tools;
use crate::cluster::{Peers, Spec};
use crate::contest::Plan;

/// Measures one row, in a folder of its own below the one given.
pub type Row = fn(&Plan, &Path, &Tools) -> Result<()>;

/// All rows, by name.
pub const ALL: [(&str, Row); 17] = [
    ("a", static_first::nginx),
    ("al", static_first::lighttpd),
    ("af", static_first::apache_fcgid),
    ("ap", static_first::apache_proxy),
    ("b", responder::accel),
    ("bl", sendfile::lighttpd),
    ("bs", sendfile::lighttpd_spawning),
    ("bf", sendfile::apache_fcgid),
    ("bp", sendfile::apache_proxy),
    ("c", responder::bytes),
    ("d", put::row),
    ("e", gateway::row),
    ("m", memory::row),
    ("r", repair::batches),
    ("rp", repair::passes),
    ("i", repair::agreement),
    ("s", storm::row),
];

/// Rows that are measured only when they are asked for by name: they have no limit, but decide what is the default.
pub const ON_REQUEST: [(&str, Row); 1] = [("x", sendfile::delivery)];

/// Connections that get at the same time.
const GETTING: usize = 32;
/// The same where each has a process to itself: `mod_fcgid` has a request wait a second for the next one.
const FCGID_GETTING: usize = 8;

/// A cluster in which every node has everything.
const EVERYWHERE: Spec = Spec { replicas: 3, durability: "none", peers: Peers::Embedded, user: None };
