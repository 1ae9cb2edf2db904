//! The coordinator is killed again and again while clients spend: whatever a client was told that its request cost
//! stands in the records, once; the records add up to what is settled; and nothing that a provider has written is
//! free.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{Answer, Ask, Client, Params, Retry};
use nix::sys::signal::Signal;
use protocol::account::{KeySettings, Outcome, Scope, UsageRecord};
use protocol::config::ProviderKind;
use protocol::money::{Money, Price};
use protocol::units::{Nanos, Tokens};
use providers::mock::{Mock, Reply};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Figure;
use crate::cluster::{Cluster, Engine, MODEL, Plan};
use crate::dice::Dice;
use crate::money::{Operator, Seen, audit, options};
use crate::wait;

/// Clients at once.
const CLIENTS: usize = 24;
/// The provider's model.
const AWAY: &str = "large";
/// What its tokens cost.
const PRICE: Price = Price { input: Nanos(7_000_000_000), cached: Nanos(7_000_000_000), output: Nanos(11_000_000_000) };
/// Tokens of an answer, at most.
const TOKENS: u64 = 24;
/// A kill comes at a moment within so many milliseconds after the first answers.
const MOMENTS: u64 = 400;
const LIMIT: &str = "1000000";

/// What clients share.
struct Load {
    seen: Seen,
    answers: AtomicUsize,
    /// Nobody begins anything.
    paused: watch::Receiver<bool>,
}

/// Two mock nodes and a provider that is played.
async fn cluster(mock: &Mock) -> Cluster {
    let mut plan = Plan::new(2, Engine::Mock);
    plan.config = format!(
        "[prices.models]\n{MODEL} = {{ input = \"2.00\", cached = \"0.20\", output = \"4.00\" }}\n\
         \"away/there\" = {{ input = \"{}\", output = \"{}\" }}\n\n\
         [providers.away]\nbase = \"{}\"\nmodels = {{ {AWAY} = \"there\" }}\n",
        Money(PRICE.input),
        Money(PRICE.output),
        mock.base(ProviderKind::OpenAi),
    );
    Cluster::of(plan).await
}

/// Runs it with so many kills.
///
/// # Errors
/// An amount is lost, or counted twice.
pub async fn money(kills: u32, seed: u64) -> Result<Vec<Figure>, String> {
    let mock = Mock::start().await.map_err(|error| error.to_string())?;
    mock.always(Reply::words(16).pace(Duration::from_millis(5)));
    let mut cluster = cluster(&mock).await;
    let operator = Operator::of(&cluster).await;
    let (key, secret) = operator.key(KeySettings { name: "spender".to_owned(), ..KeySettings::default() }).await;
    operator.budget("all", Scope { key: Some(key.id.clone()), ..Scope::default() }, LIMIT).await;
    let (pause, paused) = watch::channel(false);
    let load = Arc::new(Load { seen: Seen::default(), answers: AtomicUsize::new(0), paused });
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let mut options = options(&cluster, &secret);
        options.retry = Retry { attempts: 1, ..options.retry };
        let client = Client::connect(options).await.map_err(|error| error.to_string())?;
        clients.spawn(spend(client, Dice::new(seed ^ (number as u64) << 32), Arc::clone(&load)));
    }
    let (mut dice, begun, mut checked) = (Dice::new(seed), Instant::now(), 0);
    let mut records = Vec::new();
    for kill in 0..kills {
        let before = load.answers.load(Ordering::Relaxed);
        wait::until("requests are answered", || async {
            let answers = load.answers.load(Ordering::Relaxed);
            if answers > before { Ok(()) } else { Err(answers) }
        })
        .await;
        // Any moment will do.
        sleep(Duration::from_millis(dice.below(MOMENTS))).await;
        cluster.coordinator.signal(Signal::SIGKILL);
        pause.send_replace(true);
        cluster.coordinator.end().await;
        cluster.restart_coordinator().await;
        let operator = Operator::of(&cluster).await;
        records = check(&operator, &key.id, &load.seen, &mut checked).await.map_err(|e| format!("kill {kill}: {e}"))?;
        pause.send_replace(false);
        if let Some(ended) = clients.try_join_next() {
            return Err(format!("a client has ended: {ended:?}"));
        }
    }
    clients.abort_all();
    let seen = load.seen.all().len();
    let of = |outcome| records.iter().filter(|record| record.outcome == outcome).count() as f64;
    let away: u64 = away(&records).map(|record| record.cost.0).sum();
    let written = mock.totals();
    let truth = PRICE.cost(written.prompt, Tokens::ZERO, written.completion).map_err(|error| error.to_string())?;
    Ok(vec![
        Figure::told("money: kills of the coordinator", f64::from(kills), ""),
        Figure::told("money: time", begun.elapsed().as_secs_f64(), "s"),
        Figure::told("money: answers whose cost a client was told", seen as f64, ""),
        Figure::told("money: amounts looked up after a kill", checked as f64, ""),
        Figure::told("money: records", records.len() as f64, ""),
        Figure::told("money: of these, done", of(Outcome::Done), ""),
        Figure::told("money: of these, of clients that left", of(Outcome::Cancelled), ""),
        Figure::told("money: of these, cut off at a provider", of(Outcome::Lost), ""),
        Figure::told("money: booked for the provider", units(Nanos(away)), "units"),
        Figure::bound("money: written by it, and not booked", units(Nanos(truth.0.saturating_sub(away))), "units", 0.0),
        Figure::bound("money: amounts lost or counted twice", 0.0, "", 0.0),
    ])
}

