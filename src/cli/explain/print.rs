//! The explanation as text: indented by what belongs to what.

use std::io::{self, Write};

use super::probe::{Probe, Shown, Told};
use super::{Change, Explained, UnderMap};
use crate::placement::narrate::{self, count};

/// Columns that a paragraph keeps to.
const COLUMNS: usize = 100;

/// Prints the explanations. `all` leaves nothing out: no quiet step, no step under an older map, and no node that
/// holds nothing.
pub(super) fn print(out: &mut impl Write, explained: &[Explained<'_>], all: bool) -> io::Result<()> {
    for (at, file) in explained.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", file.path)?;
        writeln!(out, "  name  {}", file.name)?;
        writeln!(out, "  hash  {}, the CRC-32 of the name: with the map it decides every draw", file.hash)?;
        match &file.file.path {
            Some(path) => writeln!(out, "  file  {path} below the root of each owner")?,
            None => writeln!(
                out,
                "  file  {} below the root of each owner, as the name is too long for a path",
                file.file.escape
            )?,
        }
        for (number, map) in file.maps.iter().enumerate() {
            let is_current = number == 0;
            print_heading(out, map)?;
            // Who asks for several files needs the rules once.
            if at == 0 && is_current {
                paragraph(out, "    ", narrate::rules(map.kind))?;
            }
            if is_current || all {
                for line in narrate::lines(&map.steps, all) {
                    writeln!(out, "    {line}")?;
                }
            }
            print_owners(out, map)?;
        }
        if let Some(probe) = &file.probe {
            print_probe(out, probe, all)?;
        }
    }
    out.flush()
}

fn print_heading(out: &mut impl Write, map: &UnderMap) -> io::Result<()> {
    let (replicas, nodes) = (count(map.replicas, "replica"), count(map.nodes, "node"));
    let subclusters = count(map.subclusters, "sub-cluster");
    let (epoch, file, kind) = (map.epoch, &map.file, map.kind);
    writeln!(out, "\n  epoch {epoch} ({file}): {kind} places {replicas} on {nodes} in {subclusters}")
}

fn print_owners(out: &mut impl Write, map: &UnderMap) -> io::Result<()> {
    writeln!(out, "    owners")?;
    for (at, owner) in map.owners.iter().enumerate() {
        writeln!(out, "      {} {} {}", at + 1, owner.node, owner.url)?;
    }
    match &map.change {
        Some(change) => writeln!(out, "    {}", change_in_words(change)),
        None => Ok(()),
    }
}

pub(super) fn change_in_words(change: &Change) -> String {
    let Change { came, went, reordered } = change;
    let have = |nodes: &[String], what: &str| {
        let verb = if nodes.len() == 1 { "has" } else { "have" };
        format!("{} {verb} {what}", nodes.join(", "))
    };
    match (came.is_empty(), went.is_empty()) {
        (true, true) if *reordered => "since then the same owners, in another order".to_owned(),
        (true, true) => "since then the same owners".to_owned(),
        (false, true) => format!("since then {}", have(came, "come")),
        (true, false) => format!("since then {}", have(went, "gone")),
        (false, false) => format!("since then {} and {}", have(came, "come"), have(went, "gone")),
    }
}

fn print_probe(out: &mut impl Write, probe: &Probe, all: bool) -> io::Result<()> {
    writeln!(out, "\n  what the nodes hold")?;
    let is_idle = |told: &&Told| !all && told.is_idle;
    let shown: Vec<&Told> = probe.nodes.iter().filter(|told| !is_idle(told)).collect();
    let width = |text: fn(&Told) -> &str| shown.iter().map(|told| text(told).len()).max().unwrap_or(0);
    let (name_width, role_width) = (width(|told| &told.node), width(|told| &told.role));
    for told in &shown {
        let (node, role) = (&told.node, &told.role);
        writeln!(out, "    {node:<name_width$}  {role:<role_width$}  {}", held_in_words(told))?;
    }
    match probe.nodes.len() - shown.len() {
        0 => {}
        1 => writeln!(out, "    1 other node holds nothing")?,
        others => writeln!(out, "    {others} other nodes hold nothing")?,
    }
    writeln!(out, "  {}", probe.verdict.verdict)?;
    for wrong in &probe.verdict.wrong {
        writeln!(out, "    WRONG {wrong}")?;
    }
    for note in &probe.verdict.notes {
        writeln!(out, "    note  {note}")?;
    }
    Ok(())
}

fn held_in_words(told: &Told) -> String {
    let Some(holds) = &told.holds else {
        return told.error.clone().unwrap_or_default();
    };
    let held = match &holds.held {
        Shown::Nothing => "nothing".to_owned(),
        Shown::Tombstone { version, time } => format!("tombstone, version {version} ({time})"),
        Shown::File { version, time, size, crc32 } => {
            let crc32 = crc32.as_ref().map_or("no checksum yet".to_owned(), |crc32| format!("crc32 {crc32}"));
            let bytes = if *size == 1 { "byte" } else { "bytes" };
            format!("file, version {version} ({time}), {size} {bytes}, {crc32}")
        }
    };
    if holds.complete { held } else { format!("{held}; its root is not complete yet") }
}

/// A text in lines of at most [`COLUMNS`].
fn paragraph(out: &mut impl Write, indent: &str, text: &str) -> io::Result<()> {
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        if line.len() > indent.len() && line.len() + 1 + word.len() > COLUMNS {
            writeln!(out, "{line}")?;
            line = indent.to_owned();
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{line}")
}
