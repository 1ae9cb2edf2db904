//! The events stream of a link: what this node's caches hold, told to one coordinator.
//!
//! Rules: per model, an epoch begins with the whole cache, and each time that the coordinator asks or this side
//! has fallen behind. A model that is loaded while the stream lives joins it, one that goes leaves it. Large snapshots go in pieces. It goes behind control and answers: no token waits for it.

use std::sync::Arc;

use futures_util::future::select_all;
use policy::telling::Telling;
use protocol::cache::CacheBatch;
use protocol::frame::Frame;
use transport::connection::Connection;
use transport::frames::{FrameReader, FrameWriter, RecvError};

use super::Shared;
use super::offer::{Offer, Offered};
use crate::watch;
use crate::worker::{CacheListener, Heard, Served};

/// Below everything else on the connection.
const PRIORITY: i32 = -10;

/// One model's way to the coordinator.
struct Told {
    /// Whose it is.
    served: Arc<Served>,
    listener: CacheListener,
    telling: Telling,
}

/// Tells until the connection or the stream is lost.
pub(super) async fn tell(shared: &Shared, connection: &Arc<dyn Connection>) {
    let mut offer = shared.offer.subscribe();
    offer.mark_changed();
    let Ok((writer, reader)) = connection.open().await else { return };
    writer.set_priority(PRIORITY);
    if let Err(reason) = pump(&mut offer, writer, reader).await {
        tracing::debug!("the events stream has ended: {reason}");
    }
}

enum Next {
    /// Other models are served now.
    Offer,
    Frame(Box<Result<Option<Frame>, RecvError>>),
    /// Of the model at this place; none if its worker is gone.
    Heard(Option<Heard>, usize),
}

async fn pump(
    offer: &mut watch::Receiver<Offer>,
    mut writer: FrameWriter,
    mut reader: FrameReader,
) -> Result<(), String> {
    let mut all = Vec::new();
    loop {
        let next = tokio::select! {
            biased;
            changed = offer.changed() => match changed {
                Ok(()) => Next::Offer,
                Err(_) => return Err("the node is gone".to_owned()),
            },
            frame = reader.recv() => Next::Frame(Box::new(frame)),
            (heard, at) = hear(&mut all) => Next::Heard(heard, at),
        };
        match next {
            Next::Offer => {
                let workers = offer.borrow_and_update().workers.clone();
                follow(&mut all, &workers).await;
            }
            Next::Heard(None, at) => {
                all.remove(at);
            }
            Next::Heard(Some(heard), at) => {
                let Some(told) = all.get_mut(at) else { continue };
                for batch in told.batches(heard) {
                    writer.send(batch).await.map_err(|error| error.to_string())?;
                }
            }
            Next::Frame(frame) => match *frame {
                Ok(Some(Frame::CacheResync(resync))) => {
                    for told in all.iter_mut().filter(|told| told.telling.model() == resync.model) {
                        told.listener.again();
                    }
                }
                Ok(Some(other)) => return Err(format!("{:?} has no place on it", other.kind())),
                Ok(None) => return Err("the coordinator has ended it".to_owned()),
                Err(error) => return Err(error.to_string()),
            },
        }
    }
}

/// What is heard next, and of which model; for ever nothing if there is none.
async fn hear(all: &mut [Told]) -> (Option<Heard>, usize) {
    if all.is_empty() {
        return std::future::pending().await;
    }
    let (heard, at, _) = select_all(all.iter_mut().map(|told| Box::pin(told.listener.next()))).await;
    (heard, at)
}

/// Listens to the workers that are there now, and to no others.
async fn follow(all: &mut Vec<Told>, workers: &[Offered]) {
    // By engine, not by name: a model that is loaded anew begins anew.
    all.retain(|told| workers.iter().any(|offered| Arc::ptr_eq(&offered.served, &told.served)));
    for offered in workers {
        if !all.iter().any(|told| Arc::ptr_eq(&offered.served, &told.served)) {
            let served = Arc::clone(&offered.served);
            let (telling, listener) = (Telling::new(served.card.model.clone()), offered.worker.cache().await);
            all.push(Told { served, listener, telling });
        }
    }
}

impl Told {
    fn batches(&mut self, heard: Heard) -> Vec<CacheBatch> {
        match heard {
            Heard::All(keys) => self.telling.all(&keys),
            Heard::Changes(changes) => self.telling.changes(&changes),
        }
    }
}
