//! What cluster.toml says about CRUSH, and the text map it may name: which of the two forms it is, and where in which
//! file a mistake stands.

use std::io;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::error::{ConfigError, Reason};
use super::file::MapFile;
use super::source::Source;
use crate::cluster::crush::{CrushPlace, TextMap, parse_text};
use crate::cluster::{CrushSource, MapError, PlacementKind};

/// Reads a file that cluster.toml names.
pub(super) type Reader<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// A text map that was read, kept for the lines of mistakes.
pub(super) struct CrushText {
    path: PathBuf,
    map: TextMap,
}

impl CrushText {
    /// `error` is about `place` in this text.
    pub fn refuse(&self, place: CrushPlace, error: MapError) -> ConfigError {
        let line = self.map.line_of(place);
        super::source::refuse_line(&self.path, line, Reason::Map(error))
    }
}

/// Refuses the settings of CRUSH beside another placement.
pub(super) fn check_unused(
    source: &Source<'_>,
    file: &MapFile,
    placement: PlacementKind,
) -> Result<(), ConfigError> {
    let settings = [
        ("failure_domain", &file.failure_domain),
        ("crush_map", &file.crush_map),
        ("crush_rule", &file.crush_rule),
    ];
    for (setting, value) in settings {
        if let Some(value) = value {
            return Err(source.refuse(setting, value, Reason::CrushOnly(placement)));
        }
    }
    Ok(())
}

/// Where the CRUSH map comes from, and its text if it is one.
pub(super) fn decide(
    source: &Source<'_>,
    file: &MapFile,
    read: Reader<'_>,
) -> Result<(CrushSource, Option<CrushText>), ConfigError> {
    let domain = file.failure_domain.as_ref();
    let Some(named) = &file.crush_map else {
        if let Some(rule) = &file.crush_rule {
            return Err(source.refuse("crush_rule", rule, Reason::CrushRuleAlone));
        }
        let parse = |domain: &Spanned<String>| {
            let parsed = domain.get_ref().parse();
            parsed.map_err(|error| source.refuse("failure_domain", domain, Reason::FailureDomain(error)))
        };
        let domain = domain.map(parse).transpose()?.unwrap_or_default();
        return Ok((CrushSource::Locations(domain), None));
    };
    if let Some(domain) = domain {
        return Err(source.refuse("failure_domain", domain, Reason::TwoCrushSources));
    }
    let path = source.folder().join(named.get_ref());
    let bytes = read(&path).map_err(|error| {
        source.refuse("crush_map", named, Reason::Unreadable { file: path.clone(), source: error })
    })?;
    let text = Source::new(&path, &bytes)?;
    let map = parse_text(text.text())
        .map_err(|error| super::source::refuse_line(&path, error.line, Reason::CrushText(error.fault)))?;
    let rule = file.crush_rule.as_ref().map(|rule| rule.get_ref().clone());
    let placed = CrushSource::Map { map: Box::new(map.spec.clone()), rule };
    Ok((placed, Some(CrushText { path, map })))
}
