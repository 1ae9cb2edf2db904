use super::*;
use proptest::prelude::*;
use protocol::ids::RequestId;
use protocol::job::{Limits, Sampling};

mod pressure;

fn bounds() -> Bounds {
    Bounds {
        block: 4,
        blocks: 16,
        context: 64,
        vocabulary: 100,
        step_tokens: 16,
        prefill_chunk: 8,
        max_batch: 4,
        queue: 8,
    }
}

fn job(number: u128, prompt: usize, answer: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(number), choice: 0, attempt: 0 },
        model: "m".into(),
        prompt: (0..prompt).map(|i| TokenId(((number as usize * 31 + i * 7) % 90) as u32)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(answer), min_tokens: Tokens(0), stop_ids: vec![TokenId(99)] },
        salt: [0; 16],
        priority: 0,
    }
}

/// Runs one step; the token after position `n` is `n` itself. Returns what ended.
fn step(scheduler: &mut Scheduler) -> (Plan, Vec<(JobKey, Finish)>) {
    let mut plan = Plan::default();
    scheduler.plan(&mut plan);
    let budget: usize = plan.items.iter().map(|item| item.count).sum();
    assert!(budget <= bounds().step_tokens.max(scheduler.bounds.step_tokens));
    let mut ended = Vec::new();
    for rank in &plan.outgrown {
        ended.push((scheduler.remove(*rank).unwrap().job.key, Finish::Length));
    }
    for item in &plan.items {
        let sampled = item.samples.then(|| TokenId(((item.start + item.count) % 90) as u32));
        if let Some(finish) = scheduler.commit(*item, sampled) {
            ended.push((scheduler.remove(item.rank).unwrap().job.key, finish));
        }
    }
    scheduler.check_rules().unwrap();
    (plan, ended)
}

fn drain(scheduler: &mut Scheduler) -> Vec<(JobKey, Finish)> {
    let mut all = Vec::new();
    for _ in 0..10_000 {
        if scheduler.load().is_idle() {
            return all;
        }
        all.extend(step(scheduler).1);
    }
    panic!("work is left: {:?}", scheduler.load());
}

#[test]
fn a_long_prompt_comes_in_chunks_and_answers_keep_their_pace() {
    let mut scheduler = Scheduler::new(bounds());
    scheduler.admit(job(1, 3, 20)).unwrap();
    step(&mut scheduler);
    scheduler.admit(job(2, 20, 5)).unwrap();
    let counts: Vec<Vec<usize>> =
        (0..4).map(|_| step(&mut scheduler).0.items.iter().map(|item| item.count).collect()).collect();
    assert_eq!(counts, [vec![1, 8], vec![1, 8], vec![1, 4], vec![1, 1]]);
}

#[test]
fn the_second_of_two_alike_prompts_takes_the_first_ones_blocks() {
    let mut scheduler = Scheduler::new(bounds());
    scheduler.admit(job(1, 9, 2)).unwrap();
    drain(&mut scheduler);
    let again = Job { key: job(2, 1, 1).key, ..job(1, 9, 2) };
    assert_eq!(scheduler.admit(again).unwrap().cached, Tokens(8));
    assert_eq!(step(&mut scheduler).0.begun, [(job(2, 1, 1).key, Tokens(8))]);
    drain(&mut scheduler);
    let other = Job { key: job(3, 1, 1).key, salt: [1; 16], ..job(1, 9, 2) };
    assert_eq!(scheduler.admit(other).unwrap().cached, Tokens(0));
}

#[test]
fn the_last_prompt_token_is_always_computed() {
    let mut scheduler = Scheduler::new(bounds());
    scheduler.admit(job(1, 8, 4)).unwrap();
    drain(&mut scheduler);
    let again = Job { key: job(2, 1, 1).key, ..job(1, 8, 4) };
    assert_eq!(scheduler.admit(again).unwrap().cached, Tokens(4));
}

#[test]
fn the_youngest_of_the_lowest_class_is_preempted_and_all_end() {
    let mut scheduler = Scheduler::new(Bounds { blocks: 8, ..bounds() });
    scheduler.admit(Job { priority: 0, ..job(1, 7, 20) }).unwrap();
    scheduler.admit(Job { priority: 5, ..job(2, 7, 20) }).unwrap();
    let mut preempted = 0;
    let mut ended = Vec::new();
    while !scheduler.load().is_idle() {
        let (plan, done) = step(&mut scheduler);
        preempted += plan.preempted;
        ended.extend(done.into_iter().map(|(key, _)| key.request.0));
    }
    assert!(preempted > 0);
    assert_eq!(ended, [2, 1]);
}

