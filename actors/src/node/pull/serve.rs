//! The answering side of a pull.

use std::sync::Arc;

use protocol::frame::Frame;
use protocol::pull::{MAX_BLOCK, MAX_BLOCKS, PullBlocks, PullRefused, PulledBlock, PulledEnd};
use protocol::units::Blocks;
use tokio::task::JoinSet;
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter, SendError};

use super::fetch::PRIORITY;
use super::{Beside, Nobody, Pulls};

/// Bytes that are read from the engine at once: its next step waits meanwhile.
const BATCH: u64 = 4 << 20;
/// Streams of one peer at once, those that are refused among them.
const STREAMS: usize = 64;

impl Pulls {
    /// Serves a peer until its connection is gone. To drop the future is to stop.
    pub async fn serve(self: Arc<Self>, connection: Arc<dyn Connection>) {
        self.serve_beside(connection, Arc::new(Nobody)).await;
    }

    /// As [`Pulls::serve`]; streams that are no pulls go to `beside`.
    pub async fn serve_beside(self: Arc<Self>, connection: Arc<dyn Connection>, beside: Arc<dyn Beside>) {
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                incoming = connection.accept() => match incoming {
                    Ok((writer, reader)) if streams.len() >= STREAMS => {
                        writer.reset(Code::Full);
                        reader.stop(Code::Full);
                    }
                    Ok((writer, reader)) => {
                        let (pulls, beside) = (Arc::clone(&self), Arc::clone(&beside));
                        streams.spawn(async move { pulls.stream(writer, reader, beside.as_ref()).await });
                    }
                    Err(_) => return,
                },
                Some(_) = streams.join_next() => {}
            }
        }
    }

    async fn stream(&self, mut writer: FrameWriter, mut reader: FrameReader, beside: &dyn Beside) {
        writer.set_priority(PRIORITY);
        let wanted = match reader.recv_within(self.settings.patience, "a pull").await {
            Ok(Frame::PullBlocks(wanted)) => wanted,
            Ok(other) => return beside.answer(other, (writer, reader)).await,
            Err(error) => {
                writer.reset(error.code());
                return;
            }
        };
        let stopped = writer.stopped();
        let sent = tokio::select! {
            biased;
            _ = stopped => {
                writer.reset(Code::Cancelled);
                return;
            }
            sent = self.hand_out(&mut writer, wanted) => sent,
        };
        match sent {
            Ok(()) => writer.finish(),
            Err(error) => {
                tracing::debug!("a pull has ended: {error}");
                writer.reset(Code::Internal);
            }
        }
    }

    async fn hand_out(&self, writer: &mut FrameWriter, wanted: PullBlocks) -> Result<(), SendError> {
        let Ok(_permit) = self.serves.try_acquire() else {
            let limit = u32::try_from(self.settings.serves).unwrap_or(u32::MAX);
            return writer.send(PullRefused::Busy { limit }).await;
        };
        let PullBlocks { model, layout, hashes } = wanted;
        let Some(worker) = (self.workers)(&model) else {
            return writer.send(PullRefused::UnknownModel { model }).await;
        };
        if hashes.len() > MAX_BLOCKS || layout.bytes > MAX_BLOCK {
            let refused = PullRefused::TooLarge { blocks: Blocks::of(hashes.len()), bytes: layout.bytes };
            return writer.send(refused).await;
        }
        let Some((ours, _)) = worker.look(Vec::new()).await else {
            return writer.send(PullRefused::Closed).await;
        };
        if ours != layout {
            return writer.send(PullRefused::Layout { theirs: Box::new(ours) }).await;
        }
        let at_once = usize::try_from(BATCH / ours.bytes.max(1)).unwrap_or(usize::MAX).max(1);
        let mut blocks = Blocks::ZERO;
        for part in hashes.chunks(at_once) {
            let exported = worker.export(part.to_vec()).await.unwrap_or_default();
            let all = exported.len() == part.len();
            for block in exported {
                blocks += Blocks(1);
                writer.send(PulledBlock { hash: block.hash, parent: block.parent, bytes: block.bytes }).await?;
            }
            if !all {
                break;
            }
        }
        self.metrics.went(blocks);
        writer.send(PulledEnd { blocks }).await
    }
}
