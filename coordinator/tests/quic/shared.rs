//! Several coordinators, one budget: over real QUIC, with whole coordinators.

use std::sync::Arc;
use std::time::Duration;

use protocol::account::{Budget, KeySettings, Outcome, UsageRecord};
use protocol::answer::{Answer, ErrorKind, JobError, Usage};
use protocol::config::Config;
use protocol::manage::{BudgetState, Manage, Managed, UsageQuery};
use protocol::units::{Nanos, Span};
use protocol::version::Versions;
use tokio::task::JoinSet;
use transport::quic::QuicConnection;

use crate::PACE;
use crate::bed::{Apart, Bed, Reach, ask, manage, request, until};

/// What a request of three tokens and so many of answer costs at the default prices.
fn cost(answer: u64) -> u64 {
    3 * 1_000 + answer * 2_000
}

fn quick(config: &mut Config) {
    config.accounts.settle_every = Span(Duration::from_millis(50));
}

/// The same, as a file says it.
const QUICK: &str = "settle_every = \"50ms\"\n";

async fn budget(client: &QuicConnection, limit: Nanos) {
    let budget = Budget { id: "all".into(), limit, ..Budget::default() };
    let put = manage(client, Manage::PutBudget(budget)).await;
    assert!(matches!(put, Ok(Managed::Budget(_))), "{put:?}");
}

async fn stands(client: &QuicConnection) -> BudgetState {
    match manage(client, Manage::ListBudgets).await {
        Ok(Managed::Budgets(budgets)) if budgets.len() == 1 => budgets.into_iter().next().unwrap(),
        other => panic!("not one budget: {other:?}"),
    }
}

async fn key(client: &QuicConnection) -> String {
    match manage(client, Manage::CreateKey(KeySettings { name: "k".into(), ..KeySettings::default() })).await {
        Ok(Managed::KeyCreated { secret, .. }) => secret,
        other => panic!("no key: {other:?}"),
    }
}

async fn usage(client: &QuicConnection) -> Vec<UsageRecord> {
    match manage(client, Manage::Usage(UsageQuery { limit: 1000, ..UsageQuery::default() })).await {
        Ok(Managed::Usage { records, next: None }) => records,
        other => panic!("no usage: {other:?}"),
    }
}

/// A client whose key may have come from another coordinator a moment ago.
async fn client(of: &Reach, key: &str) -> QuicConnection {
    until(async || {
        let (connection, said) = of.greet(key, Versions::OURS).await;
        matches!(said, protocol::frame::Frame::ClientWelcome(_)).then_some(connection)
    })
    .await
}

fn outcome(answers: &[Answer]) -> Result<Usage, JobError> {
    match answers.last() {
        Some(Answer::Done { usage }) => Ok(*usage),
        Some(Answer::Failed(error)) => Err(error.clone()),
        other => panic!("no end: {other:?}"),
    }
}

/// Asks until it is answered.
async fn answered(client: &QuicConnection, tokens: u32) -> Usage {
    until(async || outcome(&ask(client, request(tokens)).await).ok()).await
}

/// Waits until the holder has so many records, and they add up to what it has booked.
async fn adds_up(admin: &QuicConnection, records: usize) -> Vec<UsageRecord> {
    until(async || {
        let all = usage(admin).await;
        let state = stands(admin).await;
        let sum: Nanos = all.iter().map(|record| record.cost).sum();
        assert!(all.len() <= records, "{} records of {records}", all.len());
        (all.len() == records && sum == state.settled && usage(admin).await.len() == records).then_some(all)
    })
    .await
}

