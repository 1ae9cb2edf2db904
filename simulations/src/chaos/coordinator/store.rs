//! A coordinator and its disk: what is written when, and what waits for it. See `actors::cost::saving`.

use super::{Book, Coordinator};
use crate::chaos::client::End;
use crate::chaos::disk::{Batch, PAUSE, Then, WATCH, Write};
use crate::chaos::events::Timer;
use crate::chaos::ground::Ground;

impl Coordinator {
    /// Something is to be written.
    pub(super) fn submit(&mut self, ground: &mut Ground, batch: Batch) {
        let Some(running) = &mut self.up else { return };
        if running.writer.pending.is_empty() {
            ground.timer(self.me, PAUSE, Timer::Flush);
        }
        running.writer.pending.push(batch);
    }

    /// What has gathered goes to the disk.
    pub(super) fn flush(&mut self, ground: &mut Ground) {
        let Some(running) = &mut self.up else { return };
        let out = running.writer.flush(&mut self.hard);
        for (batch, written) in out {
            if written {
                self.on_disk(&batch);
            } else {
                ground.tally.unwritten += 1;
                self.hard.unwritten += 1;
            }
            match batch.then {
                Then::Nothing => {}
                Then::Journaled(ask) => match (self.request(ask).is_some_and(|request| !request.gone), written) {
                    (true, true) => self.begin(ground, ask),
                    (true, false) => self.finish(ground, ask, &End::Unpaid(Some(WATCH))),
                    _ => {}
                },
                // What runs is answered, though it is recorded later.
                Then::Settled(ask) => self.settled(ground, ask),
                Then::Answer(to, serial, grant) => {
                    if written {
                        self.answer(ground, to, serial, Ok(*grant));
                    }
                }
            }
        }
    }

    /// A grantee counts on what stands in its journal.
    fn on_disk(&mut self, batch: &Batch) {
        let Some(running) = &mut self.up else { return };
        let (Some((sequence, release)), Book::Grantee(grantee)) = (batch.kept, &mut running.book) else { return };
        if let Some(sequence) = sequence {
            grantee.journaled(sequence);
        }
        if let Some(id) = release {
            // Nothing happens if it is not there.
            let _ = grantee.release(id);
        }
    }

    /// Tries again what could not be written.
    pub(super) fn save(&mut self, ground: &mut Ground) {
        let Some(running) = &mut self.up else { return };
        let book = &running.book;
        let sums = || match book {
            Book::Holder(holder) => {
                let spent = holder.ledger().all_spent().map(Write::Spent);
                spent.chain(holder.kept().into_iter().map(Write::State)).collect()
            }
            Book::Grantee(_) => Vec::new(),
        };
        let saved = running.writer.save(&mut self.hard, sums);
        if !saved.is_empty() {
            ground.note(|| format!("{} has written {} records that had waited", self.me, saved.len()));
        }
        saved.iter().for_each(|batch| self.on_disk(batch));
    }

    pub(super) fn watch(&mut self, ground: &mut Ground) {
        ground.timer(self.me, WATCH, Timer::Watch);
        self.save(ground);
    }
}
