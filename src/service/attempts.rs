//! How often requests are begun because of a change of the map: what cannot be decided under one map often can under the
//! next, and new nodes take a moment to be counted.

use std::time::Duration;

use tokio::time::sleep;

use super::Service;
use crate::cluster::View;

/// Maps under which one request is tried.
const MAPS_MAX: usize = 3;
/// So soon after a change of the map nodes may still be about to take up their work.
const FRESH: Duration = Duration::from_secs(3);
/// How often they are asked meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The attempts that one request has left.
#[derive(Debug)]
pub(super) struct Attempts {
    maps: usize,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { maps: MAPS_MAX }
    }
}

impl Attempts {
    /// Whether what could not be decided under `map` is worth another attempt: at once, if the map is another by now. Else
    /// after a moment, if it has just changed.
    pub async fn another(&mut self, service: &Service, map: &View) -> bool {
        if !service.is_in_force(map) {
            return self.under_another_map();
        }
        others_become_ready(service, map).await
    }

    /// Whether there is another attempt for a map that differed somewhere.
    pub fn under_another_map(&mut self) -> bool {
        self.maps = self.maps.saturating_sub(1);
        self.maps > 0
    }
}

/// Whether nodes may still be about to take up their work under `map`: after a moment.
pub(super) async fn others_become_ready(service: &Service, map: &View) -> bool {
    let is_fresh = !map.older().is_empty() && service.maps.since().elapsed() < FRESH;
    if is_fresh {
        sleep(ASK_AGAIN).await;
    }
    is_fresh
}
