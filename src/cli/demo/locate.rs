//! Who holds what, as `webdfs locate --json` tells it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// One of the nodes that hold an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Owner {
    /// Its name in the map.
    pub node: String,
    /// Its URL in the map.
    pub url: String,
}

#[derive(Deserialize)]
struct Located {
    path: String,
    owners: Vec<Owner>,
}

/// Why the owners are not known.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The program cannot be run.
    #[error("{} cannot be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("webdfs locate failed: {0}")]
    Refused(String),
    /// Its answer is no JSON of the documented form.
    #[error("webdfs locate printed something unexpected")]
    Answer(#[from] serde_json::Error),
    /// Its answer is about other paths.
    #[error("webdfs locate answered about {found:?} where {asked:?} was asked")]
    Another {
        /// What was asked.
        asked: Vec<String>,
        /// What was answered.
        found: Vec<String>,
    },
}

/// The owners of each of these URL paths, in rank order. Runs `executable locate` with this `node.toml`.
///
/// # Errors
/// When it cannot be run, or does not answer as documented for every path.
pub fn owners(executable: &Path, config: &Path, paths: &[String]) -> Result<Vec<Vec<Owner>>, LocateError> {
    let mut command = Command::new(executable);
    command.args(["locate", "--json", "--config"]).arg(config).arg("--").args(paths).stdin(Stdio::null());
    let output =
        command.output().map_err(|source| LocateError::Start { program: executable.to_owned(), source })?;
    if !output.status.success() {
        return Err(LocateError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    parse(&output.stdout, paths)
}

fn parse(answer: &[u8], paths: &[String]) -> Result<Vec<Vec<Owner>>, LocateError> {
    let located: Vec<Located> = serde_json::from_slice(answer)?;
    if !located.iter().map(|one| &one.path).eq(paths) {
        let found = located.into_iter().map(|one| one.path).collect();
        return Err(LocateError::Another { asked: paths.to_vec(), found });
    }
    Ok(located.into_iter().map(|one| one.owners).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"[{"path":"/a%20b.png","epoch":1,"owners":[
        {"node":"img2","url":"http://127.0.0.1:2/_webdfs"},{"node":"img1","url":"http://127.0.0.1:1/_webdfs"}]}]"#;

    #[test]
    fn owners_come_in_the_order_of_the_answer() {
        let owners = parse(ANSWER.as_bytes(), &["/a%20b.png".to_owned()]).expect("as documented");
        let names: Vec<&str> = owners[0].iter().map(|owner| owner.node.as_str()).collect();
        assert_eq!(names, ["img2", "img1"]);
    }

    #[test]
    fn an_answer_about_something_else_is_refused() {
        let other = parse(ANSWER.as_bytes(), &["/other.png".to_owned()]);
        assert!(matches!(other, Err(LocateError::Another { .. })), "{other:?}");
        let none = parse(b"[]", &["/a%20b.png".to_owned()]);
        assert!(matches!(none, Err(LocateError::Another { .. })), "{none:?}");
        let text = parse(b"hello", &[]);
        assert!(matches!(text, Err(LocateError::Answer(_))), "{text:?}");
    }

    #[test]
    fn a_refusal_is_shown_in_the_programs_own_words() {
        let refused = owners(Path::new("cat"), Path::new("/no/such/node.toml"), &[]);
        let Err(LocateError::Refused(words)) = refused else { panic!("{refused:?}") };
        assert!(words.contains("cat: "), "{words}");
    }
}
