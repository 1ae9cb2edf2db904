//! A thousand requests at once against a budget for a third of them: it is never exceeded, whoever leaves, is killed
//! or asks again, and what was used adds up to the nano. With the mock engine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use client::{Answer, AnswerError, Ask, Client, ErrorKind, Params};
use nix::sys::signal::Signal;
use protocol::account::{KeySettings, Outcome, Scope};
use protocol::manage::BudgetState;
use protocol::money::{Money, Price};
use protocol::units::Nanos;
use tests::cluster::{Cluster, Engine, MODEL, Plan};
use tests::dice::Dice;
use tests::money::{Operator, Seen, audit, options, options_at};
use tests::wait;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A request of 32 tokens costs at most about 0.0135: 5.00 is enough for about 370.
const CONFIG: &str = "
[prices.models.smollm2]
input = \"20.00\"
cached = \"2.00\"
output = \"400.00\"

[degrade]
enabled = false
";
const PRICE: Price =
    Price { input: Nanos(20_000_000_000), cached: Nanos(2_000_000_000), output: Nanos(400_000_000_000) };
const REQUESTS: usize = 1000;
const CONNECTIONS: usize = 20;
const TOKENS: u32 = 32;
/// How often a request that finds the budget spent asks again: others may have left by then.
const AGAIN: u32 = 6;
/// How often one is sent that broke off, or found nobody. A cluster that comes back takes some.
const SENT: u32 = 200;

/// How a request ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    Done,
    Left,
    Refused,
}

struct Crowd {
    seen: Seen,
    broken: AtomicUsize,
}

async fn one(client: Client, number: usize, crowd: Arc<Crowd>) -> Went {
    let mut dice = Dice::new(number as u64);
    let (mut refused, mut sent) = (0, 0);
    loop {
        sent += 1;
        assert!(sent < SENT, "request {number} finds nobody");
        let pause = match attempt(&client, number, &mut dice, &crowd.seen).await {
            Ok(went) => return went,
            Err(Some(error)) if error.kind == ErrorKind::OverBudget => {
                refused += 1;
                if refused > AGAIN {
                    return Went::Refused;
                }
                200 + dice.below(800)
            }
            Err(Some(error)) => {
                // A coordinator that was just started knows no model before a node is back.
                let passes = [
                    ErrorKind::UnknownModel,
                    ErrorKind::NoNode,
                    ErrorKind::NodeLost,
                    ErrorKind::Overloaded,
                    ErrorKind::Busy,
                ];
                assert!(passes.contains(&error.kind), "request {number}: {error:?}");
                100
            }
            Err(None) => {
                crowd.broken.fetch_add(1, Ordering::Relaxed);
                100
            }
        };
        sleep(Duration::from_millis(pause)).await;
    }
}

/// One try. Why it came to nothing; with none, the coordinator was lost.
async fn attempt(
    client: &Client,
    number: usize,
    dice: &mut Dice,
    seen: &Seen,
) -> Result<Went, Option<client::JobError>> {
    let params = Params { max_tokens: Some(TOKENS), ignore_eos: true, ..Params::default() };
    let ask = Ask::chat(MODEL).user(format!("Request {number}: what is it worth?")).params(params);
    // A quarter of the clients leaves: at once, or in the middle.
    let patience = dice.percent(25).then(|| dice.below(u64::from(TOKENS)));
    let mut stream = client.submit(ask).await.map_err(|_| None)?;
    if patience == Some(0) {
        return Ok(Went::Left);
    }
    let (mut request, mut pieces) = (None, 0);
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(Answer::Started(started)) => request = Some(started.request),
            Ok(Answer::Done { usage }) => {
                seen.note(request.unwrap(), usage.cost);
                return Ok(Went::Done);
            }
            Ok(_) => pieces += 1,
            Err(AnswerError::Failed(error)) => return Err(Some(error)),
            Err(AnswerError::Interrupted { .. }) => return Err(None),
            Err(other) => panic!("request {number}: {other}"),
        }
        if patience.is_some_and(|patience| pieces >= patience) {
            return Ok(Went::Left);
        }
    }
    Err(None)
}

/// Looks at the budget without a pause; gives how often, and the most that was held.
async fn watch(operator: Operator, limit: Nanos, over: Arc<AtomicBool>) -> (usize, Nanos) {
    let (mut looks, mut highest) = (0, Nanos::ZERO);
    while !over.load(Ordering::Relaxed) {
        let Ok(state) = operator.look("five").await else { continue };
        let held = Nanos(state.settled.0 + state.reserved.0);
        assert!(held <= limit, "settled {} + reserved {}", Money(state.settled), Money(state.reserved));
        (looks, highest) = (looks + 1, highest.max(held));
    }
    (looks, highest)
}

