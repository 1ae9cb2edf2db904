//! What a request is billed is what engines did for it, by their own count: whoever leaves, is lost or loses its
//! blocks in between.

use std::sync::Arc;
use std::time::Duration;

use actors::cluster::job::Task;
use actors::cost::{Accounts, Order};
use actors::mock::{MockOptions, Timing};
use actors::node::Among;
use protocol::account::{Outcome, Subject, UsageRecord};
use protocol::answer::Answer;
use protocol::ids::{RequestId, TokenId};
use protocol::manage::UsageQuery;
use protocol::money::Price;
use protocol::units::{Nanos, Tokens, UnixMillis};
use store::MemoryStore;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::bed::{BLOCK, Coordinator, Host, Whole, ready, timing, whole};
use crate::counting::{Count, Counting, Counts};

/// 7, 3 and 11 nanos for a token.
const PRICE: Price = Price { input: Nanos(7_000_000), cached: Nanos(3_000_000), output: Nanos(11_000_000) };

/// A coordinator with accounts, and nodes whose engines are watched.
struct Desk {
    coordinator: Arc<Coordinator>,
    hosts: Vec<Host>,
    accounts: Accounts,
    counts: Counts,
    asked: u128,
}

impl Desk {
    async fn start(nodes: u64, blocks: u32, timing: Timing) -> Self {
        let coordinator = Coordinator::start().await;
        let (accounts, _) = Accounts::open(Arc::new(MemoryStore::default()), Arc::new(|| UnixMillis(1))).unwrap();
        let (counts, mut hosts) = (Counts::default(), Vec::new());
        for id in 1..=nodes {
            let options = MockOptions { timing, blocks, block: BLOCK as u32, ..MockOptions::default() };
            let told = counts.clone();
            let engine = move || Box::new(Counting::new(options.clone(), told.clone())) as _;
            hosts.push(Host::of(id, &coordinator, engine, |_| Among::default()).await);
        }
        ready(&coordinator, hosts.len()).await;
        Self { coordinator, hosts, accounts, counts, asked: 0 }
    }

    /// Asks with money set aside. The id under which it is billed.
    fn ask(&mut self, change: impl FnOnce(&mut Task)) -> (RequestId, mpsc::Receiver<Answer>) {
        self.asked += 1;
        let request = RequestId(self.asked << 64);
        let accounts = self.accounts.clone();
        let pieces = self.coordinator.ask(|task| {
            change(task);
            task.request = request;
            let answers = Tokens(task.limits.max_tokens.0 * u64::from(task.choices));
            let bound = PRICE.cost(Tokens::of(task.prompt.len()), Tokens::ZERO, answers).unwrap();
            let subject = Subject { key: "k".into(), model: "mock".into(), ..Subject::default() };
            let order = Order { request, subject, asked: "mock".into(), price: PRICE, bound, free: false };
            task.bill = Some(accounts.reserve(order).unwrap());
        });
        (request, pieces)
    }

    /// What it was billed, once nothing is open any more.
    async fn billed(&self, request: RequestId) -> UsageRecord {
        while self.accounts.open_reservations() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        self.accounts.flush().await;
        let page = self.accounts.usage(UsageQuery { limit: 10_000, ..UsageQuery::default() }).await.unwrap();
        let mut found = page.records.into_iter().filter(|record| record.request == request);
        let (record, second) = (found.next().unwrap(), found.next());
        assert_eq!(second, None, "billed twice");
        assert_eq!(record.cost, PRICE.cost(record.prompt, record.cached, record.completion).unwrap());
        record
    }

    /// The only job of a request.
    fn only(&self, request: RequestId) -> Count {
        let jobs = self.counts.of(request);
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs[0].1
    }

    /// Cuts the node off that serves this answer.
    fn cut(&self, told: &Whole) -> &Host {
        let name = &told.started.as_ref().unwrap().node;
        let host = self.hosts.iter().find(|host| host.name == *name).unwrap();
        host.cut();
        host
    }
}

