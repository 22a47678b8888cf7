//! Whether this root is the one that other nodes know (design section 5). Until one of them has said so, it may be an older
//! copy that was just put back, and what it lacks says nothing.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Service;
use crate::cluster::{NodeName, View};
use crate::disk::on_thread;
use crate::gossip::place;
use crate::peer::message::{Hello, HelloAnswer};
use crate::store::StoreError;

/// How often the others are asked while none answers.
const AGAIN: Duration = Duration::from_millis(250);
/// How long another node that asks for a copy waits for that at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether one does.
const LOOK: Duration = Duration::from_millis(10);

impl Service {
    /// Tells another node how this one is, and which stamp of that node's root it remembers.
    pub(super) async fn answer_hello(
        &self,
        map: &View,
        from: NodeName,
        hello: Hello,
        seen: Option<IpAddr>,
    ) -> Result<HelloAnswer, StoreError> {
        let remembered = match hello.stamp {
            Some(stamp) => {
                let store = Arc::clone(&self.store);
                on_thread(move || store.remember_stamp(&from, stamp)).await?
            }
            None => None,
        };
        let store = Arc::clone(&self.store);
        let stand = on_thread(move || Ok::<_, StoreError>((store.passed()?, store.agent_record().moved)));
        let (passed, moved) = stand.await?;
        Ok(HelloAnswer {
            complete: self.is_complete().await,
            seen,
            remembered,
            epoch: map.epoch_in_force(),
            map: map.fingerprint(),
            older: map.older_fingerprint(),
            passed,
            moved,
            gossip: self.settings.gossip.as_deref().map(|listen| place(listen, map.node(map.own()).url())),
        })
    }

    /// Asks the other nodes until one knows this root.
    pub async fn become_known(service: Weak<Self>) {
        while let Some(service) = service.upgrade() {
            if service.is_known() {
                return;
            }
            let joins = service.maps.is_joining();
            if !joins && let Err(error) = service.ask_whether_known().await {
                log::debug!("whether other nodes know this root is not known: {error}");
            }
            drop(service);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits until another node knows this root, but not for long: as soon as one is in touch with another, it is told.
    pub(super) async fn wait_until_known(&self) {
        let known = async {
            while !self.is_known() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, known).await;
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.get().is_some() || self.map().nodes().len() == 1
    }

    /// Whether another node has said, to this or to another process of the root, that it knows this root.
    pub(super) async fn is_known_by_now(&self) -> bool {
        if self.is_known() {
            return true;
        }
        let store = Arc::clone(&self.store);
        if let Ok(Some(known)) = on_thread(move || store.known_root()).await {
            let _ = self.known.set(known);
        }
        self.is_known()
    }

    /// Takes the first answer of another node, or what another process knows.
    async fn ask_whether_known(&self) -> Result<(), StoreError> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        let looked = on_thread(move || match store.known_root()? {
            Some(known) => Ok((Some(known), None)),
            // Others remember it, so it must not be lost here.
            None => store.identify_durably(&name).map(|identity| (None, Some(identity))),
        });
        let (mut known, identity) = looked.await?;
        let stamp = identity.filter(|identity| !identity.returning).and_then(|identity| identity.stamp);
        if let Some(stamp) = stamp {
            let map = self.map();
            let hello = Hello { stamp: Some(stamp) };
            let mut asked: FuturesUnordered<_> =
                map.others().map(|node| self.peers.hello(&map, node, hello)).collect();
            while let Some(answer) = asked.next().await {
                let Ok(answer) = answer else { continue };
                if answer.remembered.is_none_or(|remembered| !remembered.contradicts(stamp)) {
                    let store = Arc::clone(&self.store);
                    known = Some(on_thread(move || store.make_known()).await?);
                }
                break;
            }
        }
        if let Some(known) = known {
            let _ = self.known.set(known);
        }
        Ok(())
    }
}