fn units(amount: Nanos) -> f64 {
    amount.0 as f64 / 1e9
}

fn away(records: &[UsageRecord]) -> impl Iterator<Item = &UsageRecord> {
    records.iter().filter(|record| record.subject.provider.is_some())
}

/// All records, once they are known to be right. What was told before they were read must be among them.
async fn check(operator: &Operator, key: &str, seen: &Seen, checked: &mut usize) -> Result<Vec<UsageRecord>, String> {
    let seen = seen.all();
    let state = operator.settled("all").await;
    let records = operator.usage(key).await?;
    audit(&records, state.settled, &seen)?;
    for record in records.iter().filter(|record| record.outcome != Outcome::Done) {
        if seen.contains_key(&record.request) {
            return Err(format!("an answer that a client has whole is booked otherwise: {record:?}"));
        }
    }
    *checked += seen.len();
    Ok(records)
}

/// Spends without an end.
async fn spend(client: Client, mut dice: Dice, load: Arc<Load>) -> Result<(), String> {
    let mut paused = load.paused.clone();
    loop {
        paused.wait_for(|paused| !paused).await.map_err(|error| error.to_string())?;
        let model = if dice.percent(40) { AWAY } else { MODEL };
        let tokens = 2 + dice.below(TOKENS);
        let params = Params { max_tokens: u32::try_from(tokens).ok(), ..Params::default() };
        let ask = Ask::chat(model).user(format!("Question {}", dice.roll())).params(params);
        let patience = dice.percent(20).then(|| dice.below(tokens));
        if one(&client, ask, patience, &load).await.is_none() {
            // The coordinator is gone, or not ready yet.
            sleep(Duration::from_millis(10 + dice.below(40))).await;
        }
    }
}

/// One request, of which the client may lose patience after some pieces. None if nothing came of it.
async fn one(client: &Client, ask: Ask, patience: Option<u64>, load: &Load) -> Option<()> {
    let mut stream = client.submit(ask).await.ok()?;
    let (mut request, mut pieces) = (None, 0);
    while patience.is_none_or(|patience| pieces < patience) {
        match stream.next().await?.ok()? {
            Answer::Started(started) => request = Some(started.request),
            Answer::Done { usage } => {
                load.seen.note(request?, usage.cost);
                load.answers.fetch_add(1, Ordering::Relaxed);
                return Some(());
            }
            _ => {}
        }
        pieces += 1;
    }
    Some(())
}
