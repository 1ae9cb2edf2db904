//! Nothing is allocated per token: planning and committing decode steps stays within the room that
//! plan, sequences and pool got when the sequences began.
//!
//! This is a test binary of its own, since it counts with an allocator of its own.

use allocation_counter::{AllocationInfo, measure};
use engine::scheduler::{Bounds, Plan, ROOM, Scheduler};
use protocol::engine::CacheEvent;
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
}

/// Steps until all decode.
fn warm_up(scheduler: &mut Scheduler, plan: &mut Plan, salt: u8, answer: u64) {
    for number in 0..SEQUENCES {
        assert!(scheduler.admit(Job { salt: [salt; 16], ..job(number, answer) }).is_ok());
    }
    while plan.items.len() < SEQUENCES || plan.items.iter().any(|item| item.count > 1) {
        step(scheduler, plan);
    }
}

/// Steps as an engine does them, each with a look at the load and at what was cached.
fn steps(count: usize, scheduler: &mut Scheduler, plan: &mut Plan, told: &mut Vec<CacheEvent>) -> AllocationInfo {
    measure(|| {
        for _ in 0..count {
            step(scheduler, plan);
            assert!(!scheduler.load().is_idle());
            told.clear();
            scheduler.cache_events(told);
        }
    })
}

#[test]
fn a_token_costs_no_allocation_and_neither_does_a_new_block() {
    let (mut scheduler, mut plan) = (scheduler(SEQUENCES * 128), Plan::default());
    warm_up(&mut scheduler, &mut plan, 0, 1_000_000_000);
    let before = scheduler.load().blocks_used.0;
    // Nobody listens: what is cached is not even noted.
    let info = measure(|| (0..500).for_each(|_| step(&mut scheduler, &mut plan)));
    assert_eq!(info.count_total, 0, "{info:?}");
    let mut told = Vec::new();
    scheduler.cache_events(&mut told);
    let info = steps(500, &mut scheduler, &mut plan, &mut told);
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!((plan.items.len(), plan.preempted), (SEQUENCES, 0));
    assert!(scheduler.load().blocks_used.0 > before + 60 * SEQUENCES as u64, "every sequence crossed many blocks");
}

#[test]
fn throwing_cached_blocks_out_costs_no_allocation() {
    let (mut scheduler, mut plan) = (scheduler(SEQUENCES * 16), Plan::default());
    // The cache is full of what others left.
    warm_up(&mut scheduler, &mut plan, 0, 200);
    while !scheduler.load().is_idle() {
        step(&mut scheduler, &mut plan);
    }
    warm_up(&mut scheduler, &mut plan, 1, 1000);
    let mut told = Vec::new();
    scheduler.cache_events(&mut told);
    let mut removed = 0;
    for _ in 0..150 {
        let info = steps(1, &mut scheduler, &mut plan, &mut told);
        assert_eq!(info.count_total, 0, "{info:?}");
        removed += told.iter().filter(|event| matches!(event, CacheEvent::Removed { .. })).count();
    }
    assert_eq!((plan.items.len(), plan.preempted), (SEQUENCES, 0));
    assert!(removed > SEQUENCES * 4, "{removed} blocks were thrown out");
}

#[test]
fn an_answer_beyond_its_room_allocates_by_doubling() {
    let (mut scheduler, mut plan) = (scheduler(4 * ROOM / BLOCK), Plan::default());
    assert!(scheduler.admit(job(0, 1_000_000_000)).is_ok());
    step(&mut scheduler, &mut plan);
    let info = measure(|| (0..3 * ROOM).for_each(|_| step(&mut scheduler, &mut plan)));
    assert_eq!(plan.items.len(), 1);
    // Tokens, hashes and block table double twice each.
    assert!(info.count_total <= 6, "{info:?}");
    assert!(info.bytes_max < 1 << 20, "{info:?}");
}
