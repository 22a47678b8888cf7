//! What several test programs share.
#![allow(dead_code, unused_imports)]

/// Clocks that are wrong.
pub mod clock;
/// N nodes on loopback, behind real nginx processes or on the embedded front.
pub mod cluster;
/// What nodes remember of deletions.
pub mod deleted;
/// What may stand at a node's url in place of the node.
pub mod detour;
/// A raw FastCGI client.
pub mod fcgi;
/// The web servers that a cluster can run behind.
pub mod front;
/// A raw HTTP/1.1 client.
pub mod http;
/// What must be as it was after something went wrong.
pub mod kept;
/// Replicas that lie in a root before its node starts.
pub mod laid;
/// Clients that put a node under load.
pub mod load;
/// Maps of a cluster's nodes.
pub mod map;
/// A FastCGI handler that does odd things.
pub mod odd;
/// The web server's configuration as `webdfs config` prints it.
pub mod printed;
/// Real processes that never outlive the test program.
pub mod process;
/// The web servers in front of the nodes, each around its shipped configuration.
pub mod servers;
/// What a cluster starts with.
pub mod setup;
/// Clusters that several tests use.
pub mod shared;
/// What one node says to another.
pub mod signed;

use std::time::{Duration, Instant};

pub use clock::clock_off_by;
pub use cluster::Cluster;
pub use deleted::{remembered, tombstone};
pub use detour::{Detour, End, Harm, Way};
pub use front::Front;
pub use http::{Answer, Call, Connection};
pub use kept::{
    Kept, WRONG_PASSWORD, assert_missing, assert_nothing, assert_only_ann_may_upload, assert_stored,
};
pub use laid::{lay_down, not_due};
pub use load::{Load, under_load};
pub use map::{Group, map_text as map};
pub use setup::Options;
pub use shared::shared;
pub use signed::{Seal, map_of, signed, signer};

/// Long enough for any machine; only a failing test waits for all of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Bytes without a pattern that a mix-up could hide in: the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Makes each function a test of its own on each front: `nginx::NAME` and `embedded::NAME`. The functions take a
/// [`Front`].
#[macro_export]
macro_rules! on_both_fronts {
    ($($name:ident),+ $(,)?) => {
        mod nginx {
            $(#[test] fn $name() { super::$name($crate::common::Front::Nginx) })+
        }
        mod embedded {
            $(#[test] fn $name() { super::$name($crate::common::Front::Embedded) })+
        }
    };
}

/// The same, and once more behind an nginx that leaves every request to webdfs: `responder::NAME`.
#[macro_export]
macro_rules! on_every_front {
    ($($name:ident),+ $(,)?) => {
        $crate::on_both_fronts!($($name),+);
        mod responder {
            $(#[test] fn $name() { super::$name($crate::common::Front::Responder) })+
        }
    };
}

/// Makes each function a test of its own behind each of the proxies: `haproxy::NAME` and `caddy::NAME`.
#[macro_export]
macro_rules! on_both_proxies {
    ($($name:ident),+ $(,)?) => {
        mod haproxy {
            $(#[test] fn $name() { super::$name($crate::common::Front::Haproxy) })+
        }
        mod caddy {
            $(#[test] fn $name() { super::$name($crate::common::Front::Caddy) })+
        }
    };
}
