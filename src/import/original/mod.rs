//! `cluster_config.php` of the original webDFS (PHP, 2009 to 2012) as a cluster map, and what else stands in it as advice.
//!
//! The file returns an array: settings of the whole program, and under `data` one entry for each state the cluster has
//! been in, the present one first, with the locator, the number of replicas and the clusters of nodes
//! (<https://github.com/shanehill00/webdfs>, `conf/cluster_config.php.dist`). It is read, never run.  No file is touched
//! here.

mod nodes;
mod parser;
mod settings;
mod tokens;
mod value;
mod write;

use std::path::{Path, PathBuf};

use nodes::Found;
use parser::returned;
use value::{Key, List, Located, Value, lossy};

use crate::cluster::{ClusterMap, MapError, MapSpec, Place, PlacementSpec};
use crate::php::PhpVersion;

/// The largest file that is read, in bytes: 65,536 nodes need half of it.
pub const CONFIG_BYTES_MAX: usize = 16 << 20;

/// What the file does not say.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The PHP that the original ran on.
    pub php: PhpVersion,
    /// Which entry of `data`; 0 is the present one.
    pub entry: usize,
    /// The epoch of the map.
    pub epoch: u64,
}

/// A cluster of the original, taken over.
#[derive(Clone, Debug)]
pub struct Original {
    /// The map: it was accepted by [`ClusterMap::new`].
    pub spec: MapSpec,
    /// Settings for `node.toml`, as lines of TOML without the values of one node alone.
    node_settings: Vec<String>,
    /// What else there is to know, a paragraph each.
    notes: Vec<String>,
}

/// What is wrong with a file, and on which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    line: usize,
    reason: String,
}

/// Why a configuration of the original is not taken over; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OriginalError {
    /// It is no such configuration, or says what webdfs has not.
    #[error("{}:{line}: {reason}", .file.display())]
    Refused {
        /// The file, as it was named.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there, and what would be right.
        reason: String,
    },
    /// The map that it describes cannot be one.
    #[error("{}:{line}: the cluster cannot be taken over as it is", .file.display())]
    Map {
        /// The file, as it was named.
        file: PathBuf,
        /// The line of what is at fault, from 1.
        line: usize,
        /// Why.
        source: Box<MapError>,
    },
}

impl Original {
    /// Reads the text of `cluster_config.php`; `file` is what errors call it.
    ///
    /// # Errors
    /// When the text is not the array that the original reads, a value would have to be computed, or webdfs has no
    /// placement like its.
    pub fn read(text: &[u8], file: &Path, wanted: Wanted) -> Result<Self, OriginalError> {
        let refused = |Fault { line, reason }| OriginalError::Refused { file: file.to_owned(), line, reason };
        if text.len() > CONFIG_BYTES_MAX {
            let reason = format!("the file has more than {CONFIG_BYTES_MAX} bytes, and no configuration has");
            return Err(refused(Fault { line: 1, reason }));
        }
        let root = returned(text).map_err(refused)?;
        let (original, found) = take_over(&root, wanted).map_err(refused)?;
        match ClusterMap::new(original.spec.clone()) {
            Ok(_) => Ok(original),
            Err(error) => {
                let line = found.line_of(error.place());
                Err(OriginalError::Map { file: file.to_owned(), line, source: Box::new(error) })
            }
        }
    }

    /// The text of a `cluster.toml`, with what is to be known as comments.
    pub fn to_toml(&self, file: &Path) -> String {
        write::toml(self, file)
    }
}

fn take_over(root: &Located, wanted: Wanted) -> Result<(Original, Found), Fault> {
    let config = list(root, "what the file returns")?;
    let Some(data) = config.get("data") else {
        let reason = "'data' is missing, the list of what the clusters are and were; configurations older than it placed \
                      files in another way, which webdfs does not have";
        return Err(root.fault(reason));
    };
    let entries = list(data, "'data'")?.entries();
    let Some((_, entry)) = entries.get(wanted.entry) else {
        let reason = format!("'data' has {} entries, none of number {}", entries.len(), wanted.entry);
        return Err(data.fault(reason));
    };
    let state = list(entry, "an entry of 'data'")?;
    let placement = placement(required(state, entry, "locatorClassName")?, wanted.php)?;
    let degree = required(state, entry, "replicationDegree")?;
    let Some(replicas) =
        number(degree).filter(|number| number.fract() == 0.0 && (1.0..=1e6).contains(number))
    else {
        return Err(
            degree.fault(format!("'replicationDegree' is {}; it is a whole number", degree.value.kind()))
        );
    };
    let replicas = replicas as usize;
    let (mut found, subclusters) = nodes::subclusters(required(state, entry, "clusters")?)?;
    let spec = MapSpec {
        epoch: wanted.epoch,
        replicas,
        // A majority: writers always meet. The original acknowledged once one node had the file.
        write_quorum: replicas / 2 + 1,
        placement,
        subclusters,
    };
    let (node_settings, mut notes) = settings::advice(config, state, wanted.php, &found);
    notes.extend(found.notes.iter().cloned());
    if entries.len() > 1 {
        notes.push(other_entries(entries.len(), wanted.entry));
    }
    found.map_line = degree.line;
    Ok((Original { spec, node_settings, notes }, found))
}

