//! The events stream of a link: what this node's caches hold, told to one coordinator.
//!
//! Rules: per model, an epoch begins with the whole cache, and each time that the coordinator asks or this side
//! has fallen behind. Large snapshots go in pieces. It goes behind control and answers: no token waits for it.

use std::sync::Arc;

use futures_util::future::select_all;
use protocol::cache::{CacheBatch, CacheChange};
use protocol::frame::Frame;
use transport::connection::Connection;
use transport::frames::{FrameReader, FrameWriter};

use super::Shared;
use crate::worker::{CacheListener, Heard};

/// Below everything else on the connection.
const PRIORITY: i32 = -10;
/// Keys in one frame: some 40 KiB.
const PIECE: usize = 4096;

/// One model's way to the coordinator.
struct Telling {
    model: String,
    listener: CacheListener,
    epoch: u64,
    sequence: u64,
}

/// Tells until the connection or the stream is lost.
pub(super) async fn tell(shared: &Shared, connection: &Arc<dyn Connection>) {
    let mut all = Vec::new();
    for (worker, served) in &shared.workers {
        let (model, listener) = (served.card.model.clone(), worker.cache().await);
        all.push(Telling { model, listener, epoch: 0, sequence: 0 });
    }
    if all.is_empty() {
        return;
    }
    let Ok((writer, reader)) = connection.open().await else { return };
    writer.set_priority(PRIORITY);
    if let Err(reason) = pump(&mut all, writer, reader).await {
        tracing::debug!("the events stream has ended: {reason}");
    }
}

async fn pump(all: &mut [Telling], mut writer: FrameWriter, mut reader: FrameReader) -> Result<(), String> {
    loop {
        let heard = {
            let next = select_all(all.iter_mut().map(|telling| Box::pin(telling.listener.next())));
            tokio::select! {
                frame = reader.recv() => Err(frame),
                (heard, at, _) = next => Ok((heard, at)),
            }
        };
        match heard {
            Ok((None, _)) => return Err("a worker is gone".to_owned()),
            Ok((Some(heard), at)) => {
                let Some(telling) = all.get_mut(at) else { continue };
                for batch in telling.batches(heard) {
                    writer.send(batch).await.map_err(|error| error.to_string())?;
                }
            }
            Err(Ok(Some(Frame::CacheResync(resync)))) => {
                for telling in all.iter_mut().filter(|telling| telling.model == resync.model) {
                    telling.listener.again();
                }
            }
            Err(Ok(Some(other))) => return Err(format!("{:?} has no place on it", other.kind())),
            Err(Ok(None)) => return Err("the coordinator has ended it".to_owned()),
            Err(Err(error)) => return Err(error.to_string()),
        }
    }
}

impl Telling {
    fn batches(&mut self, heard: Heard) -> Vec<CacheBatch> {
        let mut batches = Vec::new();
        match heard {
            Heard::All(keys) => {
                self.begin();
                batches.push(self.batch(vec![CacheChange::Cleared]));
                batches.extend(keys.chunks(PIECE).map(|keys| self.batch(vec![CacheChange::Stored(keys.to_vec())])));
            }
            Heard::Changes(changes) => {
                for change in changes.iter() {
                    match change {
                        CacheChange::Cleared => {
                            self.begin();
                            batches.push(self.batch(vec![CacheChange::Cleared]));
                        }
                        CacheChange::Stored(keys) => batches.extend(
                            keys.chunks(PIECE).map(|keys| self.batch(vec![CacheChange::Stored(keys.to_vec())])),
                        ),
                        CacheChange::Removed(keys) => batches.extend(
                            keys.chunks(PIECE).map(|keys| self.batch(vec![CacheChange::Removed(keys.to_vec())])),
                        ),
                    }
                }
            }
        }
        batches
    }

    fn begin(&mut self) {
        self.epoch += 1;
        self.sequence = 0;
    }

    fn batch(&mut self, changes: Vec<CacheChange>) -> CacheBatch {
        let sequence = self.sequence;
        self.sequence += changes.iter().map(CacheChange::count).sum::<u64>();
        CacheBatch { model: self.model.clone(), epoch: self.epoch, sequence, changes }
    }
}
