//! The rows of the table, one file per kind.

mod gateway;
mod memory;
mod put;
mod responder;
mod static_first;

use std::path::Path;

use crate::Result;
use crate::build::Tools;
use crate::cluster::{Peers, Spec};
use crate::contest::Plan;

/// Measures one row, in a folder of its own below the one given.
pub type Row = fn(&Plan, &Path, &Tools) -> Result<()>;

/// All rows, by name.
pub const ALL: [(&str, Row); 6] = [
    ("a", static_first::row),
    ("b", responder::accel),
    ("c", responder::bytes),
    ("d", put::row),
    ("e", gateway::row),
    ("m", memory::row),
];

/// Connections that get at the same time.
const GETTING: usize = 32;

/// A cluster in which every node has everything.
const EVERYWHERE: Spec = Spec { replicas: 3, durability: "none", peers: Peers::Embedded };
