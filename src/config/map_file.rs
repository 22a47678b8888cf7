//! cluster.toml to a checked [`ClusterMap`]: defaults and words are decided here, whether the parts fit together in
//! [`ClusterMap::new`], whose complaint is given the line it is about.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::crush_file::{self, CrushText, Reader};
use super::decide::{choose, decide_php};
use super::error::{ConfigError, Reason};
use super::file::{MapFile, MapNodeFile, SubClusterFile};
use super::source::Source;
use crate::cluster::{
    ClusterMap, MapSpec, NodeSpec, NodeState, Place, PlacementKind, PlacementSpec, SubClusterSpec,
};

/// The weight of a node in a sub-cluster that names none.
const WEIGHT: f64 = 1.0;

/// No file of a map is larger, in bytes: nodes send it to each other. 65,536 nodes whose names and addresses are as long as they
/// usually are take less.
const MAP_FILE_BYTES_MAX: u64 = 8 << 20;

/// The placements that need a PHP.
const PHP_USERS: &str = "placement = \"webdfs_rush_r\" and \"webdfs_rush_p\"";

/// The words for a node's state.
pub(super) const STATES: [(&str, NodeState); 3] =
    [("in", NodeState::In), ("out", NodeState::Out), ("lost", NodeState::Lost)];

/// Reads the map from a file.
///
/// # Errors
/// When the file cannot be read, or as [`parse_map`].
pub fn load_map(cluster_toml: &Path) -> Result<ClusterMap, ConfigError> {
    let bytes =
        read(cluster_toml).map_err(|source| ConfigError::Read { file: cluster_toml.to_owned(), source })?;
    parse(Source::new(cluster_toml, &bytes)?, &|path| read(path))
}

/// Reads a file that is a part of a map.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(MAP_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAP_FILE_BYTES_MAX {
        let problem = format!("larger than the {MAP_FILE_BYTES_MAX} bytes that a map may have");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// A map as text, complete: what travels between nodes, and what a root keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapText {
    /// cluster.toml.
    pub toml: String,
    /// The text of the CRUSH map that it names, whatever its name there, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crush: Option<String>,
}

impl MapText {
    /// Reads a map and what it names from files.
    ///
    /// # Errors
    /// As [`load_map`].
    pub fn load(cluster_toml: &Path) -> Result<(Self, ClusterMap), ConfigError> {
        let bytes = read(cluster_toml)
            .map_err(|source| ConfigError::Read { file: cluster_toml.to_owned(), source })?;
        let source = Source::new(cluster_toml, &bytes)?;
        let crush = RefCell::new(None);
        let read_crush = |path: &Path| {
            let text = read(path)?;
            *crush.borrow_mut() = Some(String::from_utf8_lossy(&text).into_owned());
            Ok(text)
        };
        let map = parse(source, &read_crush)?;
        Ok((Self { toml: String::from_utf8_lossy(&bytes).into_owned(), crush: crush.into_inner() }, map))
    }

