//! The binary: logging, the command line, the error chain and the exit code; nothing else.

use std::process::ExitCode;

use clap::Parser;
use webdfs::cli::{Cli, chain};

fn main() -> ExitCode {
    webdfs::failpoint::set_up();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webdfs: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}
