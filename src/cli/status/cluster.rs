//! `webdfs status --cluster`: how all nodes are, as one of them knows it.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use indicatif::BinaryBytes;

use super::date;
use crate::control::{ClusterStatus, NodeStatus, Said};

pub(super) fn print(out: &mut impl Write, status: &ClusterStatus) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["NODE", "MAP", "STATE", "OBJECTS", "BYTES", "FREE", ""]);
    for node in &status.nodes {
        table.add_row(row(status, node));
    }
    for column in 3..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    let (nodes, up) = (status.nodes.len(), status.nodes.iter().filter(|node| node.up).count());
    let how = if status.gossip { "by gossip" } else { "each was asked" };
    writeln!(out, "{up} of {nodes} nodes are up, as {} knows ({how})", status.node)
}

fn row(status: &ClusterStatus, node: &NodeStatus) -> [String; 7] {
    let unknown = || "-".to_owned();
    let said = node.said.as_ref();
    let number = |number: Option<u64>| number.map_or_else(unknown, |number| number.to_string());
    let bytes = |bytes: Option<u64>| bytes.map_or_else(unknown, |bytes| BinaryBytes(bytes).to_string());
    [
        node.node.clone(),
        said.map_or_else(unknown, |said| epoch(status, said)),
        format!("{}, {}", node.state, if node.up { "up" } else { "DOWN" }),
        number(said.and_then(|said| said.objects)),
        bytes(said.and_then(|said| said.bytes)),
        bytes(said.and_then(|said| said.space).map(|space| space.free)),
        notes(status, node),
    ]
}

fn epoch(status: &ClusterStatus, said: &Said) -> String {
    match said.epoch {
        0 => "waits".to_owned(),
        epoch if epoch == status.epoch && said.map != status.map => format!("{epoch}, ANOTHER MAP"),
        epoch => epoch.to_string(),
    }
}

/// What else there is to say of a node.
fn notes(status: &ClusterStatus, node: &NodeStatus) -> String {
    let mut notes = Vec::new();
    if let (false, Some(since)) = (node.up, node.since) {
        notes.push(format!("since {}", date(since)));
    }
    if let Some(problem) = &node.problem {
        notes.push(problem.clone());
    }
    if let Some(said) = &node.said {
        if !said.complete {
            notes.push("lacks files that it should have".to_owned());
        }
        if said.drained {
            notes.push("empty, may be switched off".to_owned());
        } else if said.passed != status.epoch && node.up {
            notes.push(format!("has not finished its pass under epoch {}", status.epoch));
        }
        if said.paused && node.up {
            notes.push("paused".to_owned());
        }
        if let Some(moving) = said.moving.filter(|_| node.up) {
            let left =
                moving.keys_left.map_or("counting keys".to_owned(), |left| format!("{left} keys left"));
            let pace = moving.bytes_per_second.map(|bytes| format!(", {}/s", BinaryBytes(bytes)));
            notes.push(left + &pace.unwrap_or_default());
        }
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Fingerprint;
    use crate::control::MovingStatus;
    use crate::store::Space;

    #[test]
    fn each_node_is_a_line_that_says_whether_it_is_up_and_since_when_not() {
        let said = Said {
            epoch: 2,
            map: Fingerprint::default(),
            passed: 2,
            complete: true,
            objects: Some(7),
            bytes: Some(3 << 20),
            space: Some(Space { free: 5 << 30, capacity: 9 << 30 }),
            moving: None,
            paused: false,
            drained: false,
        };
        let node = |name: &str, said: Option<Said>| NodeStatus {
            node: name.to_owned(),
            state: "in".to_owned(),
            up: true,
            since: Some(0),
            gossip: true,
            problem: None,
            said,
        };
        let moving = Some(MovingStatus { keys_left: Some(9), bytes_per_second: Some(1 << 20) });
        let moves = Said { passed: 1, complete: false, moving, paused: true, ..said.clone() };
        let empty = Said { objects: Some(0), drained: true, ..said.clone() };
        let other = Said { map: "00112233445566778899aabbccddeeff".parse().unwrap(), ..said.clone() };
        let status = ClusterStatus {
            node: "img1".to_owned(),
            epoch: 2,
            map: Fingerprint::default(),
            gossip: true,
            nodes: vec![
                node("img1", Some(said)),
                node("img2", Some(moves)),
                NodeStatus { up: false, ..node("img3", Some(empty)) },
                NodeStatus {
                    up: false,
                    since: None,
                    problem: Some("no answer".to_owned()),
                    ..node("img4", None)
                },
                NodeStatus { state: "left".to_owned(), ..node("img5", Some(other)) },
            ],
        };
        let mut out = Vec::new();
        print(&mut out, &status).unwrap();
        let text = String::from_utf8(out).unwrap();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<_> = text.lines().map(words).collect();
        let expected = [
            "NODE MAP STATE OBJECTS BYTES FREE",
            "img1 2 in, up 7 3.00 MiB 5.00 GiB",
            "img2 2 in, up 7 3.00 MiB 5.00 GiB lacks files that it should have; has not finished its pass under epoch 2; \
             paused; 9 keys left, 1.00 MiB/s",
            "img3 2 in, DOWN 0 3.00 MiB 5.00 GiB since Thu, 01 Jan 1970 00:00:00 GMT; empty, may be switched off",
            "img4 - in, DOWN - - - no answer",
            "img5 2, ANOTHER MAP left, up 7 3.00 MiB 5.00 GiB",
            "3 of 5 nodes are up, as img1 knows (by gossip)",
        ];
        assert_eq!(lines, expected);
    }
}
