//! What the two files say, word for word: every key optional, unknown keys refused, each value with its place in
//! the text. No default and no decision lives here; see [`super::Settings`] and [`super::parse_map`].

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// A text that may be absent.
type Text = Option<Spanned<String>>;

/// node.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeFile {
    pub name: Text,
    pub map: Text,
    pub root: Text,
    pub root_is_mount: Option<bool>,
    pub layout: Text,
    pub php: Text,
    pub prefix: Text,
    pub index: Text,
    pub exclude: Option<Spanned<Vec<String>>>,
    pub follow_symlinks: Option<bool>,
    pub file_mode: Text,
    pub folder_mode: Text,
    pub secret_file: Text,
    pub front: Text,
    pub durability: Text,
    pub read: Text,
    #[serde(default)]
    pub listen: ListenFile,
    #[serde(default)]
    pub deliver: DeliverFile,
    #[serde(default)]
    pub write: WriteFile,
    #[serde(default)]
    pub access: AccessFile,
    #[serde(default)]
    pub limits: LimitsFile,
    #[serde(default)]
    pub agent: AgentFile,
}

/// node.toml, the table `[listen]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [listen]")]
pub(super) struct ListenFile {
    pub fcgi: Text,
    pub fcgi_mode: Text,
    pub http: Text,
    pub gossip: Text,
}

/// node.toml, the table `[deliver]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [deliver]")]
pub(super) struct DeliverFile {
    pub map_max: Text,
    pub remote: Text,
}

/// node.toml, the table `[write]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [write]")]
pub(super) struct WriteFile {
    pub allow: Option<Vec<Spanned<String>>>,
    pub object_max: Text,
    pub reserve: Text,
}

/// node.toml, the table `[access]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [access]")]
pub(super) struct AccessFile {
    pub tokens: Text,
    pub private: Option<Vec<Spanned<String>>>,
    pub users: Option<Vec<Spanned<UserFile>>>,
    pub sign_keys: Option<Vec<Spanned<String>>>,
}

/// node.toml, one of `[access] users`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a user: { name = \"ann\", prefix = \"/\", methods = [\"PUT\"] }")]
pub(super) struct UserFile {
    pub name: Text,
    pub prefix: Text,
    pub methods: Option<Vec<Spanned<String>>>,
}

/// node.toml, the table `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [limits]")]
pub(super) struct LimitsFile {
    pub requests_per_second: Option<Spanned<i64>>,
    pub bytes_per_second: Text,
    pub uploads: Option<Spanned<i64>>,
}

/// tokens.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokensFile {
    #[serde(default)]
    pub token: Vec<Spanned<TokenFile>>,
}

/// tokens.toml, one `[[token]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [[token]]")]
pub(super) struct TokenFile {
    pub name: Text,
    pub hash: Text,
    pub prefix: Text,
    pub methods: Option<Vec<Spanned<String>>>,
    pub expires: Text,
}

/// node.toml, the table `[agent]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [agent]")]
pub(super) struct AgentFile {
    pub bytes_per_second: Text,
    pub concurrency: Option<Spanned<i64>>,
    pub pass_every: Text,
    pub scrub_every: Text,
}

/// cluster.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MapFile {
    pub epoch: Option<Spanned<i64>>,
    pub replicas: Option<Spanned<i64>>,
    pub write_quorum: Option<Spanned<i64>>,
    pub placement: Text,
    pub php: Text,
    pub failure_domain: Text,
    pub crush_map: Text,
    pub crush_rule: Text,
    #[serde(default)]
    pub subcluster: Vec<Spanned<SubClusterFile>>,
}

/// cluster.toml, one `[[subcluster]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [[subcluster]]")]
pub(super) struct SubClusterFile {
    pub name: Text,
    pub weight: Option<f64>,
    #[serde(default)]
    pub node: Vec<Spanned<MapNodeFile>>,
}

/// cluster.toml, one `[[subcluster.node]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that starts with a line [[subcluster.node]]")]
pub(super) struct MapNodeFile {
    pub name: Text,
    pub url: Text,
    pub public_url: Text,
    pub state: Text,
    pub location: Option<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::DeserializeOwned;

    use super::*;

    /// The keys that the code knows in one table, as `table.key`.
    fn known<T: DeserializeOwned + std::fmt::Debug>(table: &str) -> Vec<String> {
        let error = toml::from_str::<T>("no_such_key = 0").unwrap_err();
        let (_, keys) = error.message().split_once("expected").unwrap();
        keys.split('`').skip(1).step_by(2).map(|key| format!("{table}{key}")).collect()
    }

    /// The keys that a file under conf/ shows, set or commented out (`#key = value`), as `table.key`.
    fn documented(text: &str) -> BTreeSet<String> {
        let mut table = String::new();
        let mut keys = BTreeSet::new();
        for line in text.lines() {
            let line = line.strip_prefix('#').unwrap_or(line);
            if line.starts_with('[') {
                let name = line.split(']').next().unwrap().trim_start_matches('[');
                table = format!("{name}.");
                keys.extend(name.split('.').map(str::to_owned));
            } else if let Some((key, _)) = line.split_once(" = ")
                && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                keys.insert(format!("{table}{key}"));
            }
        }
        keys
    }

    #[test]
    fn node_toml_documents_every_key_and_no_other() {
        let mut keys: BTreeSet<String> = known::<NodeFile>("").into_iter().collect();
        keys.extend(known::<ListenFile>("listen."));
        keys.extend(known::<DeliverFile>("deliver."));
        keys.extend(known::<WriteFile>("write."));
        keys.extend(known::<AccessFile>("access."));
        keys.extend(known::<LimitsFile>("limits."));
        keys.extend(known::<AgentFile>("agent."));
        assert_eq!(documented(include_str!("../../conf/node.toml")), keys);
    }

    #[test]
    fn cluster_toml_documents_every_key_and_no_other() {
        let mut keys: BTreeSet<String> = known::<MapFile>("").into_iter().collect();
        keys.extend(known::<SubClusterFile>("subcluster."));
        keys.remove("subcluster.node");
        keys.insert("node".to_owned());
        keys.extend(known::<MapNodeFile>("subcluster.node."));
        let mut shown = documented(include_str!("../../conf/cluster.toml"));
        shown.extend(documented(include_str!("../../conf/cluster-crush.toml")));
        assert_eq!(shown, keys);
    }
}
