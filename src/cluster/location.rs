//! Where a node stands: the rack, the host and so on that it shares with others, and may fail with. Parsing only;
//! whether the locations of all nodes fit together is the hierarchy's business.
//!
//! The levels and their order are those of the default types of a CRUSH map in Ceph
//! (<https://docs.ceph.com/en/latest/rados/operations/crush-map/>, "Types and buckets").

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::name::{NameError, PlaceName};

/// What a place is, from the largest to the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A region.
    Region,
    /// An availability zone.
    Zone,
    /// A data centre.
    Datacenter,
    /// A room.
    Room,
    /// A pod.
    Pod,
    /// A power distribution unit.
    Pdu,
    /// A row.
    Row,
    /// A rack.
    Rack,
    /// A chassis.
    Chassis,
    /// A machine, where several nodes run on one.
    Host,
}

/// A word that is no [`FailureDomain`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no failure domain; use node, or a level of the locations: {}", known_levels())]
pub struct UnknownDomain {
    /// The word.
    pub given: String,
}

/// A word that is no [`Level`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no level of a location; known are {}, from large to small", known_levels())]
pub struct UnknownLevel {
    /// The word.
    pub given: String,
}

/// The places that a node is in, from the largest to the smallest, one for each level at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location(Vec<(Level, PlaceName)>);

/// What must not fail together: no two replicas of an object are in one failure domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FailureDomain {
    /// Each node by itself.
    #[default]
    Node,
    /// Each place of that level.
    Level(Level),
}

/// Why a location is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// There is no such level.
    #[error("location: {0}")]
    Level(#[from] UnknownLevel),
    /// The name of a place is no name.
    #[error("location: {level}: {source}")]
    Name {
        /// Its level.
        level: Level,
        /// What is wrong with it.
        source: NameError,
    },
}

impl Level {
    /// Every level, from the largest to the smallest.
    pub const ALL: [Self; 10] = [
        Self::Region,
        Self::Zone,
        Self::Datacenter,
        Self::Room,
        Self::Pod,
        Self::Pdu,
        Self::Row,
        Self::Rack,
        Self::Chassis,
        Self::Host,
    ];

    /// Its name in a map.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Datacenter => "datacenter",
            Self::Room => "room",
            Self::Pod => "pod",
            Self::Pdu => "pdu",
            Self::Row => "row",
            Self::Rack => "rack",
            Self::Chassis => "chassis",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|level| level.as_str() == text);
        known.ok_or_else(|| UnknownLevel { given: text.to_owned() })
    }
}

fn known_levels() -> String {
    Level::ALL.map(Level::as_str).join(", ")
}

impl FailureDomain {
    /// Its name in a map.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Level(level) => level.as_str(),
        }
    }
}

impl fmt::Display for FailureDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FailureDomain {
    type Err = UnknownDomain;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(level) => Ok(Self::Level(level)),
            Err(_) if text == Self::Node.as_str() => Ok(Self::Node),
            Err(_) => Err(UnknownDomain { given: text.to_owned() }),
        }
    }
}

impl Location {
    /// The location of these places, by level.
    ///
    /// # Errors
    /// If a level or a name is none.
    pub fn new(places: &BTreeMap<String, String>) -> Result<Self, LocationError> {
        let place = |(level, name): (&String, &String)| {
            let level: Level = level.parse()?;
            let name = name.parse().map_err(|source| LocationError::Name { level, source })?;
            Ok((level, name))
        };
        let mut places = places.iter().map(place).collect::<Result<Vec<_>, LocationError>>()?;
        places.sort_by_key(|(level, _)| *level);
        Ok(Self(places))
    }

    /// The places, from the largest to the smallest.
    pub fn places(&self) -> &[(Level, PlaceName)] {
        &self.0
    }

    /// The same as written down.
    pub(super) fn to_spec(&self) -> BTreeMap<String, String> {
        self.places().iter().map(|(level, place)| (level.to_string(), place.to_string())).collect()
    }

    /// The levels, from the largest to the smallest.
    pub fn levels(&self) -> impl Iterator<Item = Level> {
        self.0.iter().map(|(level, _)| *level)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(places: &[(&str, &str)]) -> Result<Location, LocationError> {
        Location::new(&places.iter().map(|(level, name)| (level.to_string(), name.to_string())).collect())
    }

    #[test]
    fn places_are_sorted_from_large_to_small() {
        let location = location(&[("host", "h7"), ("datacenter", "ams"), ("rack", "r2")]).unwrap();
        assert!(location.levels().eq([Level::Datacenter, Level::Rack, Level::Host]));
        assert_eq!(location.places()[1].1.as_str(), "r2");
        assert!(Location::default().is_empty() && !location.is_empty());
    }

    #[test]
    fn unknown_levels_and_bad_names_are_refused_with_what_is_right() {
        let error = location(&[("shelf", "s1")]).unwrap_err().to_string();
        assert!(
            error.contains("\"shelf\" is no level") && error.contains("row, rack, chassis, host"),
            "{error}"
        );
        let error = location(&[("rack", "r 2")]).unwrap_err().to_string();
        assert!(error.starts_with("location: rack: the name \"r 2\" contains ' '"), "{error}");
    }

    #[test]
    fn failure_domains_are_known_by_name() {
        assert_eq!("node".parse(), Ok(FailureDomain::Node));
        for level in Level::ALL {
            assert_eq!(FailureDomain::Level(level).to_string().parse(), Ok(FailureDomain::Level(level)));
        }
        for text in ["root", "osd", "Rack", ""] {
            assert!(text.parse::<FailureDomain>().is_err(), "{text}");
        }
    }
}
