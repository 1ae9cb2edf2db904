//! The worker: jobs in, answers out, and every way an engine can fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actors::mock::{Faults, MockEngine, MockOptions, Timing, bundle};
use actors::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Attempt, Drive, Loaded, Update, WorkerHandle, WorkerMetrics, worker};
use policy::restart::{Backoff, Intensity};
use protocol::engine::{JobFault, RefusalReason};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Finish, Job, Limits, Sampling};
use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};
use ractor::{Actor, ActorRef};
use tokio::time::sleep;

fn job(number: u32, max_tokens: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(u128::from(number)), choice: 0, attempt: 0 },
        model: "mock".to_owned(),
        prompt: (0..40).map(|i| TokenId((number * 7 + i) % 256)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(max_tokens), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

/// A timing in which each step takes ten milliseconds.
fn slow() -> Timing {
    Timing { decode_per_step: Duration::from_millis(10), ..Timing::default() }
}

/// A supervised worker whose first engine has these faults; later ones are healthy.
async fn start(drive: Drive, timing: Timing, faults: Faults) -> (WorkerHandle, ActorRef<SupervisorMsg>) {
    let engines = AtomicU32::new(0);
    let factory = move || {
        let first = engines.fetch_add(1, Ordering::Relaxed) == 0;
        let faults = if first { faults } else { Faults::default() };
        Ok(Loaded {
            engine: Box::new(MockEngine::new(MockOptions { timing, faults, ..MockOptions::default() })),
            bundle: bundle(),
        })
    };
    let (handle, child) = worker("mock", Arc::new(factory), drive, WorkerMetrics::none());
    let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 3, within: Duration::from_secs(60), backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: Duration::from_secs(5) };
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args).await.unwrap();
    handle.served().await.unwrap();
    (handle, supervisor)
}

async fn submit(handle: &WorkerHandle, job: Job) -> Attempt {
    loop {
        match handle.submit(job.clone()).await {
            Ok(attempt) => return attempt,
            Err(refused) => {
                assert_eq!(refused.reason, RefusalReason::NotReady);
                sleep(refused.retry_after.unwrap()).await;
            }
        }
    }
}

/// Reads an attempt to its end: its tokens, the sizes of its batches, and the last update.
async fn read(mut attempt: Attempt) -> (Vec<TokenId>, Vec<usize>, Update) {
    let (mut tokens, mut batches) = (Vec::new(), Vec::new());
    loop {
        match attempt.next().await.unwrap() {
            Update::Begun(_) => assert!(tokens.is_empty(), "begun after a token"),
            Update::Tokens(batch) => {
                assert_eq!(batch.first, Tokens::of(tokens.len()), "a gap or an overlap");
                batches.push(batch.tokens.len());
                tokens.extend(batch.tokens.iter().map(|sampled| sampled.token));
            }
            last => {
                assert_eq!(attempt.next().await, None, "nothing follows the last update");
                return (tokens, batches, last);
            }
        }
    }
}