    /// The map; `file` is what errors call the text.
    ///
    /// # Errors
    /// As [`parse_map`].
    pub fn parse(&self, file: &Path) -> Result<ClusterMap, ConfigError> {
        parse_map_with(&self.toml, file, &|_| match &self.crush {
            Some(text) => Ok(text.clone().into_bytes()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }
}

/// Reads the map from the text of a file; `file` is what errors call it. A `crush_map` is refused: no other file is
/// read here.
///
/// # Errors
/// When a key is unknown, missing or has an impossible value, or the parts of the map do not fit together.
pub fn parse_map(text: &str, file: &Path) -> Result<ClusterMap, ConfigError> {
    parse_map_with(text, file, &|_| Err(io::ErrorKind::Unsupported.into()))
}

/// As [`parse_map`], with `read` for the file that `crush_map` names, whose path it is given: relative to the folder
/// of `file`, and absolute if `file` or the name is.
///
/// # Errors
/// As [`parse_map`], and when the file cannot be read or is no CRUSH map that could place the replicas on the nodes.
pub fn parse_map_with(
    text: &str,
    file: &Path,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<ClusterMap, ConfigError> {
    parse(Source::new(file, text.as_bytes())?, read)
}

fn parse(source: Source<'_>, read: Reader<'_>) -> Result<ClusterMap, ConfigError> {
    let file: MapFile = source.parse()?;
    let (spec, crush_text) = decide(&source, &file, read)?;
    ClusterMap::new(spec).map_err(|error| match (error.place(), crush_text) {
        (Place::CrushMap(place), Some(text)) => text.refuse(place, error),
        (place, _) => source.refuse_at("", start_of(&file, place), error),
    })
}

/// The map that the file describes, with its defaults, not yet checked as a whole.
fn decide(
    source: &Source<'_>,
    file: &MapFile,
    read: Reader<'_>,
) -> Result<(MapSpec, Option<CrushText>), ConfigError> {
    let kind = match &file.placement {
        None => PlacementKind::default(),
        Some(text) => PlacementKind::from_str(text.get_ref())
            .map_err(|error| source.refuse("placement", text, Reason::Placement(error)))?,
    };
    if kind != PlacementKind::Crush {
        crush_file::check_unused(source, file, kind)?;
    }
    let needs_php = matches!(kind, PlacementKind::WebdfsRushR | PlacementKind::WebdfsRushP);
    let php = decide_php(source, file.php.as_ref(), needs_php.then_some(file.placement.as_ref()), PHP_USERS)?;
    let php = || php.expect("it was required");
    let mut crush_text = None;
    let placement = match kind {
        PlacementKind::RushR => PlacementSpec::RushR,
        PlacementKind::RushP => PlacementSpec::RushP,
        PlacementKind::RushT => PlacementSpec::RushT,
        PlacementKind::WebdfsRushR => PlacementSpec::WebdfsRushR(php()),
        PlacementKind::WebdfsRushP => PlacementSpec::WebdfsRushP(php()),
        PlacementKind::Crush => {
            let (crush, text) = crush_file::decide(source, file, read)?;
            crush_text = text;
            PlacementSpec::Crush(crush)
        }
    };
    let subclusters = file.subcluster.iter().map(|subcluster| decide_subcluster(source, subcluster));
    let spec = MapSpec {
        epoch: number(source, "epoch", &file.epoch, "epoch = 1")?,
        replicas: number(source, "replicas", &file.replicas, "replicas = 3")?,
        write_quorum: number(source, "write_quorum", &file.write_quorum, "write_quorum = 2")?,
        placement,
        subclusters: subclusters.collect::<Result<_, _>>()?,
    };
    Ok((spec, crush_text))
}

fn decide_subcluster(
    source: &Source<'_>,
    file: &Spanned<SubClusterFile>,
) -> Result<SubClusterSpec, ConfigError> {
    let table = Some(file.span().start);
    let file = file.get_ref();
    let name = source.required("[[subcluster]] name", file.name.as_ref(), table, "name = \"first\"")?;
    Ok(SubClusterSpec {
        name: name.get_ref().clone(),
        weight: file.weight.unwrap_or(WEIGHT),
        nodes: file.node.iter().map(|node| decide_node(source, node)).collect::<Result<_, _>>()?,
    })
}

fn decide_node(source: &Source<'_>, file: &Spanned<MapNodeFile>) -> Result<NodeSpec, ConfigError> {
    const TABLE: &str = "[[subcluster.node]]";
    let table = Some(file.span().start);
    let file = file.get_ref();
    let name = source.required(&format!("{TABLE} name"), file.name.as_ref(), table, "name = \"img1\"")?;
    let url = source.required(
        &format!("{TABLE} url"),
        file.url.as_ref(),
        table,
        "url = \"http://10.0.0.1/_webdfs\"",
    )?;
    Ok(NodeSpec {
        name: name.get_ref().clone(),
        url: url.get_ref().clone(),
        public_url: file.public_url.as_ref().map(|url| url.get_ref().clone()),
        state: choose(source, &format!("{TABLE} state"), file.state.as_ref(), NodeState::In, &STATES)?,
        location: file.location.clone().unwrap_or_default(),
    })
}

/// A number that must be there. Its bounds are the map's business, except that it counts something.
fn number<T: TryFrom<i64>>(
    source: &Source<'_>,
    setting: &str,
    value: &Option<Spanned<i64>>,
    example: &'static str,
) -> Result<T, ConfigError> {
    let value = source.required(setting, value.as_ref(), None, example)?;
    T::try_from(*value.get_ref()).map_err(|_| source.refuse(setting, value, Reason::Number(1)))
}

/// Where in the text the thing stands that a map was refused for; none for the map as a whole.
fn start_of(file: &MapFile, place: Place) -> Option<usize> {
    let start = |value: &Option<Spanned<i64>>| value.as_ref().map(|value| value.span().start);
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.span().start);
    match place {
        Place::Map => None,
        Place::Field("epoch") => start(&file.epoch),
        Place::Field("replicas") => start(&file.replicas),
        Place::Field("write_quorum") => start(&file.write_quorum),
        Place::Field("placement") => file.placement.as_ref().map(|placement| placement.span().start),
        Place::Field("failure_domain") => text(&file.failure_domain),
        Place::Field("crush_map") => text(&file.crush_map),
        Place::Field("crush_rule") => text(&file.crush_rule),
        Place::Field(_) | Place::CrushMap(_) => None,
        Place::SubCluster(at) => file.subcluster.get(at).map(|subcluster| subcluster.span().start),
        Place::Node(at, slot) => {
            file.subcluster.get(at)?.get_ref().node.get(slot).map(|node| node.span().start)
        }
    }
}
