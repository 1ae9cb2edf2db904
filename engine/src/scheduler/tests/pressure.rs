//! Thousands of random operations on a cache that is too small, with the cache itself imitated: what
//! was written where is remembered, and whoever reads must find what it wrote, or what is the same.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

const OPERATIONS: usize = 10_000;

/// What lies in one place of the cache: keys and values depend on all tokens before, so that is what
/// names them, with whom they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Nothing,
    /// Written by a computation that went wrong.
    Spoilt,
    Of(u64),
}

/// How often what happened, so that no run is without what it should show.
#[derive(Debug, Default)]
struct Seen {
    preempted: u32,
    hits: u64,
    ended: u32,
    outgrown: u32,
    cancelled: u32,
    discarded: u32,
}

struct World {
    scheduler: Scheduler,
    plan: Plan,
    cells: Vec<Cell>,
    keys: Vec<JobKey>,
    random: ChaCha8Rng,
    jobs: u128,
    seen: Seen,
}

fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_add(value)
}

/// Names of the cells of a sequence, one per token.
fn names(sequence: &Sequence) -> impl Iterator<Item = u64> {
    let salt = mix(7, u64::from(sequence.job.salt[0]));
    sequence.tokens.iter().scan(salt, |hash, token| {
        *hash = mix(*hash, u64::from(token.0) + 1);
        Some(*hash)
    })
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |from: usize, to: usize| from + (random.next_u32() as usize) % (to - from);
        let bounds = Bounds {
            block: pick(2, 6),
            blocks: pick(10, 30),
            step_tokens: pick(4, 32),
            prefill_chunk: pick(1, 16),
            max_batch: pick(2, 10),
            context: 70,
            queue: 14,
            vocabulary: 100,
        };
        Self {
            scheduler: Scheduler::new(bounds),
            plan: Plan::default(),
            cells: vec![Cell::Nothing; bounds.block * bounds.blocks],
            keys: Vec::new(),
            random,
            jobs: 0,
            seen: Seen::default(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.random.next_u64() % bound as u64) as usize
    }

    /// A prompt out of a few that share beginnings, for one of two tenants.
    fn admit(&mut self) {
        self.jobs += 1;
        let (kind, fork) = (self.below(3), self.below(20));
        let tokens = |from: usize, to: usize| -> Vec<TokenId> {
            (from..to).map(|i| TokenId((i + if i < fork { 0 } else { 17 * kind }) as u32 % 90)).collect()
        };
        let prompt = 1 + self.below(40);
        let carried = if self.below(4) == 0 { self.below(10) } else { 0 };
        let new = Job {
            prompt: tokens(0, prompt),
            generated: tokens(prompt, prompt + carried),
            salt: [self.below(2) as u8; 16],
            priority: self.below(3) as u8,
            ..job(self.jobs, 1, 1 + self.below(50) as u64)
        };
        let key = new.key;
        if self.scheduler.admit(new).is_ok() {
            self.keys.push(key);
        }
    }

    fn cancel(&mut self) {
        if !self.keys.is_empty() {
            let place = self.below(self.keys.len());
            let key = self.keys.swap_remove(place);
            assert!(self.scheduler.cancel(key).is_some());
            self.seen.cancelled += 1;
        }
    }

    fn end(&mut self, rank: Rank) {
        let key = self.scheduler.remove(rank).unwrap().job.key;
        self.keys.retain(|other| *other != key);
    }

    fn step(&mut self) {
        let mut plan = std::mem::take(&mut self.plan);
        self.scheduler.plan(&mut plan);
        self.seen.preempted += plan.preempted;
        self.seen.hits += plan.begun.iter().map(|(_, cached)| cached.0).sum::<u64>();
        for rank in &plan.outgrown {
            self.end(*rank);
            self.seen.outgrown += 1;
        }
        // As in a real step, all is written before anything is committed.
        let spoilt = (self.below(12) == 0).then(|| self.below(plan.items.len().max(1)));
        for (number, item) in plan.items.iter().enumerate() {
            self.write(item, spoilt == Some(number));
        }
        for (number, item) in plan.items.iter().enumerate() {
            if spoilt == Some(number) {
                let key = self.scheduler.sequence(item.rank).unwrap().job.key;
                for block in self.scheduler.discard(item.rank) {
                    let from = block.index() * self.scheduler.bounds.block;
                    self.cells[from..from + self.scheduler.bounds.block].fill(Cell::Nothing);
                }
                self.keys.retain(|other| *other != key);
                self.seen.discarded += 1;
                continue;
            }
            // Answers are alike where contexts are, so that they are shared too.
            let sequence = self.scheduler.sequence(item.rank).unwrap();
            let last = names(sequence).nth(item.start + item.count - 1).unwrap();
            let token = item.samples.then_some(TokenId((last % 7) as u32));
            if self.scheduler.commit(*item, token).is_some() {
                self.end(item.rank);
                self.seen.ended += 1;
            }
        }
        self.plan = plan;
    }

    fn place(&self, table: &[BlockId], position: usize) -> usize {
        let block = self.scheduler.bounds.block;
        table[position / block].index() * block + position % block
    }

    fn write(&mut self, item: &Item, spoilt: bool) {
        let sequence = self.scheduler.sequence(item.rank).unwrap();
        assert_eq!(sequence.computed, item.start);
        let written: Vec<(usize, u64)> = names(sequence)
            .enumerate()
            .skip(item.start)
            .take(item.count)
            .map(|(position, name)| (self.place(&sequence.table, position), name))
            .collect();
        for (place, name) in written {
            self.cells[place] = if spoilt { Cell::Spoilt } else { Cell::Of(name) };
        }
    }

    /// Whatever is computed lies where its sequence reads it.
    fn check(&self, operation: usize) {
        self.scheduler.check_rules().unwrap_or_else(|broken| panic!("operation {operation}: {broken}"));
        assert_eq!(self.scheduler.sequences.len(), self.keys.len(), "operation {operation}: jobs were lost");
        // No two write to the same block: where they go on is in nobody else's hands.
        let mut begun: HashMap<usize, Rank> = HashMap::new();
        for rank in &self.scheduler.running {
            let sequence = self.scheduler.sequence(*rank).unwrap();
            for (position, name) in names(sequence).enumerate().take(sequence.computed) {
                let cell = self.cells[self.place(&sequence.table, position)];
                assert_eq!(cell, Cell::Of(name), "operation {operation}: {rank:?} reads this at {position}");
            }
            for block in &sequence.table[sequence.computed / self.scheduler.bounds.block..] {
                let other = begun.insert(block.index(), *rank);
                assert_eq!(other, None, "operation {operation}: {rank:?} and another write to {block:?}");
            }
        }
    }
}

#[test]
fn no_block_is_lost_or_shared_wrongly_in_ten_thousand_operations() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        for operation in 0..OPERATIONS {
            match world.below(10) {
                0..=1 => world.admit(),
                2 if world.below(3) == 0 => world.cancel(),
                _ => world.step(),
            }
            world.check(operation);
        }
        let Seen { preempted, hits, ended, cancelled, discarded, .. } = world.seen;
        let least = (hits / 10).min([preempted, ended, cancelled, discarded].into_iter().min().unwrap().into());
        assert!(least >= 50, "seed {seed} shows too little: {:?} of {:?}", world.seen, world.scheduler.bounds);
        for key in std::mem::take(&mut world.keys) {
            assert!(world.scheduler.cancel(key).is_some());
        }
        world.check(OPERATIONS);
        assert_eq!(world.scheduler.load().blocks_used, Blocks(0));
    }
}
