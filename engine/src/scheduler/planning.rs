//! How a step is put together: running sequences, then waiting ones, then no more than the budget.
//! The rules stand in the module above.

use super::{Item, Plan, Rank, Scheduler};

impl Scheduler {
    /// Plans the next step into `plan`, whose old content goes, and reserves its blocks. Every item must
    /// be committed, or its sequence removed, before the next plan.
    pub fn plan(&mut self, plan: &mut Plan) {
        plan.clear();
        let mut budget = self.bounds.step_tokens;
        for decoding in [true, false] {
            // Whoever loses its blocks is the last that runs: the places before it stay as they are.
            let mut place = 0;
            while let Some(rank) = self.running.get(place).copied()
                && budget > 0
            {
                place += 1;
                if self.sequences.get(rank).is_some_and(|sequence| (sequence.due() == 1) == decoding) {
                    self.plan_running(rank, plan, &mut budget);
                }
            }
        }
        if plan.preempted == 0 && plan.outgrown.is_empty() {
            self.plan_waiting(plan, &mut budget);
        }
        if !plan.items.is_empty() {
            self.steps += 1;
        }
    }

    fn plan_running(&mut self, rank: Rank, plan: &mut Plan, budget: &mut usize) {
        let Some(sequence) = self.sequences.get(rank) else { return };
        let (start, total) = (sequence.computed, sequence.tokens.len());
        let count = sequence.due().min(self.bounds.prefill_chunk).min(*budget);
        while !self.reserve(rank, start + count) {
            let Some(victim) = self.running.last().copied() else { return };
            if victim == rank && self.running.len() == 1 {
                plan.outgrown.push(rank);
                return;
            }
            if let Some(place) = plan.items.iter().position(|item| item.rank == victim) {
                *budget += plan.items.remove(place).count;
            }
            plan.preempted += 1;
            self.preempt(victim);
            if victim == rank {
                return;
            }
        }
        *budget -= count;
        plan.items.push(Item { rank, start, count, samples: start + count == total });
    }

    fn plan_waiting(&mut self, plan: &mut Plan, budget: &mut usize) {
        let (block, chunk) = (self.bounds.block, self.bounds.prefill_chunk);
        let longest = self.bounds.context.min(self.pool.total().saturating_mul(block).saturating_add(1));
        let mut displaced: Option<Rank> = None;
        while *budget > 0 {
            let Some(rank) = self.waiting.front().copied() else { return };
            // Who lost its place in this step does not get it back in it, nor does anybody of its class.
            if displaced.is_some_and(|lost| !rank.is_above(lost)) {
                return;
            }
            let Some(sequence) = self.sequences.get_mut(rank) else { return };
            let (hits, free_hits) = self.pool.find(sequence.shareable());
            let needed = sequence.tokens.len().div_ceil(block).saturating_sub(hits);
            let room = self.pool.free().saturating_sub(free_hits);
            let reserve = if self.running.is_empty() { 0 } else { (self.pool.total() / 64).max(1) };
            // Prompts that are still being computed will take what they were promised.
            let full = self.running.len() >= self.bounds.max_batch;
            if full || needed + self.sums.promised + reserve > room {
                displaced = self.displace(rank, needed.saturating_sub(room), reserve, plan, budget);
                if displaced.is_none() {
                    return;
                }
                continue;
            }
            self.waiting.pop_front();
            self.run(rank);
            let begun = self.change(rank, |sequence, pool| {
                let first = sequence.begin(pool, longest);
                let (start, count) = (sequence.computed, sequence.due().min(chunk).min(*budget));
                if first {
                    plan.begun.push((sequence.job.key, sequence.usage.cached));
                }
                // It fits: that was checked, and nobody else takes blocks meanwhile.
                let fits = sequence.reserve(start + count, pool);
                fits.then(|| Item { rank, start, count, samples: start + count == sequence.tokens.len() })
            });
            if let Some(item) = begun.flatten() {
                *budget -= item.count;
                plan.items.push(item);
            }
        }
    }

    /// Takes its place and its blocks from the youngest of the lowest class, for one of a higher; only if all
    /// below it have so many blocks together. Returns who lost them.
    fn displace(
        &mut self,
        rank: Rank,
        missing: usize,
        reserve: usize,
        plan: &mut Plan,
        budget: &mut usize,
    ) -> Option<Rank> {
        let victim = self.running.last().copied().filter(|last| rank.is_above(*last))?;
        let below = self.running.iter().rev().take_while(|other| rank.is_above(**other));
        let (count, held) = below.fold((0, 0), |(count, held), other| (count + 1, held + self.table(*other).len()));
        // Where nobody else runs, nothing need be left for growth.
        let reserve = if count == self.running.len() { 0 } else { reserve };
        if held < missing + reserve {
            return None;
        }
        if let Some(place) = plan.items.iter().position(|item| item.rank == victim) {
            *budget += plan.items.remove(place).count;
        }
        plan.preempted += 1;
        self.preempt(victim);
        Some(victim)
    }

    fn reserve(&mut self, rank: Rank, tokens: usize) -> bool {
        self.change(rank, |sequence, pool| sequence.reserve(tokens, pool)).unwrap_or(false)
    }

    fn preempt(&mut self, rank: Rank) {
        self.change(rank, |sequence, pool| sequence.pause(pool));
        if let Ok(place) = self.running.binary_search(&rank) {
            self.running.remove(place);
        }
        self.wait(rank);
    }
}
