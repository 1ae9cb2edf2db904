//! Two mock nodes for a minute at three times what they can do, in paused time.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actors::cluster::waiting::{Entry, TurnedAway, Waiting};
use actors::mock::{MockEngine, MockOptions, Timing, bundle};
use actors::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Attempt, Drive, Loaded, Update, WorkerHandle, WorkerMetrics, worker};
use policy::ladder::{Band, Ladder, Rules, Signals};
use policy::queue::Bounds;
use policy::restart::{Backoff, Intensity, Jitter};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Class, Job, Limits, Sampling};
use protocol::units::Tokens;
use ractor::{Actor, ActorRef};
use tokio::time::{Instant, sleep};

/// Prompt tokens that one node computes in a second.
const RATE: u64 = 1000;
/// How long a client waits for the first token.
const PATIENCE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

/// What became of all requests.
#[derive(Debug, Default)]
struct Seen {
    served: AtomicU32,
    late: AtomicU32,
    refused: AtomicU32,
    kept: AtomicU32,
    broken: AtomicU32,
}

struct Cluster {
    workers: Vec<WorkerHandle>,
    waiting: Waiting,
    seen: Seen,
}

async fn node() -> (WorkerHandle, ActorRef<SupervisorMsg>) {
    let per_token = Duration::from_secs(1) / u32::try_from(RATE).unwrap();
    let timing = Timing { prefill_per_token: per_token, ..Timing::default() };
    let options = MockOptions { timing, ..MockOptions::default() };
    let factory = move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: bundle() });
    let (handle, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
    handle.bound_queue(Tokens(4000));
    let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 3, within: MINUTE, backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: Duration::from_secs(5) };
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args).await.unwrap();
    handle.served().await.unwrap();
    while !handle.report().ready {
        sleep(Duration::from_millis(1)).await;
    }
    (handle, supervisor)
}

fn job(number: u32, prompt: u32) -> Job {
    Job {
        key: JobKey { request: RequestId(number.into()), choice: 0, attempt: 0 },
        model: "mock".to_owned(),
        // No two prompts share a block.
        prompt: (0..prompt).map(|i| TokenId((number.wrapping_mul(2_654_435_761) >> (i % 24)) % 256)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(2), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: u128::from(number).to_le_bytes(),
        priority: Class::Standard.priority(),
    }
}

impl Cluster {
    /// Asks the nodes, the one with less to do first.
    async fn submit(&self, job: &Job, left: Duration) -> Option<Attempt> {
        let mut order: Vec<&WorkerHandle> = self.workers.iter().collect();
        order.sort_by_key(|worker| worker.report().load.prefill);
        for worker in order {
            if let Ok(attempt) = worker.submit_within(job.clone(), Some(left)).await {
                return Some(attempt);
            }
        }
        None
    }

    /// A node's attempt, after as long a wait as it takes.
    async fn place(&self, job: &Job, due: Instant, again: bool) -> Result<Attempt, TurnedAway> {
        let left = || due.saturating_duration_since(Instant::now());
        if self.waiting.jam("mock").requests == 0
            && let Some(attempt) = self.submit(job, left()).await
        {
            return Ok(attempt);
        }
        let entry = Entry {
            model: "mock".to_owned(),
            class: Class::Standard,
            tenant: "admin".to_owned(),
            tokens: Tokens::of(job.prompt.len()),
            begun: false,
            again,
            waited: Duration::ZERO,
            left: left(),
            retry_after: None,
        };
        let mut turn = self.waiting.turn(entry).await?;
        loop {
            if let Some(attempt) = self.submit(job, left()).await {
                turn.granted();
                return Ok(attempt);
            }
            turn = turn.again().await?;
        }
    }

    async fn client(self: Arc<Self>, number: u32, prompt: u32) {
        let job = job(number, prompt);
        let mut told = false;
        loop {
            let due = Instant::now() + PATIENCE;
            let placed = self.place(&job, due, told).await;
            let count = match (&placed, std::mem::replace(&mut told, placed.is_err())) {
                (Ok(_), true) => Some(&self.seen.kept),
                (Err(_), true) => Some(&self.seen.broken),
                (Err(_), false) => Some(&self.seen.refused),
                (Ok(_), false) => None,
            };
            if let Some(count) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
            match placed {
                Ok(attempt) => return self.read(attempt, due).await,
                Err(away) => sleep(away.retry_after).await,
            }
        }
    }

    async fn read(&self, mut attempt: Attempt, due: Instant) {
        let mut first = None;
        while let Some(update) = attempt.next().await {
            if matches!(update, Update::Tokens(_)) {
                first.get_or_insert(Instant::now());
            }
        }
        self.waiting.room("mock", 1);
        let count = if first.is_some_and(|at| at <= due) { &self.seen.served } else { &self.seen.late };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn three_times_too_much_for_a_minute_is_borne() {
    let (first, _one) = node().await;
    let (second, _two) = node().await;
    let waiting = Waiting::new(Bounds { requests: 256, tokens: Tokens(20_000), ..Bounds::default() }, PATIENCE);
    let cluster = Arc::new(Cluster { workers: vec![first, second], waiting, seen: Seen::default() });
    let ticking = Arc::clone(&cluster);
    let rules = Rules {
        delay: Band { high: 2.0, low: 0.5 },
        cache: Band { high: 0.95, low: 0.8 },
        errors: Band { high: 0.5, low: 0.1 },
        climb: Duration::from_secs(2),
        rest: Duration::from_secs(10),
    };
    let ladder = tokio::spawn(async move {
        let (mut ladder, mut rungs, start) = (Ladder::default(), Vec::new(), Instant::now());
        while start.elapsed() < MINUTE || ladder.level() > 0 {
            sleep(Duration::from_millis(100)).await;
            let signals = Signals { delay: ticking.waiting.jam("mock").oldest, ..Signals::default() };
            rungs.extend(ladder.observe(start.elapsed(), signals, &rules).map(|change| change.to));
            assert!(start.elapsed() < MINUTE * 20, "it never comes to rest: {rungs:?}");
        }
        rungs
    });
    let (mut random, mut clients, start) = (Jitter::new(7), Vec::new(), Instant::now());
    // 500 tokens on average.
    let gap = Duration::from_secs(1).mul_f64(500.0 / (2.0 * RATE as f64 * 3.0));
    for number in 0.. {
        sleep(gap.mul_f64(-(1.0 - random.draw()).ln())).await;
        if start.elapsed() > MINUTE {
            break;
        }
        let prompt = 100 + (random.draw() * 800.0) as u32;
        clients.push(tokio::spawn(Arc::clone(&cluster).client(number, prompt)));
    }
    let all = u32::try_from(clients.len()).unwrap();
    for client in clients {
        client.await.unwrap();
    }
    let rungs = ladder.await.unwrap();
    let count = |count: &AtomicU32| count.load(Ordering::Relaxed);
    let seen = &cluster.seen;
    assert_eq!(rungs, [1, 2, 3, 4, 5, 4, 3, 2, 1, 0], "{seen:?}");
    assert!(count(&seen.refused) > all / 4, "{all}: {seen:?}");
    assert!(count(&seen.kept) * 10 >= (count(&seen.kept) + count(&seen.broken)) * 9, "{all}: {seen:?}");
    assert!(count(&seen.late) * 100 <= count(&seen.served), "{all}: {seen:?}");
    assert_eq!(count(&seen.served) + count(&seen.late), all);
    let jam = cluster.waiting.jam("mock");
    assert_eq!((jam.requests, jam.tokens), (0, Tokens::ZERO), "nobody is left");
}
