//! The shape of the source: which module may know which, and where `unsafe` may be.
//!
//! Data flows one way (see the map in `src/lib.rs`): a module imports only from modules above it in `ORDER`, and from
//! its own folder. Tests inside the modules may import what they like.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate from the top down. `node`, `cli` and `main` come last and may know everyone.
const ORDER: &[&str] = &[
    "chain+failpoint+sys",
    "held+version",
    "clock",
    "name",
    "access",
    "php",
    "cluster",
    "placement",
    "sim",
    "change",
    "response",
    "incoming",
    "semantics",
    "config",
    "store",
    "disk",
    "maps",
    "reconcile",
    "control",
    "peer",
    "gossip",
    "quorum",
    "request",
    "resolve",
    "deliver",
    "service",
    "agent",
    "front",
    "import",
    "fuzzing",
    "node",
    "cli",
];

/// Modules that may use neither a runtime, nor files, nor a clock, nor chance.
const PURE: &[&str] = &[
    "chain.rs",
    "held.rs",
    "version.rs",
    "name",
    "access",
    "php",
    "cluster",
    "placement",
    "sim",
    "change",
    "semantics",
    "quorum.rs",
    "request.rs",
    "resolve.rs",
    "peer/sign.rs",
    "peer/envelope.rs",
    "peer/message.rs",
    "peer/reconcile.rs",
    "gossip/datagram.rs",
    "gossip/facts.rs",
    "reconcile/digest.rs",
    "store/inventory/record.rs",
    "store/layout.rs",
    "store/attribute.rs",
    "agent/plan.rs",
    "cli/explain/verdict.rs",
    "front/fastcgi/record.rs",
    "front/fastcgi/pairs.rs",
    "front/fastcgi/conn.rs",
];

/// What a pure module must not name.
const IMPURE: &[&str] =
    &["tokio::", "std::fs", "std::net::Tcp", "SystemTime::now", "Instant::now", "fastrand::"];

#[test]
fn imports_run_downward_only() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in sources() {
        let module = module_of(&file);
        let Some(rank) = rank(&module) else {
            if !matches!(module.as_str(), "lib" | "main") {
                wrong.push(format!("{}: module {module} has no place in ORDER", file.display()));
            }
            continue;
        };
        for (line, text) in code_of(&file) {
            for imported in imported_modules(&text) {
                seen += 1;
                match self::rank(&imported) {
                    Some(other) if other <= rank => {}
                    Some(_) => wrong.push(format!("{}:{line}: {module} imports {imported}", file.display())),
                    None => {
                        wrong.push(format!("{}:{line}: {imported} has no place in ORDER", file.display()))
                    }
                }
            }
        }
    }
    assert!(seen > 100, "the imports were not found: {seen}");
    assert!(wrong.is_empty(), "imports that run upward:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_is_in_sys_alone() {
    let mut found_in_sys = false;
    for file in sources() {
        let unsafe_lines: Vec<_> = code_of(&file)
            .into_iter()
            .filter(|(_, text)| has_word(text, "unsafe"))
            .map(|(line, _)| line)
            .collect();
        if module_of(&file) == "sys" {
            found_in_sys |= !unsafe_lines.is_empty();
        } else {
            assert!(unsafe_lines.is_empty(), "{}: unsafe in lines {unsafe_lines:?}", file.display());
        }
    }
    assert!(found_in_sys, "sys.rs has no unsafe: is this test looking at the right files?");
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    let readers: Vec<_> = sources()
        .into_iter()
        .filter(|file| code_of(file).iter().any(|(_, text)| text.contains("SystemTime::now")))
        .map(|file| module_of(&file))
        .collect();
    assert_eq!(readers, ["clock"], "everything else asks src/clock.rs");
}

#[test]
fn pure_modules_use_no_runtime_files_clock_or_chance() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for pure in PURE {
        assert!(root.join(pure).exists(), "{pure} is gone: correct PURE");
    }
    for file in sources() {
        let relative = file.strip_prefix(&root).unwrap();
        if !PURE.iter().any(|pure| relative.starts_with(pure)) {
            continue;
        }
        for (line, text) in code_of(&file) {
            for word in IMPURE.iter().filter(|word| text.contains(**word)) {
                wrong.push(format!("{}:{line}: {word}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "pure modules that are not:\n{}", wrong.join("\n"));
}

/// Ceph's C code is LGPL: only a benchmark may use it. See `benches/crush_c/Cargo.toml`.
#[test]
fn the_c_code_of_crush_is_no_dependency_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let names = |table: &str| -> Vec<String> {
        let table = manifest.get(table).and_then(toml::Value::as_table);
        table.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    assert!(names("dev-dependencies").contains(&"webdfs-crush-c".to_owned()), "correct this test");
    assert!(names("dependencies").len() > 20);
    for name in [names("dependencies"), names("build-dependencies")].concat() {
        assert!(!name.contains("crush"), "{name} would be part of the program");
    }
    for file in sources() {
        for (line, text) in code_of(&file) {
            let used = ["crush_sys", "webdfs_crush_c"].iter().any(|name| text.contains(name));
            assert!(!used, "{}:{line}: {text}", file.display());
        }
    }
}

/// Every source file under `src/`.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 40, "only {} source files found", files.len());
    files
}

/// The top-level module a file belongs to.
fn module_of(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = file.strip_prefix(root).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The lines of a file that are neither comments nor tests, with their numbers.
fn code_of(file: &Path) -> Vec<(usize, String)> {
    let is_test_file = file.file_name().unwrap().to_str().unwrap().ends_with("tests.rs");
    if is_test_file {
        return Vec::new();
    }
    let text = fs::read_to_string(file).unwrap();
    let lines = (1..).zip(text.lines()).take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number, line.to_owned()))
        .collect()
}

/// The modules named as `crate::NAME` in a line.
fn imported_modules(line: &str) -> Vec<String> {
    let named = line.split("crate::").skip(1).map(|rest| {
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default().to_owned()
    });
    named.filter(|name| !name.is_empty()).collect()
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|entry| entry.split('+').any(|name| name == module))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|found| found == word)
}
