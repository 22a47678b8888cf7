//! Clusters that several tests use.

use std::sync::{Mutex, OnceLock};

use super::cluster::Cluster;
use super::front::Front;
use super::setup::Options;

/// A cluster of the usual kind for tests that do it no harm, the same for all tests of a program. Each keeps to a
/// folder of its own.
pub fn shared(front: Front) -> Shared {
    static CLUSTERS: Mutex<Vec<(Front, &'static OnceLock<Cluster>)>> = Mutex::new(Vec::new());
    let cluster = {
        let mut clusters = CLUSTERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match clusters.iter().find(|(other, _)| *other == front) {
            Some((_, cluster)) => *cluster,
            None => {
                // Never dropped, as a static is not either: the watchdog ends its processes.
                let cluster: &'static OnceLock<Cluster> = Box::leak(Box::default());
                clusters.push((front, cluster));
                cluster
            }
        }
    };
    Shared(cluster.get_or_init(|| Cluster::start(front, Options::default())))
}

/// The use of a shared cluster by one test: shows the logs if it fails.
#[derive(Debug)]
pub struct Shared(&'static Cluster);

impl std::ops::Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.show_logs();
        }
    }
}
