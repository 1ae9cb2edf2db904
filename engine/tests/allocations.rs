//! Nothing is allocated per token: planning and committing decode steps stays within the room that
//! plan, sequences and pool got when the sequences began.
//!
//! This is a test binary of its own, since it counts with an allocator of its own.

use allocation_counter::{AllocationInfo, measure};
use engine::scheduler::{Bounds, Plan, ROOM, Scheduler};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::units::Tokens;

const SEQUENCES: usize = 64;
const BLOCK: usize = 16;

fn scheduler(blocks: usize) -> Scheduler {
    Scheduler::new(Bounds {
        block: BLOCK,
        blocks,
        context: 1 << 20,
        vocabulary: 1000,
        step_tokens: 512,
        prefill_chunk: 128,
        max_batch: SEQUENCES,
        queue: 2 * SEQUENCES,
    })
}

fn job(number: usize, answer: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(number as u128), choice: 0, attempt: 0 },
        model: "m".into(),
        prompt: (0..20 + number % 17).map(|i| TokenId((number * 31 + i * 7) as u32 % 1000)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(answer), min_tokens: Tokens(0), stop_ids: vec![TokenId(1)] },
        salt: [0; 16],
        priority: (number % 3) as u8,
    }
}

/// One step; sequences that reach their end are taken out.
fn step(scheduler: &mut Scheduler, plan: &mut Plan) {
    scheduler.plan(plan);
    for item in &plan.items {
        let token = item.samples.then(|| TokenId(2 + (item.start as u32 * 13) % 900));
        if scheduler.commit(*item, token).is_some() {
            scheduler.remove(item.rank);
        }
    }
    assert!(scheduler.load().blocks_used.0 > 0);
}

/// Sequences that all decode, and a plan that has been used.
fn decoding(blocks: usize, answer: u64) -> (Scheduler, Plan) {
    let (mut scheduler, mut plan) = (scheduler(blocks), Plan::default());
    for number in 0..SEQUENCES {
        assert!(scheduler.admit(job(number, answer)).is_ok());
    }
    while plan.items.len() < SEQUENCES || plan.items.iter().any(|item| item.count > 1) {
        step(&mut scheduler, &mut plan);
    }
    (scheduler, plan)
}

fn steps(count: usize, scheduler: &mut Scheduler, plan: &mut Plan) -> AllocationInfo {
    measure(|| {
        for _ in 0..count {
            step(scheduler, plan);
        }
    })
}

#[test]
fn a_token_costs_no_allocation_and_neither_does_a_new_block() {
    let (mut scheduler, mut plan) = decoding(SEQUENCES * 128, 1_000_000_000);
    let before = scheduler.load().blocks_used.0;
    let info = steps(1000, &mut scheduler, &mut plan);
    assert_eq!(plan.items.len(), SEQUENCES);
    assert!(scheduler.load().blocks_used.0 > before + 60 * SEQUENCES as u64, "every sequence crossed many blocks");
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn taking_blocks_from_the_prefix_cache_costs_no_allocation() {
    // The cache is full of what others left: each new block throws a cached one out.
    let blocks = SEQUENCES * 16;
    let (mut scheduler, mut plan) = decoding(blocks, 200);
    while !scheduler.load().is_idle() {
        scheduler.plan(&mut plan);
        for item in &plan.items {
            let token = item.samples.then(|| TokenId(2 + (item.start as u32 * 13) % 900));
            if scheduler.commit(*item, token).is_some() {
                scheduler.remove(item.rank);
            }
        }
    }
    for number in 0..SEQUENCES {
        assert!(scheduler.admit(Job { salt: [1; 16], ..job(number, 1000) }).is_ok());
    }
    while plan.items.len() < SEQUENCES || plan.items.iter().any(|item| item.count > 1) {
        step(&mut scheduler, &mut plan);
    }
    let info = steps(150, &mut scheduler, &mut plan);
    assert_eq!(plan.preempted, 0);
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn an_answer_beyond_its_room_allocates_by_doubling() {
    let (mut scheduler, mut plan) = (scheduler(4 * ROOM / BLOCK), Plan::default());
    scheduler.admit(job(0, 1_000_000_000)).unwrap();
    step(&mut scheduler, &mut plan);
    let info = steps(3 * ROOM, &mut scheduler, &mut plan);
    // Tokens, hashes and block table double twice each.
    assert!(info.count_total <= 6, "{info:?}");
    assert!(info.bytes_max < 1 << 20, "{info:?}");
}
