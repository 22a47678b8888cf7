//! An owner that lacked an object keeps it while it serves it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::Service;
use super::orders::mark_dirty;
use crate::cluster::View;
use crate::disk::on_thread;
use crate::held::CopyInfo;
use crate::incoming::received;
use crate::name::ObjectName;
use crate::response::{BodyError, ByteStream};
use crate::store::{Commit, SpoolId};

/// Pieces of a body on its way through this node that may wait for the client.
const QUEUE_PIECES: usize = 4;

/// The names that are being kept: of many readers of one name only the first one's copy is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Keeping(Arc<Mutex<HashSet<ObjectName>>>);

/// The right to keep a name, given up when dropped.
struct Keeper {
    keeping: Keeping,
    name: ObjectName,
}

impl Keeping {
    fn begin(&self, name: &ObjectName) -> Option<Keeper> {
        let begun = self.0.lock().expect("no holder panics").insert(name.clone());
        begun.then(|| Keeper { keeping: self.clone(), name: name.clone() })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.keeping.0.lock().expect("no holder panics").remove(&self.name);
    }
}

/// The same body; on its way it is also written to this node's disk, unless it has no checksum yet, and goes on being
/// written should the client go away. Nor is it written where this root has returned with the same copy: that one becomes
/// a replica again, now that an owner has confirmed it.
pub(super) async fn kept_while_served(
    service: &Arc<Service>,
    map: &Arc<View>,
    name: &ObjectName,
    copy: CopyInfo,
    mut body: ByteStream,
) -> ByteStream {
    let Some(crc32) = copy.crc32 else {
        log::debug!("{name} is not kept: its owner has no checksum for it yet");
        return body;
    };
    let Some(keeper) = service.keeping.begin(name) else { return body };
    if may_take_back(service, name, copy).await {
        // Reads all of it, for which the client need not wait.
        take_back_later(service, keeper, copy);
        return body;
    }
    let (to_client, for_client) = mpsc::channel::<Result<Bytes, BodyError>>(QUEUE_PIECES);
    let (to_disk, for_disk) = mpsc::channel::<Bytes>(QUEUE_PIECES);
    let unattended = service.unattended.clone();
    let (service, map, name) = (Arc::clone(service), Arc::clone(map), name.clone());
    unattended.spawn(async move {
        let pump = async move {
            let (mut to_disk, mut to_client) = (Some(to_disk), Some(to_client));
            while let Some(piece) = body.next().await {
                if let (Some(disk), Ok(piece)) = (&to_disk, &piece)
                    && disk.send(piece.clone()).await.is_err()
                {
                    to_disk = None;
                }
                let failed = piece.is_err();
                if let Some(client) = &to_client
                    && client.send(piece).await.is_err()
                {
                    to_client = None;
                }
                if failed || (to_disk.is_none() && to_client.is_none()) {
                    break;
                }
            }
        };
        let ((), kept) = tokio::join!(
            pump,
            keep(&service, &map, &name, (copy, crc32), Box::pin(received(for_disk).map(Ok)))
        );
        if let Err(problem) = kept {
            log::warn!("{name} is not kept here yet: {problem}");
        }
        drop(keeper);
    });
    Box::pin(received(for_client))
}

/// Whether this root has returned with a copy that seems to be this one.
async fn may_take_back(service: &Service, name: &ObjectName, copy: CopyInfo) -> bool {
    let (store, asked) = (Arc::clone(&service.store), name.clone());
    on_thread(move || store.has_returned_with(&asked, &copy)).await.unwrap_or_else(|error| {
        log::warn!("whether {name} can be taken back is not known: {error}");
        false
    })
}

/// Takes a returned copy back. Should it turn out to be another, the background work fetches what this node lacks.
fn take_back_later(service: &Arc<Service>, keeper: Keeper, copy: CopyInfo) {
    let (store, node) = (Arc::clone(&service.store), service.name.clone());
    service.unattended.spawn(on_thread(move || match store.take_back(&keeper.name, &copy) {
        Ok(true) => log::debug!("{} is taken back", keeper.name),
        Ok(false) => mark_dirty(&store, &node, &keeper.name),
        Err(error) => {
            log::warn!("{} is not taken back: {error}", keeper.name);
            mark_dirty(&store, &node, &keeper.name);
        }
    }));
}

/// Writes another owner's copy to this node's disk, as any replica is written.
async fn keep(
    service: &Arc<Service>,
    map: &View,
    name: &ObjectName,
    (copy, crc32): (CopyInfo, u32),
    body: ByteStream,
) -> Result<(), String> {
    let id = SpoolId::random();
    let taken = service.take_in(map, (id, name), copy.size, body).await.map_err(|error| error.to_string())?;
    let (store, name) = (Arc::clone(&service.store), name.clone());
    if taken.crc32 != crc32 {
        on_thread(move || store.discard(id)).await;
        return Err("the bytes received do not match the checksum".into());
    }
    let (version, length) = (copy.version, copy.size);
    let committed = on_thread(move || {
        store.commit(&Commit { id, name: &name, version, crc32, length, for_client: false })
    });
    committed.await.map(|_| ()).map_err(|error| error.to_string())
}
