//! How much may wait on a node, who finds room, and who comes too late.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions, Timing, bundle};
use actors::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Drive, Loaded, Update, WorkerHandle, WorkerMetrics, worker};
use policy::restart::{Backoff, Intensity};
use protocol::engine::{JobFault, RefusalReason};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Class, Job, Limits, Sampling};
use protocol::units::Tokens;
use ractor::{Actor, ActorRef};

fn job(number: u32, prompt: u32, class: Class) -> Job {
    Job {
        key: JobKey { request: RequestId(number.into()), choice: 0, attempt: 0 },
        model: "mock".to_owned(),
        prompt: (0..prompt).map(|i| TokenId((number * 31 + i) % 256)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(4), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: class.priority(),
    }
}

/// An engine that computes a thousand prompt tokens in a second, one job at a time.
async fn start() -> (WorkerHandle, ActorRef<SupervisorMsg>) {
    let timing = Timing { prefill_per_token: Duration::from_millis(1), ..Timing::default() };
    let options = MockOptions { timing, max_batch: 1, context: 8192, blocks: 4096, ..MockOptions::default() };
    let factory = move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: bundle() });
    let (handle, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
    handle.bound_queue(Tokens(1000));
    let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 3, within: Duration::from_secs(60), backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: Duration::from_secs(5) };
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args).await.unwrap();
    handle.served().await.unwrap();
    while !handle.report().ready {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (handle, supervisor)
}

#[tokio::test(start_paused = true)]
async fn prompts_that_wait_are_bounded_in_tokens_and_the_urgent_find_room() {
    let (handle, _tree) = start().await;
    let submit = |number, prompt, class| handle.submit(job(number, prompt, class));
    // All come before the first step.
    let (first, second, bulk, standard, urgent, last) = tokio::join!(
        submit(1, 400, Class::Standard),
        submit(2, 300, Class::Standard),
        submit(3, 100, Class::Bulk),
        submit(4, 100, Class::Standard),
        submit(5, 200, Class::Interactive),
        submit(6, 200, Class::Interactive),
    );
    assert!(first.is_ok() && second.is_ok() && urgent.is_ok());
    let limits = [bulk, standard, last].map(|outcome| match outcome.unwrap_err() {
        refused if refused.reason.is_backpressure() && refused.retry_after.is_some() => refused.reason,
        refused => panic!("{refused:?}"),
    });
    let reason = |queued, limit| RefusalReason::QueueTokens { queued: Tokens(queued), limit: Tokens(limit) };
    assert_eq!(limits, [reason(700, 500), reason(700, 750), reason(900, 1000)]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_takes_a_prompt_above_the_bound() {
    let (handle, _tree) = start().await;
    let (first, second) =
        tokio::join!(handle.submit(job(1, 1200, Class::Bulk)), handle.submit(job(2, 10, Class::Interactive)));
    assert!(first.is_ok() && second.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_dropped_before_its_prefill() {
    let (handle, _tree) = start().await;
    let _busy = handle.submit(job(1, 600, Class::Interactive)).await.unwrap();
    let mut late =
        handle.submit_within(job(2, 100, Class::Interactive), Some(Duration::from_millis(100))).await.unwrap();
    let mut kept = handle.submit_within(job(3, 100, Class::Interactive), Some(Duration::from_secs(9))).await.unwrap();
    let Some(Update::Failed(failed)) = late.next().await else { panic!("it was served") };
    assert_eq!(failed.error, JobFault::Expired);
    assert!(matches!(kept.next().await, Some(Update::Begun(_))));
}
