//! Speed beside other programs: `make bench`.
//!
//! Only ratios are told, each from rounds in which both sides take turns on the same machine: a real web server in front
//! (the shipped configuration), `wrk` as the client, everything on loopback. A side counts only if its answers are right:
//! status and bytes are compared before, and `wrk` must have seen no error. A ratio below its limit is printed as
//! MISSED; the exit code is 1 only when something could not be measured.
//!
//! Environment: `WEBDFS_BENCH_ROWS` (as "a,c": which rows), `WEBDFS_BENCH_SECONDS` (of each turn),
//! `WEBDFS_BENCH_ROUNDS`.
//!
//! What is started here ends with it, also on Ctrl-C: see `processes.rs`.

mod build;
mod check;
mod cluster;
mod contest;
mod fastcgi_crate;
mod objects;
mod processes;
#[path = "../common/ratio.rs"]
mod ratio;
mod rows;
mod servers;
mod wrk;

use std::process::ExitCode;

use contest::Plan;
use processes::Scratch;

/// Why something could not be measured.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, root, mode] = arguments.as_slice()
        && role == fastcgi_crate::ROLE
    {
        fastcgi_crate::run(root, mode);
        return ExitCode::SUCCESS;
    }
    // `cargo test --all-targets` starts benchmarks too, without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("not measured: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let plan = Plan::from_environment()?;
    let scratch = Scratch::new()?;
    let tools = build::Tools::build(scratch.path())?;
    let mut failed = Vec::new();
    contest::print_heading(&plan);
    let wanted = rows::ALL.into_iter().filter(|(name, _)| plan.wants(name));
    let asked_for = rows::ON_REQUEST.into_iter().filter(|(name, _)| plan.names(name));
    for (name, row) in wanted.chain(asked_for) {
        if let Err(error) = row(&plan, scratch.path(), &tools) {
            println!("{name}  not measured: {error}");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("row {}", failed.join(", ")).into()) }
}