/// What several entries of `data` mean.
fn other_entries(count: usize, entry: usize) -> String {
    format!(
        "data has {count} entries, and this is number {entry}. With autoMove the original moved a file when it was asked for, \
         so some may still lie where an older entry puts them. To have those found, too, start with the oldest (--entry {} \
         --epoch 1) and then apply one map after the other (--entry {} --epoch 2, and so on).",
        count - 1,
        count - 2,
    )
}

fn placement(class: &Located, php: PhpVersion) -> Result<PlacementSpec, Fault> {
    let name = text(class, "'locatorClassName'")?;
    let (_, locator) = name.rsplit_once('_').unwrap_or(("", &name));
    match locator {
        "RUSHr" => Ok(PlacementSpec::WebdfsRushR(php)),
        "RUSHp" => Ok(PlacementSpec::WebdfsRushP(php)),
        "RUSHps" | "RUSHpw" | "HonickyMiller" | "HonickyMillerR" | "HonickyMillerW" => Err(class.fault(format!(
            "the locator {name} is not taken over: it was given up before RUSHr and RUSHp, and found some files on the wrong \
             node or none. Copy the files instead, with `webdfs import`"
        ))),
        _ => Err(class.fault(format!("the locator {} is unknown; webdfs has RUSHr and RUSHp", lossy(name.as_bytes())))),
    }
}

impl Located {
    fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault { line: self.line, reason: reason.into() }
    }
}

fn list<'a>(value: &'a Located, name: &str) -> Result<&'a List, Fault> {
    match &value.value {
        Value::List(list) => Ok(list),
        other => Err(value.fault(format!("{name} is {}; it is an array", other.kind()))),
    }
}

fn required<'a>(list: &'a List, of: &Located, key: &str) -> Result<&'a Located, Fault> {
    list.get(key).ok_or_else(|| of.fault(format!("'{key}' is missing here")))
}

fn text(value: &Located, name: &str) -> Result<String, Fault> {
    match &value.value {
        Value::Text(text) => {
            String::from_utf8(text.clone()).map_err(|_| value.fault(format!("{name} is no UTF-8")))
        }
        other => Err(value.fault(format!("{name} is {}; write it out as a text in quotes", other.kind()))),
    }
}

/// A number, or a text that is one: to PHP they are the same.
fn number(value: &Located) -> Option<f64> {
    match &value.value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// The entries of an array whose keys count up from 0, as the original counts them.
fn counted<'a>(value: &'a Located, name: &str) -> Result<impl Iterator<Item = &'a Located>, Fault> {
    let entries = list(value, name)?.entries();
    for (place, (key, entry)) in entries.iter().enumerate() {
        match key {
            Key::Int(number) if usize::try_from(*number) == Ok(place) => {}
            Key::Int(number) => {
                return Err(
                    entry.fault(format!("an entry of {name} has the number {number}; it would be {place}"))
                );
            }
            Key::Text(key) => {
                return Err(entry.fault(format!(
                    "'{}' stands beside the entries of {name}, not in one: the original counted it as one more. Its \
                     placement cannot be taken over; see in docs/takeover.md what to do",
                    lossy(key)
                )));
            }
        }
    }
    Ok(entries.iter().map(|(_, entry)| entry))
}

/// Reads any bytes as `cluster_config.php`, without the check of the map, which takes much longer and has a target of its
/// own.
#[doc(hidden)]
pub fn fuzz_php_config(data: &[u8]) {
    let wanted = Wanted { php: PhpVersion::V5_2, entry: 0, epoch: 1 };
    let result = returned(data).and_then(|root| take_over(&root, wanted));
    let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
    match result {
        Ok((original, found)) => {
            let text = original.to_toml(Path::new("cluster_config.php"));
            assert!(text.parse::<toml::Table>().is_ok(), "what is written is TOML: {text}");
            assert!(found.line_of(Place::Map) <= lines, "a line of the file");
        }
        Err(fault) => assert!((1..=lines).contains(&fault.line), "{fault:?} is in a file of {lines} lines"),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
