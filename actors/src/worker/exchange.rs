//! Cached blocks in and out of a worker's engine, between two steps.

use protocol::engine::{BlockData, BlockHash, Engine, Imported, Layout};
use protocol::units::Blocks;
use tokio::sync::oneshot;

use super::WorkerHandle;
use super::desk::Command;

/// What is asked of an engine. Nobody listening any more is no fault: then nothing is done.
pub(super) enum Exchange {
    Look { hashes: Vec<BlockHash>, reply: oneshot::Sender<(Layout, Blocks)> },
    Export { hashes: Vec<BlockHash>, reply: oneshot::Sender<Vec<BlockData>> },
    Import { layout: Layout, blocks: Vec<BlockData>, reply: oneshot::Sender<Imported> },
}

impl Exchange {
    pub(super) fn run(self, engine: &mut dyn Engine) {
        match self {
            Self::Look { hashes, reply } => drop(reply.send((engine.layout(), engine.cached_blocks(&hashes)))),
            Self::Export { hashes, reply } => {
                let mut blocks = Vec::new();
                if !reply.is_closed() {
                    engine.export_blocks(&hashes, &mut blocks);
                }
                drop(reply.send(blocks));
            }
            Self::Import { layout, blocks, reply } => {
                if !reply.is_closed() {
                    drop(reply.send(engine.import_blocks(&layout, blocks)));
                }
            }
        }
    }
}

impl WorkerHandle {
    /// What its blocks are like, and how many of these, from the front, are cached. None while there is no
    /// engine, or too much waits for it.
    pub async fn look(&self, hashes: Vec<BlockHash>) -> Option<(Layout, Blocks)> {
        self.ask(|reply| Exchange::Look { hashes, reply }).await
    }

    /// The blocks of these hashes, as far as they are cached from the front. The engine computes nothing
    /// meanwhile: ask for few at a time.
    pub async fn export(&self, hashes: Vec<BlockHash>) -> Option<Vec<BlockData>> {
        self.ask(|reply| Exchange::Export { hashes, reply }).await
    }

    /// Puts blocks into its prefix cache.
    pub async fn import(&self, layout: Layout, blocks: Vec<BlockData>) -> Option<Imported> {
        self.ask(|reply| Exchange::Import { layout, blocks, reply }).await
    }

    async fn ask<T>(&self, exchange: impl FnOnce(oneshot::Sender<T>) -> Exchange) -> Option<T> {
        let commands = self.board.commands.load_full()?.upgrade()?;
        let (reply, answer) = oneshot::channel();
        commands.try_send(Command::Blocks(exchange(reply))).ok()?;
        // The strong end must not outlive the actor's.
        drop(commands);
        answer.await.ok()
    }
}
