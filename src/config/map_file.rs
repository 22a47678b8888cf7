//! cluster.toml to a checked [`ClusterMap`]: defaults and words are decided here, whether the parts fit together in
//! [`ClusterMap::new`], whose complaint is given the line it is about.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use toml::Spanned;

use super::decide::{choose, decide_php};
use super::error::{ConfigError, Reason};
use super::file::{MapFile, MapNodeFile, SubClusterFile};
use super::source::Source;
use crate::cluster::{
    ClusterMap, MapSpec, NodeSpec, NodeState, Place, PlacementKind, PlacementSpec, SubClusterSpec,
};

/// The weight of a node in a sub-cluster that names none.
const WEIGHT: f64 = 1.0;

/// The placements that need a PHP.
const PHP_USERS: &str = "placement = \"webdfs_rush_r\" and \"webdfs_rush_p\"";

/// The words for a node's state.
const STATES: [(&str, NodeState); 2] = [("in", NodeState::In), ("out", NodeState::Out)];

/// Reads the map from a file.
///
/// # Errors
/// When the file cannot be read, or as [`parse_map`].
pub fn load_map(cluster_toml: &Path) -> Result<ClusterMap, ConfigError> {
    let bytes = fs::read(cluster_toml)
        .map_err(|source| ConfigError::Read { file: cluster_toml.to_owned(), source })?;
    parse(Source::new(cluster_toml, &bytes)?)
}

/// Reads the map from the text of a file; `file` is what errors call it.
///
/// # Errors
/// When a key is unknown, missing or has an impossible value, or the parts of the map do not fit together.
pub fn parse_map(text: &str, file: &Path) -> Result<ClusterMap, ConfigError> {
    parse(Source::new(file, text.as_bytes())?)
}

fn parse(source: Source<'_>) -> Result<ClusterMap, ConfigError> {
    let file: MapFile = source.parse()?;
    let spec = decide(&source, &file)?;
    ClusterMap::new(spec).map_err(|error| {
        let start = start_of(&file, error.place());
        source.refuse_at("", start, error)
    })
}

/// The map that the file describes, with its defaults, not yet checked as a whole.
fn decide(source: &Source<'_>, file: &MapFile) -> Result<MapSpec, ConfigError> {
    let placement = match &file.placement {
        None => PlacementKind::default(),
        Some(text) => PlacementKind::from_str(text.get_ref())
            .map_err(|error| source.refuse("placement", text, Reason::Placement(error)))?,
    };
    let needs_php = matches!(placement, PlacementKind::WebdfsRushR | PlacementKind::WebdfsRushP);
    let php = decide_php(source, file.php.as_ref(), needs_php.then_some(file.placement.as_ref()), PHP_USERS)?;
    let php = || php.expect("it was required");
    let placement = match placement {
        PlacementKind::RushR => PlacementSpec::RushR,
        PlacementKind::RushP => PlacementSpec::RushP,
        PlacementKind::RushT => PlacementSpec::RushT,
        PlacementKind::WebdfsRushR => PlacementSpec::WebdfsRushR(php()),
        PlacementKind::WebdfsRushP => PlacementSpec::WebdfsRushP(php()),
    };
    let subclusters = file.subcluster.iter().map(|subcluster| decide_subcluster(source, subcluster));
    Ok(MapSpec {
        epoch: number(source, "epoch", &file.epoch, "epoch = 1")?,
        replicas: number(source, "replicas", &file.replicas, "replicas = 3")?,
        write_quorum: number(source, "write_quorum", &file.write_quorum, "write_quorum = 2")?,
        placement,
        subclusters: subclusters.collect::<Result<_, _>>()?,
    })
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
    match place {
        Place::Map => None,
        Place::Field("epoch") => start(&file.epoch),
        Place::Field("replicas") => start(&file.replicas),
        Place::Field("write_quorum") => start(&file.write_quorum),
        Place::Field("placement") => file.placement.as_ref().map(|placement| placement.span().start),
        Place::Field(_) => None,
        Place::SubCluster(at) => file.subcluster.get(at).map(|subcluster| subcluster.span().start),
        Place::Node(at, slot) => {
            file.subcluster.get(at)?.get_ref().node.get(slot).map(|node| node.span().start)
        }
    }
}
