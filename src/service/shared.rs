//! Questions that many ask at the same time, and that may not be answered from memory: an answer is shared by those alone
//! who asked before anybody began to look for it.
//!
//! For each key one at a time looks. Whoever comes meanwhile waits until that one is done; then the first of them looks,
//! and all who came before he began take what he finds. So a look always begins after the question, and a storm of
//! questions costs one look after another.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

/// The questions that are being asked, and what was found. Clones share it.
#[derive(Debug)]
pub(super) struct Shared<K, T>(Arc<Mutex<HashMap<K, Arc<Slot<T>>>>>);

/// One key's.
#[derive(Debug)]
struct Slot<T> {
    /// How many looks have begun.
    begun: Mutex<u64>,
    /// What the last look that came to its end found, and its number. Held by who looks: it is his turn.
    found: tokio::sync::Mutex<Option<(u64, T)>>,
}

/// One who asks. When the last one leaves, so does what was found.
struct Asking<'a, K: Hash + Eq, T> {
    shared: &'a Shared<K, T>,
    key: &'a K,
    slot: Arc<Slot<T>>,
    /// The looks that had begun when he came.
    before: u64,
}

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Shared<K, T> {
    /// What `look` finds, or what another one found that began after this was called. Dropping the future ends the look, and
    /// the next one who waits begins his.
    pub async fn find(&self, key: &K, look: impl Future<Output = T>) -> T {
        let asking = self.enter(key);
        let mut found = asking.slot.found.lock().await;
        if let Some((number, found)) = &*found
            && *number > asking.before
        {
            return found.clone();
        }
        let number = {
            let mut begun = asking.slot.begun.lock().expect("no holder panics");
            *begun += 1;
            *begun
        };
        let new = look.await;
        *found = Some((number, new.clone()));
        new
    }

    fn enter<'a>(&'a self, key: &'a K) -> Asking<'a, K, T> {
        let mut slots = self.0.lock().expect("no holder panics");
        let new = || Arc::new(Slot { begun: Mutex::default(), found: tokio::sync::Mutex::default() });
        let slot = Arc::clone(slots.entry(key.clone()).or_insert_with(new));
        let before = *slot.begun.lock().expect("no holder panics");
        Asking { shared: self, key, slot, before }
    }
}

impl<K: Hash + Eq, T> Drop for Asking<'_, K, T> {
    fn drop(&mut self) {
        let mut slots = self.shared.0.lock().expect("no holder panics");
        // This one's and the map's own: nobody else can come while the map is locked.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    async fn never() -> u8 {
        unreachable!("another one looks")
    }

    #[tokio::test]
    async fn what_is_found_is_shared_by_those_alone_who_asked_before_the_look_began() {
        let shared = Shared::<&str, u8>::default();
        let (first_done, first_look) = oneshot::channel();
        let (second_done, second_look) = oneshot::channel();
        let first = shared.find(&"a", async { first_look.await.unwrap() });
        tokio::pin!(first);
        assert!(poll!(&mut first).is_pending());
        // Those who come while the first looks may not have what it finds: it may have looked before they asked.
        let second = shared.find(&"a", async { second_look.await.unwrap() });
        let third = shared.find(&"a", never());
        tokio::pin!(second, third);
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        assert_eq!(shared.find(&"b", async { 9 }).await, 9, "another key waits for nobody");
        first_done.send(1).unwrap();
        assert_eq!(first.await, 1);
        assert!(poll!(&mut second).is_pending());
        let fourth = shared.find(&"a", async { 4 });
        tokio::pin!(fourth);
        assert!(poll!(&mut third).is_pending() && poll!(&mut fourth).is_pending());
        second_done.send(2).unwrap();
        assert_eq!((second.await, third.await, fourth.await), (2, 2, 4));
        assert!(shared.0.lock().unwrap().is_empty(), "nothing is remembered");
        assert_eq!(shared.find(&"a", async { 5 }).await, 5);
    }

    #[tokio::test]
    async fn when_who_looks_goes_away_the_next_one_looks() {
        let shared = Shared::<&str, u8>::default();
        let mut first = Box::pin(shared.find(&"a", std::future::pending()));
        assert!(poll!(&mut first).is_pending());
        let mut second = Box::pin(shared.find(&"a", async { 2 }));
        assert!(poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(second.await, 2);
        assert!(shared.0.lock().unwrap().is_empty());
    }
}