#[test]
fn a_higher_class_takes_a_place_from_the_youngest_of_a_lower_one() {
    let mut scheduler = Scheduler::new(Bounds { max_batch: 2, ..bounds() });
    for number in 1..=2 {
        scheduler.admit(job(number, 5, 12)).unwrap();
    }
    step(&mut scheduler);
    step(&mut scheduler);
    scheduler.admit(Job { priority: 0, ..job(3, 5, 2) }).unwrap();
    assert_eq!(step(&mut scheduler).0.preempted, 0, "its own class waits");
    scheduler.admit(Job { priority: 2, ..job(4, 5, 2) }).unwrap();
    let (plan, _) = step(&mut scheduler);
    assert_eq!((plan.preempted, plan.begun.len()), (1, 1));
    let keys: Vec<u128> = plan
        .items
        .iter()
        .filter_map(|item| scheduler.sequence(item.rank))
        .map(|sequence| sequence.job.key.request.0)
        .collect();
    assert_eq!(keys, [1, 4], "the older of the two keeps its place");
    let ended: Vec<u128> = drain(&mut scheduler).iter().map(|(key, _)| key.request.0).collect();
    assert_eq!(ended, [4, 1, 2, 3]);
}

#[test]
fn a_higher_class_takes_the_blocks_of_lower_ones() {
    let mut scheduler = Scheduler::new(Bounds { blocks: 8, ..bounds() });
    scheduler.admit(Job { priority: 1, ..job(1, 15, 8) }).unwrap();
    scheduler.admit(job(2, 7, 8)).unwrap();
    for _ in 0..3 {
        step(&mut scheduler);
    }
    scheduler.admit(Job { priority: 2, ..job(3, 30, 1) }).unwrap();
    let mut preempted = 0;
    let mut ended = Vec::new();
    while !scheduler.load().is_idle() {
        let (plan, done) = step(&mut scheduler);
        preempted += plan.preempted;
        ended.extend(done.into_iter().map(|(key, _)| key.request.0));
    }
    assert!(preempted >= 1);
    assert_eq!(ended, [3, 1, 2]);
}

#[test]
fn an_answer_that_outgrows_the_whole_cache_ends_by_length() {
    let mut scheduler = Scheduler::new(Bounds { blocks: 3, ..bounds() });
    scheduler.admit(job(1, 5, 50)).unwrap();
    let ended = drain(&mut scheduler);
    assert_eq!(ended, [(job(1, 1, 1).key, Finish::Length)]);
}

#[test]
fn refusals_say_why_and_leave_no_trace() {
    let mut scheduler = Scheduler::new(Bounds { queue: 1, ..bounds() });
    let bad = |job: Job| Scheduler::new(bounds()).admit(job).unwrap_err();
    assert_eq!(bad(job(1, 0, 1)), RefusalReason::EmptyPrompt);
    assert_eq!(bad(job(1, 1, 0)), RefusalReason::NothingToDo);
    assert!(matches!(bad(Job { prompt: vec![TokenId(100)], ..job(1, 1, 1) }), RefusalReason::BadToken { .. }));
    assert!(matches!(bad(job(1, 64, 1)), RefusalReason::PromptTooLong { tokens: Tokens(64), limit: Tokens(63) }));
    let mut small = Scheduler::new(Bounds { blocks: 2, ..bounds() });
    assert!(matches!(small.admit(job(1, 9, 1)), Err(RefusalReason::TooManyBlocks { .. })));
    scheduler.admit(job(1, 1, 1)).unwrap();
    assert!(matches!(scheduler.admit(job(1, 1, 1)), Err(RefusalReason::Duplicate { .. })));
    assert!(matches!(scheduler.admit(job(2, 1, 1)), Err(RefusalReason::QueueFull { limit: 1 })));
    assert_eq!(scheduler.load().waiting, 1);
}

#[test]
fn stop_tokens_count_only_after_min_tokens() {
    let mut scheduler = Scheduler::new(bounds());
    let mut early = job(1, 2, 9);
    early.limits = Limits { max_tokens: Tokens(9), min_tokens: Tokens(2), stop_ids: vec![TokenId(3), TokenId(5)] };
    scheduler.admit(early).unwrap();
    // Tokens are 2, 3, 4, 5: the 3 comes second, before min_tokens are there.
    let mut last = None;
    for _ in 0..4 {
        last = step(&mut scheduler).1.pop();
    }
    assert_eq!(last.map(|end| end.1), Some(Finish::Stop));
}

#[test]
fn a_job_that_was_moved_goes_on_where_it_was() {
    let mut scheduler = Scheduler::new(bounds());
    scheduler.admit(Job { generated: vec![TokenId(1), TokenId(2)], ..job(1, 3, 3) }).unwrap();
    let (plan, ended) = step(&mut scheduler);
    assert_eq!(plan.items[0].count, 5);
    assert_eq!(ended.len(), 1);
}

