//! Maps made from configurations of the original place files where its own programs did.

use std::collections::BTreeMap;
use std::path::Path;

use super::placement_support::{csv_rows, parse_numbers, read_vectors};
use webdfs::cluster::MapError;
use webdfs::config::parse_map;
use webdfs::import::original::{Original, OriginalError, Wanted};
use webdfs::php::PhpVersion;
use webdfs::placement::{ObjectKey, locate};

/// A configuration of the vectors as the original is given it.
fn config_php(algorithm: &str, replicas: &str, clusters: &str) -> String {
    let mut node = 0;
    let mut cluster = |text: &str| {
        let (nodes, weight) = text.split_once(':').unwrap();
        let nodes: String = (0..nodes.parse::<usize>().unwrap())
            .map(|_| {
                node += 1;
                format!("array('proxyUrl' => 'http://img{node}/dfs.php'),")
            })
            .collect();
        format!("array('weight' => {weight}, 'nodes' => array({nodes})),\n")
    };
    let clusters: String = clusters.split(' ').map(&mut cluster).collect();
    format!(
        "<?php return array('usePathHashing' => true, 'data' => array(array('storageRoot' => '/d', 'locatorClassName' => \
         'WebDFS_DataLocator_{algorithm}', 'replicationDegree' => {replicas}, 'clusters' => array({clusters}))));"
    )
}

/// Every configuration, under one PHP each for the sake of time.
#[test]
fn imported_maps_place_every_name_of_the_vectors_as_the_original_did() {
    let (path, text) = read_vectors("webdfs_php", "configs.csv");
    let configs = csv_rows(&path, &text, "algorithm,config,category,replicas,total_nodes,clusters");
    let (path, text) = read_vectors("webdfs_php", "keys.csv");
    let names: BTreeMap<&str, Vec<u8>> = csv_rows(&path, &text, "key,type,value,seed")
        .iter()
        .filter(|row| row[1] == "string")
        .map(|row| (row[0], hex::decode(row[2]).unwrap()))
        .collect();
    for (algorithm, file) in [("RUSHr", "rushr.csv.gz"), ("RUSHp", "rushp.csv.gz")] {
        let (_, places) = read_vectors("webdfs_php", file);
        let mut rows: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
        for line in places.lines().skip(1) {
            let row: Vec<&str> = line.split(',').collect();
            rows.entry(row[0]).or_default().push(row);
        }
        let (mut compared, mut refused) = (0, Vec::new());
        for config in configs.iter().filter(|config| config[0] == algorithm) {
            let odd = config[1].parse::<usize>().unwrap() % 2 == 1;
            let (column, php) = if odd { (2, PhpVersion::V7_1) } else { (3, PhpVersion::V5_2) };
            let text = config_php(algorithm, config[3], config[5]);
            let wanted = Wanted { php, entry: 0, epoch: 1 };
            let original = match Original::read(text.as_bytes(), Path::new("c.php"), wanted) {
                Ok(original) => original,
                Err(OriginalError::Map { source, .. }) => {
                    assert!(matches!(*source, MapError::WebdfsPlacement { .. }), "{source}");
                    refused.push(config[2]);
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let map = parse_map(&original.to_toml(Path::new("c.php")), Path::new("cluster.toml")).unwrap();
            for row in &rows[config[1]] {
                let Some(name) = names.get(row[1]) else { continue };
                let owners: Vec<u32> =
                    locate(&map, ObjectKey::of(name)).iter().map(|owner| owner.get() as u32).collect();
                assert_eq!(owners, parse_numbers::<u32>(row[column]), "{algorithm} {} {}", config[1], row[1]);
                compared += 1;
            }
        }
        assert!(compared > 1_000, "{algorithm}: only {compared} places compared");
        // Where the original repeats a node or fails, `placement_vectors_php` shows that the refusal is right.
        let may_be = ["small", "fracweight", "zeroweight", "exception"];
        assert!(refused.iter().all(|category| may_be.contains(category)), "{refused:?}");
    }
}
