//! What is built for a run: the programs in C, and the scripts for `wrk`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::processes::run;

/// Programs and scripts, ready to be used.
pub struct Tools {
    /// `benches/c/responder.c`.
    pub responder: PathBuf,
    /// `benches/c/three_copies.c`.
    pub three_copies: PathBuf,
    /// `get.lua`, and `done.lua` behind it.
    pub get_script: PathBuf,
    /// `put.lua`, and `done.lua` behind it.
    pub put_script: PathBuf,
}

impl Tools {
    /// Builds them in a folder.
    pub fn build(folder: &Path) -> Result<Self> {
        let script = |name: &str, text: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, [text, include_str!("done.lua")].concat())?;
            Ok(path)
        };
        Ok(Self {
            responder: compile("responder", folder, &["-lfcgi", "-lpthread"])?,
            three_copies: compile("three_copies", folder, &["-lpthread"])?,
            get_script: script("get.lua", include_str!("get.lua"))?,
            put_script: script("put.lua", include_str!("put.lua"))?,
        })
    }
}

fn compile(name: &str, folder: &Path, libraries: &[&str]) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/c").join(format!("{name}.c"));
    let program = folder.join(name);
    run(Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).args(libraries))?;
    Ok(program)
}
