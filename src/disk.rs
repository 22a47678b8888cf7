//! Where work on the disk runs: on a thread of its own that may wait, or at once.
//!
//! Handing work to another thread and back costs several system calls and two switches, more than a small write into
//! the page cache itself. So work that waits for no sync runs at once, as web servers do it; whatever syncs, or reads
//! much, gets a thread.

use crate::config::Durability;
use crate::store::Store;

/// Runs what waits for the disk on a thread for that.
pub async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Runs a small piece of a client's write: at once if this store does not sync those, else on a thread.
pub async fn client_write<T: Send + 'static>(store: &Store, work: impl FnOnce() -> T + Send + 'static) -> T {
    match store.durability() {
        Durability::None => work(),
        Durability::Sync => on_thread(work).await,
    }
}
