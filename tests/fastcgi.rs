//! The FastCGI front as a web server sees it: records over sockets, with handlers that do odd things.

/// Clients that go away, answers that fail, and the stop signal.
#[path = "fastcgi/endings.rs"]
mod endings;
/// Requests and their answers on connections that last.
#[path = "fastcgi/requests.rs"]
mod requests;
/// When one connection reads and writes, and how much.
#[path = "fastcgi/turns.rs"]
mod turns;

mod common;

use common::odd::Server;
use webdfs::front::fastcgi::Limits;

fn server() -> Server {
    Server::start(Limits::default())
}

fn patterned(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}
