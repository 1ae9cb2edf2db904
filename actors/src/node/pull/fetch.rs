//! The asking side of a pull.

use std::sync::Arc;
use std::time::Duration;

use protocol::engine::{BlockData, BlockHash, Layout};
use protocol::frame::Frame;
use protocol::message::Pull;
use protocol::pull::PullBlocks;
use protocol::units::Blocks;
use tokio::time::Instant;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter};

use super::{Peer, Pulls};
use crate::worker::WorkerHandle;

/// Bytes that are taken in at once: a step of the engine waits meanwhile.
const BATCH: usize = 8 << 20;
/// Behind tokens and reports.
pub(super) const PRIORITY: i32 = -10;

/// How far a pull has come, whatever becomes of it.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) taken: Blocks,
    pub(super) bytes: u64,
    asked: Instant,
    first: Option<Instant>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { taken: Blocks::ZERO, bytes: 0, asked: Instant::now(), first: None }
    }

    /// How long all took after the request, and how long it took to the first block.
    pub(super) fn times(&self) -> (Duration, Duration) {
        let latency = self.first.map_or_else(|| self.asked.elapsed(), |first| first.duration_since(self.asked));
        // The first block's own way is in the latency; to count its bytes too errs on the safe side only if
        // the time does.
        (self.asked.elapsed(), latency.min(self.asked.elapsed()))
    }
}

impl Pulls {
    /// Fetches blocks and has the engine take them in.
    pub(super) async fn fetch(
        &self,
        peer: &Arc<Peer>,
        worker: &WorkerHandle,
        pull: &Pull,
        layout: Layout,
        hashes: &[BlockHash],
        tally: &mut Tally,
    ) -> Result<(), String> {
        let connection = peer.connection(self.dialer.as_ref(), pull.node, &pull.address).await?;
        let (mut writer, mut reader) = match connection.open().await {
            Ok(stream) => stream,
            Err(lost) => {
                peer.forget(&connection).await;
                return Err(lost.to_string());
            }
        };
        writer.set_priority(PRIORITY);
        tally.asked = Instant::now();
        let outcome = exchange(&mut writer, &mut reader, worker, layout, hashes, tally).await;
        if let Err(reason) = &outcome {
            tracing::debug!("a pull from node {} has failed: {reason}", pull.node);
            reader.stop(Code::Cancelled);
            writer.reset(Code::Cancelled);
            // A connection that is gone is found out at the next opening; one that lives stays.
        } else {
            writer.finish();
        }
        outcome
    }
}

async fn exchange(
    writer: &mut FrameWriter,
    reader: &mut FrameReader,
    worker: &WorkerHandle,
    layout: Layout,
    hashes: &[BlockHash],
    tally: &mut Tally,
) -> Result<(), String> {
    let model = worker.model().to_owned();
    let ask = PullBlocks { model, layout: layout.clone(), hashes: hashes.to_vec() };
    writer.send(ask).await.map_err(|error| error.to_string())?;
    let mut due = hashes.iter();
    let mut batch: Vec<BlockData> = Vec::new();
    loop {
        match reader.recv().await.map_err(|error| error.to_string())? {
            Some(Frame::PulledBlock(block)) => {
                tally.first.get_or_insert_with(Instant::now);
                tally.bytes += block.bytes.len() as u64;
                if due.next() != Some(&block.hash) {
                    return Err(format!("block {} came, another was due", block.hash));
                }
                if block.bytes.len() as u64 != layout.bytes {
                    return Err(format!(
                        "block {} has {} bytes, {} are needed",
                        block.hash,
                        block.bytes.len(),
                        layout.bytes
                    ));
                }
                batch.push(BlockData { hash: block.hash, parent: block.parent, bytes: block.bytes });
                if batch.len() * usize::try_from(layout.bytes).unwrap_or(usize::MAX) >= BATCH {
                    take_in(worker, &layout, &mut batch, tally).await?;
                }
            }
            Some(Frame::PulledEnd(end)) => {
                take_in(worker, &layout, &mut batch, tally).await?;
                let came = Blocks::of(hashes.len() - due.len());
                return if end.blocks == came {
                    Ok(())
                } else {
                    Err(format!("{} were announced, {came} came", end.blocks))
                };
            }
            Some(Frame::PullRefused(refused)) => return Err(refused.to_string()),
            Some(other) => return Err(format!("{:?} has no place in a pull", other.kind())),
            None => return Err("the peer has ended the pull in its middle".to_owned()),
        }
    }
}

async fn take_in(
    worker: &WorkerHandle,
    layout: &Layout,
    batch: &mut Vec<BlockData>,
    tally: &mut Tally,
) -> Result<(), String> {
    if batch.is_empty() {
        return Ok(());
    }
    let imported = worker.import(layout.clone(), std::mem::take(batch)).await;
    let imported = imported.ok_or("the worker is not ready")?;
    tally.taken += imported.taken;
    imported.refused.map_or(Ok(()), |refusal| Err(refusal.to_string()))
}