async fn until_idle(handle: &WorkerHandle) {
    while !handle.report().load.is_idle() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_as_the_engine_makes_it() {
    let (handle, _) = start(Drive::Task, slow(), Faults::default()).await;
    let attempt = submit(&handle, job(1, 20)).await;
    assert_eq!(attempt.grant().cached, Tokens::ZERO);
    let (tokens, batches, last) = read(attempt).await;
    assert_eq!(tokens.len(), 20);
    assert_eq!(batches, vec![1; 20], "a reader that keeps up gets each token at once");
    let Update::Finished(finished) = last else { panic!("{last:?}") };
    assert_eq!((finished.finish, finished.usage.generated), (Finish::Length, Tokens(20)));
    let again = submit(&handle, job(1, 20)).await;
    assert_eq!(again.grant().cached, Tokens(32), "the prefix is cached");
    assert_eq!(read(again).await.0, tokens);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_everything_in_one_batch_and_holds_nobody_up() {
    let (handle, _) = start(Drive::Task, slow(), Faults::default()).await;
    let mut slow = submit(&handle, job(1, 50)).await;
    let quick = submit(&handle, job(2, 50)).await;
    assert_eq!(read(quick).await.0.len(), 50, "its neighbour is not held up");
    until_idle(&handle).await;
    assert!(matches!(slow.next().await, Some(Update::Begun(_))));
    let Some(Update::Tokens(batch)) = slow.next().await else { panic!("no tokens") };
    assert_eq!((batch.first, batch.tokens.len()), (Tokens::ZERO, 50));
    assert!(matches!(slow.next().await, Some(Update::Finished(_))));
}

#[tokio::test(start_paused = true)]
async fn to_drop_an_attempt_is_to_cancel_it() {
    let (handle, _) = start(Drive::Task, slow(), Faults::default()).await;
    let mut dropped = submit(&handle, job(1, 1000)).await;
    let kept = submit(&handle, job(2, 30)).await;
    for _ in 0..4 {
        dropped.next().await.unwrap();
    }
    assert_eq!(handle.report().load.running, 2);
    drop(dropped);
    sleep(Duration::from_millis(25)).await;
    assert_eq!(handle.report().load.running, 1, "it is gone within a step");
    assert_eq!(read(kept).await.0.len(), 30);
    until_idle(&handle).await;
    assert_eq!(handle.report().load.blocks_used, Blocks::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_nobody_waits_for_leaves_nothing() {
    let (handle, _) = start(Drive::Task, slow(), Faults::default()).await;
    let busy = submit(&handle, job(1, 10)).await;
    let other = handle.clone();
    // Polled once, in the middle of a step, and dropped.
    let polled = tokio::time::timeout(Duration::ZERO, other.submit(job(2, 1000))).await;
    assert!(polled.is_err(), "the engine was between two steps");
    read(busy).await;
    until_idle(&handle).await;
    assert_eq!(handle.report().load.blocks_used, Blocks::ZERO);
}

#[tokio::test(start_paused = true)]
async fn it_says_how_fast_its_engine_is_once_it_knows() {
    let timing = Timing {
        prefill_per_token: Duration::from_millis(1),
        decode_per_step: Duration::from_millis(10),
        decode_per_sequence: Duration::from_millis(1),
        ..Timing::ZERO
    };
    let (handle, _) = start(Drive::Task, timing, Faults::default()).await;
    assert_eq!(handle.report().rates, Rates::default());
    for number in 1..10 {
        read(submit(&handle, job(number, 20)).await).await;
    }
    until_idle(&handle).await;
    let rates = handle.report().rates;
    assert!((950..=1_050).contains(&rates.prefill), "{rates:?}");
    let one = rates.step + rates.sequence;
    assert!(one > Duration::from_micros(10_900) && one < Duration::from_micros(11_100), "{rates:?}");
}

async fn loses_its_jobs_and_starts_again(drive: Drive, jobs: u32, faults: Faults, says: &str) {
    let (handle, _) = start(drive, Timing::default(), faults).await;
    let mut attempts = Vec::new();
    for number in 1..=jobs {
        attempts.push(submit(&handle, job(number, 50)).await);
    }
    for attempt in attempts {
        let (_, _, last) = read(attempt).await;
        let Update::Failed(failed) = last else { panic!("{last:?}") };
        let JobFault::WorkerLost { reason } = failed.error else { panic!("{:?}", failed.error) };
        assert!(reason.contains(says), "{reason}");
    }
    let (tokens, _, last) = read(submit(&handle, job(9, 50)).await).await;
    assert_eq!(tokens.len(), 50, "the next engine answers");
    assert!(matches!(last, Update::Finished(_)));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_fails_is_replaced() {
    let faults = Faults { fail_at: Some(5), ..Faults::default() };
    loses_its_jobs_and_starts_again(Drive::Task, 2, faults, "told to fail at step 5").await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_panics_is_replaced() {
    let faults = Faults { panic_at: Some(5), ..Faults::default() };
    loses_its_jobs_and_starts_again(Drive::Task, 2, faults, "told to panic at step 5").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_a_thread_of_its_own() {
    let faults = Faults { panic_at: Some(3), ..Faults::default() };
    loses_its_jobs_and_starts_again(Drive::Thread, 1, faults, "told to panic at step 3").await;
}

#[tokio::test(start_paused = true)]
async fn while_it_restarts_jobs_are_refused_and_it_says_so() {
    let (handle, _) = start(Drive::Task, slow(), Faults { fail_at: Some(2), ..Faults::default() }).await;
    assert!(handle.report().ready);
    read(submit(&handle, job(1, 50)).await).await;
    tokio::task::yield_now().await;
    let refused = handle.submit(job(2, 5)).await.unwrap_err();
    assert_eq!(refused.reason, RefusalReason::NotReady);
    assert!(refused.retry_after.is_some());
    assert!(!handle.report().ready);
}

#[tokio::test(start_paused = true)]
async fn one_poisoned_job_fails_alone() {
    let poison = Some(TokenId(255));
    let (handle, _) = start(Drive::Task, slow(), Faults { poison, ..Faults::default() }).await;
    let good = submit(&handle, job(1, 10)).await;
    let mut bad = job(2, 10);
    bad.prompt = vec![TokenId(255)];
    let (_, _, last) = read(submit(&handle, bad).await).await;
    let Update::Failed(failed) = last else { panic!("{last:?}") };
    assert!(matches!(failed.error, JobFault::NotFinite { .. }));
    assert_eq!(read(good).await.0.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_stall_shows_in_the_report_and_does_not_spin() {
    let (handle, _) = start(Drive::Task, slow(), Faults { stall_from: Some(3), ..Faults::default() }).await;
    let attempt = submit(&handle, job(1, 50)).await;
    sleep(Duration::from_secs(5)).await;
    let report = handle.report();
    assert!(report.still >= Duration::from_secs(4), "{report:?}");
    assert_eq!(report.load.step, 3);
    let waiting = submit(&handle, job(2, 50)).await;
    sleep(Duration::from_secs(3)).await;
    assert!(handle.report().oldest >= Duration::from_secs(2), "{:?}", handle.report());
    drop((attempt, waiting));
    sleep(Duration::from_millis(50)).await;
    assert_eq!(handle.report().load.running, 0, "even a stalled engine lets go");
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_refuses_is_refused_with_its_reason() {
    let (handle, _) = start(Drive::Task, slow(), Faults::default()).await;
    let mut empty = job(1, 5);
    empty.prompt.clear();
    assert_eq!(handle.submit(empty).await.unwrap_err().reason, RefusalReason::EmptyPrompt);
    let _first = submit(&handle, job(2, 500)).await;
    let twice = handle.submit(job(2, 5)).await.unwrap_err();
    assert_eq!(twice.reason, RefusalReason::Duplicate { key: job(2, 5).key });
    assert_eq!(twice.load.running + twice.load.waiting, 1, "a refusal tells the load");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_ends_its_jobs() {
    let (handle, supervisor) = start(Drive::Task, slow(), Faults::default()).await;
    let attempt = submit(&handle, job(1, 1000)).await;
    supervisor.stop_and_wait(None, None).await.unwrap();
    assert!(matches!(read(attempt).await.2, Update::Failed(_)));
    assert_eq!(handle.submit(job(2, 5)).await.unwrap_err().reason, RefusalReason::NotReady);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_be_loaded_says_why() {
    let factory = || Err("no such file".to_owned());
    let (handle, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
    let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 2, within: Duration::from_secs(60), backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: Duration::from_secs(5) };
    let (_, ended) = Supervisor::spawn(None, Supervisor, args).await.unwrap();
    assert_eq!(handle.served().await.unwrap_err(), "no such file");
    ended.await.unwrap();
}