#[test]
fn a_grant_counts_cached_tokens_of_the_prompt_alone() {
    let mut scheduler = Scheduler::new(bounds());
    scheduler.admit(job(1, 5, 20)).unwrap();
    drain(&mut scheduler);
    // The tokens that `step` makes up: the one after position n is n.
    let generated: Vec<TokenId> = (5..15).map(TokenId).collect();
    let moved = Job { key: job(2, 1, 1).key, generated, ..job(1, 5, 20) };
    assert_eq!(scheduler.admit(moved).unwrap().cached, Tokens(5));
}

#[test]
fn tokens_of_the_answer_are_not_counted_as_recomputed_prompt() {
    let mut pool = BlockPool::new(Blocks(0));
    let mut sequence = Sequence::new(job(1, 8, 40), 4);
    sequence.start(0);
    for token in 0..8 {
        sequence.push(TokenId(token), 64);
    }
    sequence.advance(15, &mut pool);
    sequence.pause(&mut pool);
    sequence.start(4);
    assert_eq!(sequence.usage.recomputed, Tokens(4));
    sequence.advance(15, &mut pool);
    sequence.pause(&mut pool);
    sequence.start(8);
    assert_eq!(sequence.usage.recomputed, Tokens(4), "the whole prompt was cached this time");
}

#[test]
fn a_rank_of_the_past_finds_nothing_though_its_slot_is_used_again() {
    let mut scheduler = Scheduler::new(bounds());
    scheduler.admit(job(1, 3, 5)).unwrap();
    let old = step(&mut scheduler).0.items[0];
    scheduler.cancel(job(1, 1, 1).key);
    scheduler.admit(job(2, 5, 5)).unwrap();
    let new = step(&mut scheduler).0.items[0];
    assert_ne!(old.rank, new.rank);
    assert!(scheduler.sequence(old.rank).is_none() && scheduler.table(old.rank).is_empty());
    assert_eq!(scheduler.commit(old, Some(TokenId(1))), None);
    assert!(scheduler.remove(old.rank).is_none() && scheduler.discard(old.rank).is_empty());
    assert_eq!(scheduler.sequence(new.rank).unwrap().tokens.len(), 6);
    scheduler.check_rules().unwrap();
}

#[test]
fn a_job_that_asks_for_a_billion_tokens_gets_no_room_for_them() {
    let mut scheduler = Scheduler::new(Bounds { context: usize::MAX, blocks: 1 << 20, ..bounds() });
    scheduler.admit(job(1, 3, 1_000_000_000)).unwrap();
    let rank = step(&mut scheduler).0.items[0].rank;
    let room = scheduler.sequence(rank).unwrap().tokens.capacity();
    assert!((ROOM..2 * ROOM).contains(&room), "room for {room} tokens");
}

#[test]
fn a_prompt_is_not_admitted_into_blocks_that_another_prompt_still_needs() {
    let mut scheduler = Scheduler::new(bounds());
    // Nine blocks each, of sixteen.
    scheduler.admit(job(1, 36, 2)).unwrap();
    scheduler.admit(job(2, 35, 2)).unwrap();
    let (mut preempted, mut ended) = (0, 0);
    while !scheduler.load().is_idle() {
        let (plan, done) = step(&mut scheduler);
        preempted += plan.preempted;
        ended += done.len();
    }
    assert_eq!((preempted, ended), (0, 2));
}

proptest! {
    #[test]
    fn every_job_ends_once_whatever_comes(
        jobs in proptest::collection::vec((1usize..30, 1u64..30, 0u8..3, 0u8..4), 1..24),
        cancels in proptest::collection::btree_set(0usize..24, 0..6),
        (blocks, step_tokens, prefill_chunk) in (8usize..20, 4usize..20, 1usize..10),
    ) {
        let mut scheduler = Scheduler::new(Bounds { blocks, step_tokens, prefill_chunk, queue: 100, ..bounds() });
        let mut ended: Vec<JobKey> = Vec::new();
        let mut expected = Vec::new();
        for (number, (prompt, answer, priority, steps)) in jobs.into_iter().enumerate() {
            let new = Job { priority, ..job(number as u128 / 2, prompt, answer) };
            let new = Job { key: job(number as u128, 1, 1).key, ..new };
            if scheduler.admit(new.clone()).is_ok() {
                expected.push(new.key);
            }
            for _ in 0..steps {
                ended.extend(step(&mut scheduler).1.into_iter().map(|end| end.0));
            }
            if cancels.contains(&number) && scheduler.cancel(new.key).is_some() {
                expected.retain(|key| *key != new.key);
            }
            scheduler.check_rules().map_err(TestCaseError::fail)?;
        }
        ended.extend(drain(&mut scheduler).into_iter().map(|end| end.0));
        ended.sort();
        prop_assert_eq!(ended, expected);
        prop_assert_eq!(scheduler.load().blocks_used, Blocks(0));
    }
}