async fn until(operator: &Operator, what: &str, so: impl Fn(&BudgetState) -> bool) {
    wait::until(what, || async {
        let state = operator.look("five").await?;
        if so(&state) { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_thousand_requests_never_spend_more_than_there_is() {
    let mut plan = Plan::new(2, Engine::Mock);
    plan.config = CONFIG.to_owned();
    let mut cluster = Cluster::of(plan).await;
    let operator = Operator::of(&cluster).await;
    let settings = KeySettings { name: "crowd".to_owned(), team: Some("red".to_owned()), ..KeySettings::default() };
    let (key, secret) = operator.key(settings).await;
    let limit = operator.budget("five", Scope { key: Some(key.id.clone()), ..Scope::default() }, "5.00").await;
    // One that is wider sees the same.
    operator.budget("wide", Scope { team: Some("red".to_owned()), ..Scope::default() }, "50.00").await;
    let over = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(Operator::of(&cluster).await, limit, Arc::clone(&over)));

    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(options(&cluster, &secret)).await.unwrap());
    }
    let crowd = Arc::new(Crowd { seen: Seen::default(), broken: AtomicUsize::new(0) });
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        requests.spawn(one(clients[number % CONNECTIONS].clone(), number, Arc::clone(&crowd)));
    }
    until(&operator, "something is spent", |state| state.settled.0 > limit.0 / 5).await;
    cluster.kill_node(0);
    cluster.restart_node(0);
    until(&operator, "half is spent", |state| state.settled.0 > limit.0 / 2).await;
    cluster.coordinator.signal(Signal::SIGKILL);
    cluster.coordinator.end().await;
    let seen = crowd.seen.all();
    cluster.restart_coordinator().await;
    let operator = Operator::of(&cluster).await;
    // What was told before the kill is there after it.
    let before = operator.usage(&key.id).await.unwrap();
    for (request, cost) in &seen {
        assert!(before.iter().any(|record| record.request == *request && record.cost == *cost), "{request} is lost");
    }

    let (mut done, mut left, mut refused) = (0, 0, 0);
    while let Some(went) = requests.join_next().await {
        match went.unwrap() {
            Went::Done => done += 1,
            Went::Left => left += 1,
            Went::Refused => refused += 1,
        }
    }
    let state = operator.settled("five").await;
    over.store(true, Ordering::Relaxed);
    let (looks, highest) = watcher.await.unwrap();
    let records = operator.usage(&key.id).await.unwrap();
    let seen = crowd.seen.all();
    audit(&records, state.settled, &seen).unwrap();
    assert_eq!(operator.look("wide").await.unwrap().settled, state.settled, "both budgets count the same requests");
    for record in &records {
        let cost = PRICE.cost(record.prompt, record.cached, record.completion).unwrap();
        assert_eq!(record.cost, cost, "{record:?}");
    }
    let outcomes: BTreeSet<Outcome> = records.iter().map(|record| record.outcome).collect();
    assert!(outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::Cancelled), "{outcomes:?}");
    assert_eq!((seen.len(), done + left + refused), (done, REQUESTS));
    let broken = crowd.broken.load(Ordering::Relaxed);
    println!(
        "{done} done, {left} left, {refused} refused, {broken} broken off, {looks} looks, highest {}, settled {}",
        Money(highest),
        Money(state.settled)
    );
    assert!(refused > REQUESTS / 5 && done > REQUESTS / 5 && left > 0, "{done} done, {left} left, {refused} refused");
    // Whoever was refused may be gone when others leave what they had set aside.
    assert!(state.settled.0 > limit.0 * 3 / 4, "the budget was hardly used: {}", Money(state.settled));
    assert!(looks > 10 && highest.0 > limit.0 * 9 / 10, "{looks} looks, at most {}", Money(highest));
    cluster.idle().await;
}

#[tokio::test]
async fn three_coordinators_spend_one_budget_and_one_is_killed() {
    let mut plan = Plan::new(0, Engine::Mock);
    plan.config = CONFIG.to_owned();
    let mut cluster = Cluster::of(plan).await;
    let holder = format!("{CONFIG}[accounts]\nholder = \"{}\"\n", cluster.reach.quic);
    let (_second, second) = cluster.another_coordinator("second", Some(&holder)).await;
    let (mut third, last) = cluster.another_coordinator("third", Some(&holder)).await;
    cluster.join_all(2, &[&second, &last]).await;
    let operator = Operator::of(&cluster).await;
    let settings = KeySettings { name: "crowd".to_owned(), ..KeySettings::default() };
    let (key, secret) = operator.key(settings).await;
    let limit = operator.budget("five", Scope { key: Some(key.id.clone()), ..Scope::default() }, "5.00").await;
    let over = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(Operator::of(&cluster).await, limit, Arc::clone(&over)));

    let mut clients = Vec::new();
    for number in 0..CONNECTIONS {
        let reach = [&cluster.reach, &second, &last][number % 3];
        let connected = wait::until("the key is known there", || async {
            Client::connect(options_at(reach, &secret)).await.map_err(|error| error.to_string())
        });
        clients.push(connected.await);
    }
    let crowd = Arc::new(Crowd { seen: Seen::default(), broken: AtomicUsize::new(0) });
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        requests.spawn(one(clients[number % CONNECTIONS].clone(), number, Arc::clone(&crowd)));
    }
    until(&operator, "something is spent", |state| state.settled.0 > limit.0 / 5).await;
    third.signal(Signal::SIGKILL);
    third.end().await;
    third = cluster.again("third", &last).await;
    let mut went = Vec::new();
    while let Some(one) = requests.join_next().await {
        went.push(one.unwrap());
    }
    let state = operator.settled("five").await;
    over.store(true, Ordering::Relaxed);
    let (looks, highest) = watcher.await.unwrap();
    let records = operator.usage(&key.id).await.unwrap();
    audit(&records, state.settled, &crowd.seen.all()).unwrap();
    let done = went.iter().filter(|went| **went == Went::Done).count();
    println!("{done} done, {looks} looks, highest {}, settled {}", Money(highest), Money(state.settled));
    assert_eq!((went.len(), crowd.seen.all().len()), (REQUESTS, done));
    assert!(done > REQUESTS / 10 && looks > 10 && highest <= limit, "{done} done, {looks} looks");
    drop(third);
}