/// Reads until the first choice has so many tokens.
async fn read(pieces: &mut mpsc::Receiver<Answer>, choices: usize, tokens: usize) -> Whole {
    let mut told = Whole::of(choices);
    go_on(pieces, &mut told, tokens).await;
    told
}

async fn go_on(pieces: &mut mpsc::Receiver<Answer>, told: &mut Whole, tokens: usize) {
    while told.logprobs[0].len() < tokens {
        told.take(pieces.recv().await.unwrap()).unwrap();
    }
}

#[track_caller]
fn same(record: &UsageRecord, count: &Count) {
    let usage = count.usage.unwrap();
    assert_eq!(count.tokens, usage.generated, "the engine's own counts differ");
    let billed = (record.prompt, record.cached, record.completion);
    assert_eq!(billed, (usage.prompt, usage.cached, usage.generated), "{record:?} {count:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_billed_as_the_engine_counts_it_and_so_is_a_cached_prefix() {
    let mut desk = Desk::start(1, 512, timing()).await;
    for again in [false, true] {
        let (request, pieces) = desk.ask(|_| {});
        let told = whole(pieces, 1).await;
        let (record, count) = (desk.billed(request).await, desk.only(request));
        same(&record, &count);
        assert_eq!((record.outcome, record.prompt, record.completion), (Outcome::Done, Tokens(50), Tokens(40)));
        assert_eq!(record.cached, Tokens(if again { 48 } else { 0 }));
        let usage = told.usage.unwrap();
        assert_eq!((usage.cost, usage.cached, usage.completion), (record.cost, record.cached, record.completion));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_in_the_middle_pays_for_what_was_computed() {
    let mut desk = Desk::start(1, 512, timing()).await;
    for tokens in [1, 2, 7, 19, 33, 39] {
        let (request, mut pieces) = desk.ask(|_| {});
        read(&mut pieces, 1, tokens).await;
        drop(pieces);
        let (record, count) = (desk.billed(request).await, desk.only(request));
        // The last token may be there before the engine hears of it.
        assert!(count.cancelled || tokens == 39, "after {tokens}: it was not cancelled");
        same(&record, &count);
        assert_eq!((record.outcome, record.prompt), (Outcome::Cancelled, Tokens(50)));
        assert!(record.completion >= Tokens::of(tokens), "{record:?}");
        assert!(record.completion < Tokens(40) || !count.cancelled, "{record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_in_a_prefill_pays_for_the_chunks_that_were_computed() {
    let slow = Timing { prefill_per_token: Duration::from_millis(1), ..timing() };
    let mut desk = Desk::start(1, 1024, slow).await;
    let mut reached = Vec::new();
    for (number, wait) in [100, 400, 800, 1500].into_iter().enumerate() {
        let prompt: Vec<TokenId> = (0..3000).map(|n| TokenId(97 + (n + number as u32) % 26)).collect();
        let (request, pieces) = desk.ask(|task| {
            task.prompt = prompt;
            task.salt = [number as u8; 16];
        });
        sleep(Duration::from_millis(wait)).await;
        drop(pieces);
        let (record, count) = (desk.billed(request).await, desk.only(request));
        assert!(count.cancelled && count.tokens == Tokens::ZERO, "{count:?}");
        same(&record, &count);
        reached.push(record.prompt.0);
    }
    assert!(reached.is_sorted() && reached[0] < reached[3] && reached[3] < 3000, "{reached:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_before_its_turn_pays_nothing() {
    let mut desk = Desk::start(1, 512, timing()).await;
    desk.hosts[0].cut();
    sleep(Duration::from_secs(10)).await;
    let (request, pieces) = desk.ask(|_| {});
    sleep(Duration::from_secs(1)).await;
    drop(pieces);
    while desk.accounts.open_reservations() > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    desk.accounts.flush().await;
    let records = desk.accounts.usage(UsageQuery::default()).await.unwrap().records;
    assert!(desk.counts.of(request).is_empty() && records.iter().all(|record| record.cost == Nanos::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_moved_is_billed_once() {
    let mut desk = Desk::start(3, 512, timing()).await;
    for tokens in [1, 5, 17, 32, 39] {
        for leaves in [false, true] {
            ready(&desk.coordinator, 3).await;
            let salt = [tokens as u8; 16];
            let (request, mut pieces) = desk.ask(|task| task.salt = salt);
            let mut told = read(&mut pieces, 1, tokens).await;
            let host = desk.cut(&told);
            if leaves {
                go_on(&mut pieces, &mut told, (tokens + 3).min(40)).await;
                drop(pieces);
            } else {
                while let Some(piece) = pieces.recv().await {
                    told.take(piece).unwrap();
                }
            }
            host.back();
            let (record, jobs) = (desk.billed(request).await, desk.counts.of(request));
            assert_eq!(jobs.len(), 2, "cut off after {tokens}: {jobs:?}");
            let (first, last) = (jobs[0].1, jobs[1].1);
            assert!(last.base >= Tokens::of(tokens) && first.tokens >= last.base, "{jobs:?}");
            // What the lost node chose and nobody got is nobody's to pay; the rest is billed once.
            assert_eq!(record.completion, last.base + last.tokens, "cut off after {tokens}: {record:?} {jobs:?}");
            assert_eq!((record.prompt, record.cached), (Tokens(50), first.cached.unwrap()), "{record:?} {jobs:?}");
            let ended = if last.cancelled { Outcome::Cancelled } else { Outcome::Done };
            assert_eq!(record.outcome, ended);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_computed_again_after_a_preemption_is_not_billed_again() {
    // Room for one of them, and not quite for two.
    let mut desk = Desk::start(1, 18, timing()).await;
    let mut running = Vec::new();
    for number in 0..3_u8 {
        running.push(desk.ask(|task| task.salt = [number; 16]));
    }
    let mut requests = Vec::new();
    for (request, pieces) in running {
        assert_eq!(whole(pieces, 1).await.error, None);
        requests.push(request);
    }
    let mut again = Tokens::ZERO;
    for request in requests {
        let (record, count) = (desk.billed(request).await, desk.only(request));
        same(&record, &count);
        assert_eq!((record.prompt, record.completion), (Tokens(50), Tokens(40)));
        again += count.usage.unwrap().recomputed;
    }
    assert!(again > Tokens::ZERO, "nothing was preempted");
}

#[tokio::test(start_paused = true)]
async fn many_choices_are_billed_with_one_prompt() {
    for leaves in [false, true] {
        let mut desk = Desk::start(1, 512, timing()).await;
        let (request, mut pieces) = desk.ask(|task| {
            task.choices = 3;
            task.sampling.temperature = 1.0;
        });
        if leaves {
            read(&mut pieces, 3, 11).await;
            drop(pieces);
        } else {
            whole(pieces, 3).await;
        }
        let (record, jobs) = (desk.billed(request).await, desk.counts.of(request));
        assert_eq!(jobs.len(), 3);
        let chosen: Tokens = jobs.iter().map(|(_, count)| count.tokens).sum();
        assert_eq!((record.prompt, record.completion), (Tokens(50), chosen), "{record:?} {jobs:?}");
        assert_eq!(record.cached, jobs[0].1.cached.unwrap());
        assert_eq!(jobs.iter().filter(|(_, count)| count.cancelled).count(), if leaves { 3 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_stop_text_ends_is_billed_up_to_it() {
    let mut desk = Desk::start(1, 512, timing()).await;
    let (_, pieces) = desk.ask(|_| {});
    let told = whole(pieces, 1).await;
    let stop: String = told.texts[0].chars().skip(12).take(4).collect();
    let (request, pieces) = desk.ask(|task| task.stops = vec![stop.clone()]);
    let told = whole(pieces, 1).await;
    let (record, count) = (desk.billed(request).await, desk.only(request));
    assert_eq!(record.completion, told.usage.unwrap().completion);
    assert!(record.completion < Tokens(40) && record.completion <= count.tokens, "{record:?} {count:?}");
}