#[tokio::test]
async fn keys_and_budgets_are_the_same_at_every_coordinator() {
    let holder = Bed::start_with(quick).await;
    let follower = holder.follower(quick).await;
    let _nodes = (holder.node(1, PACE).await, follower.node(2, PACE).await);
    let (first, second) = (holder.client().await, follower.client().await);
    let made_here = key(&first).await;
    let there = client(&follower, &made_here).await;
    // A budget that was made by way of the follower stands at the holder.
    until(async || manage(&second, Manage::ListBudgets).await.ok()).await;
    budget(&second, Nanos(1_000_000_000)).await;
    assert_eq!(stands(&first).await.budget.limit, Nanos(1_000_000_000));
    let used = answered(&there, 7).await;
    assert_eq!(used.cost, Nanos(cost(7)));
    let records = adds_up(&first, 1).await;
    assert_eq!((records[0].cost, records[0].outcome), (used.cost, Outcome::Done));
    assert_eq!(usage(&second).await, records, "the follower passes the question on");
    // So does a key; it is good at both, and no more at either once it is revoked.
    let made_there = key(&second).await;
    client(&holder, &made_there).await;
    let (_, said) = follower.greet(&made_there, Versions::OURS).await;
    assert!(matches!(said, protocol::frame::Frame::ClientWelcome(_)), "at once: {said:?}");
    let Ok(Managed::Keys(keys)) = manage(&second, Manage::ListKeys).await else { panic!("no keys") };
    for key in keys {
        assert!(manage(&first, Manage::RevokeKey { key: key.id }).await.is_ok());
    }
    until(async || {
        let (_, said) = follower.greet(&made_there, Versions::OURS).await;
        matches!(said, protocol::frame::Frame::ClientRefused(_)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn three_coordinators_under_load_never_spend_more_than_the_budget() {
    const ASKED: usize = 300;
    const TOKENS: u32 = 200;
    let limit = Nanos(60_000_000);
    let holder = Bed::start_with(quick).await;
    let admin = holder.client().await;
    // Before they come: what they let in until they have heard of it would count beyond it.
    budget(&admin, limit).await;
    let (second, third) = (holder.follower(quick).await, holder.follower(quick).await);
    let _nodes = (holder.node(1, PACE).await, second.node(2, PACE).await, third.node(3, PACE).await);
    let clients = [holder.client().await, second.client().await, third.client().await].map(Arc::new);
    let mut asks = JoinSet::new();
    for number in 0..ASKED {
        let client = Arc::clone(&clients[number % clients.len()]);
        asks.spawn(async move { outcome(&ask(&client, request(TOKENS)).await) });
    }
    let mut answered = Vec::new();
    let (mut refused, mut looks) = (0, 0);
    while !asks.is_empty() {
        let state = stands(&admin).await;
        assert!(state.settled + state.reserved <= limit, "{state:?}");
        looks += 1;
        while let Some(asked) = asks.try_join_next() {
            match asked.unwrap() {
                Ok(usage) => answered.push(usage),
                Err(error) => {
                    assert!(matches!(error.kind, ErrorKind::OverBudget | ErrorKind::Overloaded), "{error:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!(looks > 10, "{looks}");
    let most = limit.0 / cost(TOKENS.into());
    assert!(answered.len() as u64 <= most && answered.len() as u64 >= most / 2, "{} of {most}", answered.len());
    assert_eq!(answered.len() + refused, ASKED);
    let records = adds_up(&admin, answered.len()).await;
    assert_eq!(records.iter().map(|record| record.cost).sum::<Nanos>(), answered.iter().map(|usage| usage.cost).sum());
    assert!(records.iter().all(|record| record.outcome == Outcome::Done), "{records:?}");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_the_load_leaves_the_budget_whole() {
    let limit = Nanos(60_000_000);
    let holder = Bed::start_with(quick).await;
    let admin = holder.client().await;
    budget(&admin, limit).await;
    let folder = holder.share();
    let (second, third) = (holder.follower(quick).await, Apart::start(folder.path(), &holder, QUICK).await);
    let _nodes = (holder.node(1, PACE).await, second.node(2, PACE).await);
    let node = third.node(3, Duration::from_millis(3)).await;
    let clients = [holder.client().await, second.client().await, third.client().await].map(Arc::new);
    let mut asks = JoinSet::new();
    for number in 0..300_u32 {
        let client = Arc::clone(&clients[number as usize % clients.len()]);
        asks.spawn(async move { crate::bed::try_ask(&client, request(100 + number)).await });
    }
    let (mut third, mut told) = (Some((third, node)), Vec::new());
    while !asks.is_empty() {
        let state = stands(&admin).await;
        assert!(state.settled + state.reserved <= limit, "{state:?}");
        while let Some(asked) = asks.try_join_next() {
            if let Some(Answer::Done { usage }) = asked.unwrap() {
                told.push(usage.cost);
            }
        }
        if told.len() >= 20 {
            drop(third.take());
        }
    }
    assert!(third.is_none());
    let _again = Apart::start(folder.path(), &holder, QUICK).await;
    let records = until(async || {
        let (records, state) = (usage(&admin).await, stands(&admin).await);
        assert!(state.settled + state.reserved <= limit, "{state:?}");
        let sum: Nanos = records.iter().map(|record| record.cost).sum();
        (state.reserved == Nanos::ZERO && sum == state.settled).then_some(records)
    })
    .await;
    // What it had open when it was killed, if anything, stands there as lost: `a_follower_that_is_killed…` holds that.
    let mut done: Vec<Nanos> =
        records.iter().filter(|record| record.outcome == Outcome::Done).map(|record| record.cost).collect();
    for cost in told {
        let place = done.iter().position(|found| *found == cost);
        done.remove(place.expect("what a client was told is booked"));
    }
}

#[tokio::test]
async fn without_its_holder_a_follower_refuses_and_with_it_serves_again() {
    fn short(config: &mut Config) {
        quick(config);
        config.accounts.grant = Span(Duration::from_millis(400));
    }
    let holder = Bed::start_with(short).await;
    let follower = holder.follower(short).await;
    let _node = follower.node(2, PACE).await;
    let admin = holder.client().await;
    budget(&admin, Nanos(1_000_000_000)).await;
    let client = follower.client().await;
    let first = answered(&client, 5).await;
    adds_up(&admin, 1).await;
    let gone = holder.stopped().await;
    let error = until(async || outcome(&ask(&client, request(5)).await).err()).await;
    assert_eq!(error.kind, ErrorKind::Overloaded);
    assert!(error.retry_after.is_some() && error.message.contains("has not answered for"), "{error:?}");
    let refused = manage(&client, Manage::ListBudgets).await.unwrap_err();
    assert!(refused.kind == ErrorKind::Overloaded && refused.message.contains("cannot be asked"), "{refused:?}");
    let holder = gone.start(short).await;
    let second = answered(&client, 5).await;
    let admin = holder.client().await;
    let records = until(async || {
        let records = usage(&admin).await;
        // Those that passed while the grant was good count too.
        let sum: Nanos = records.iter().map(|record| record.cost).sum();
        (records.len() >= 2 && sum == stands(&admin).await.settled).then_some(records)
    })
    .await;
    assert!(records.iter().all(|record| record.cost == first.cost && record.cost == second.cost));
}

#[tokio::test]
async fn a_follower_that_is_killed_loses_nothing_and_tells_nothing_twice() {
    let limit = Nanos(1_000_000_000);
    let holder = Bed::start_with(quick).await;
    let admin = holder.client().await;
    budget(&admin, limit).await;
    let folder = holder.share();
    let first = Apart::start(folder.path(), &holder, QUICK).await;
    let node = first.node(2, Duration::from_millis(2)).await;
    let asking = Arc::new(first.client().await);
    answered(&asking, 5).await;
    let mut asks = JoinSet::new();
    // Some are over when it is killed, others are not.
    for number in 0..40_u32 {
        let client = Arc::clone(&asking);
        asks.spawn(async move { crate::bed::try_ask(&client, request(1 + 20 * number)).await });
    }
    let mut done = vec![Nanos(cost(5))];
    while done.len() < 10 {
        if let Some(Answer::Done { usage }) = asks.join_next().await.unwrap().unwrap() {
            done.push(usage.cost);
        }
    }
    drop(first);
    drop(node);
    while let Some(asked) = asks.join_next().await {
        if let Some(Answer::Done { usage }) = asked.unwrap() {
            done.push(usage.cost);
        }
    }
    assert!(done.len() < 41, "it was killed too late");
    let state = stands(&admin).await;
    assert!(state.settled + state.reserved <= limit, "{state:?}");
    let again = Apart::start(folder.path(), &holder, QUICK).await;
    // All that was asked is told: what was answered as it was, what was cut off as it was reserved.
    let records = until(async || {
        let records = usage(&admin).await;
        let sum: Nanos = records.iter().map(|record| record.cost).sum();
        let state = stands(&admin).await;
        assert!(records.len() <= 41, "{}", records.len());
        (records.len() == 41 && sum == state.settled && state.reserved == Nanos::ZERO).then_some(records)
    })
    .await;
    let mut finished: Vec<Nanos> =
        records.iter().filter(|record| record.outcome == Outcome::Done).map(|record| record.cost).collect();
    let lost = records.iter().filter(|record| record.outcome == Outcome::Lost);
    assert_eq!(finished.len() + lost.clone().count(), 41, "{records:?}");
    assert!(lost.clone().count() > 0 && lost.clone().all(|record| record.cost == record.reserved));
    for cost in done {
        let place = finished.iter().position(|found| *found == cost);
        finished.remove(place.expect("what a client was told is booked"));
    }
    drop(again);
}
