//! A key with limits under twenty clients that never wait, and another key beside it: the one never gets more of any
//! minute than it may have, the other does not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::{Ask, Client, Params};
use protocol::account::{KeyLimits, KeySettings};
use protocol::units::UnixMillis;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Figure;
use crate::cluster::{Cluster, Engine, MODEL, Plan};
use crate::money::{Operator, options};

const MINUTE: Duration = Duration::from_secs(60);
const REQUESTS: u32 = 60;
const TOKENS: u64 = 10_000;
/// Of the noisy key.
const CLIENTS: usize = 20;
/// Between two tries of one of them.
const PAUSE: Duration = Duration::from_millis(100);
/// So many that what the noisy key may have, at times twenty answers at once, leaves room: this is about what it may
/// not have.
const NODES: usize = 6;
/// Of the quiet key, one request after the other.
const OTHERS: usize = 4;

/// The most in any minute.
fn busiest(mut moments: Vec<(Duration, u64)>) -> u64 {
    moments.sort_unstable();
    let (mut behind, mut sum, mut most) = (moments.clone().into_iter().peekable(), 0, 0);
    for (now, amount) in moments {
        sum += amount;
        while let Some((_, left)) = behind.next_if(|(then, _)| now.saturating_sub(*then) >= MINUTE) {
            sum -= left;
        }
        most = most.max(sum);
    }
    most
}

fn ask(number: u64, tokens: u32) -> Ask {
    let params = Params { max_tokens: Some(tokens), ignore_eos: true, ..Params::default() };
    Ask::chat(MODEL).user(format!("Request {number}")).params(params)
}

/// How long answers took.
struct Times(Vec<Duration>);

impl Times {
    /// So many of a hundred were as fast.
    fn percentile(&self, percent: usize) -> f64 {
        self.0.get(self.0.len() * percent / 100).copied().unwrap_or_default().as_secs_f64()
    }
}

/// How long answers to the quiet key take until it is over.
async fn quiet(clients: Vec<Client>, over: Arc<AtomicBool>) -> Result<Times, String> {
    let mut all = JoinSet::new();
    for client in clients {
        let over = Arc::clone(&over);
        all.spawn(async move {
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let stream = client.submit(ask(times.len() as u64, 16)).await.map_err(|error| error.to_string())?;
                times.push(stream.collect().await.map_err(|error| error.to_string())?.time);
            }
            Ok::<_, String>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(some) = all.join_next().await {
        times.extend(some.map_err(|error| error.to_string())??);
    }
    times.sort_unstable();
    Ok(Times(times))
}

/// Runs it for so long, after a quarter of that without the noisy key.
///
/// # Errors
/// A request fails otherwise than by the key's limits.
pub async fn limits(time: Duration) -> Result<Vec<Figure>, String> {
    let cluster = Cluster::of(Plan::new(NODES, Engine::Mock)).await;
    let operator = Operator::of(&cluster).await;
    let allowed =
        KeyLimits { requests_per_minute: Some(REQUESTS), tokens_per_minute: Some(TOKENS), ..KeyLimits::default() };
    let named = |name: &str, limits| KeySettings { name: name.to_owned(), limits, ..KeySettings::default() };
    let (noisy, secret) = operator.key(named("noisy", allowed)).await;
    let (_, other) = operator.key(named("quiet", KeyLimits::default())).await;
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        others.push(Client::connect(options(&cluster, &other)).await.map_err(|error| error.to_string())?);
    }
    let over = Arc::new(AtomicBool::new(false));
    let alone = tokio::spawn(quiet(others.clone(), Arc::clone(&over)));
    sleep(time / 4).await;
    over.store(true, Ordering::Relaxed);
    let before = alone.await.map_err(|error| error.to_string())??;

    let (over, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let beside = tokio::spawn(quiet(others, Arc::clone(&over)));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::connect(options(&cluster, &secret)).await.map_err(|error| error.to_string())?;
        clients.spawn(async move {
            let (mut tries, mut let_in) = (0_u64, Vec::new());
            while begun.elapsed() < time {
                // Half of them ask for long answers, so that both limits are felt.
                let request = ask(tries, if number % 2 == 0 { 32 } else { 400 });
                let mut stream = client.submit(request).await.map_err(|error| error.to_string())?;
                tries += 1;
                match stream.next().await {
                    Some(Ok(_)) => {
                        let_in.push((begun.elapsed(), 1));
                        while let Some(piece) = stream.next().await {
                            piece.map_err(|error| error.to_string())?;
                        }
                    }
                    Some(Err(client::AnswerError::Failed(error))) if error.kind == client::ErrorKind::RateLimited => {
                        if error.retry_after.is_none() {
                            return Err(format!("no word of when to come again: {error}"));
                        }
                        sleep(PAUSE).await;
                    }
                    other => return Err(format!("{other:?}")),
                }
            }
            Ok::<_, String>((tries, let_in))
        });
    }
    let (mut tries, mut let_in) = (0, Vec::new());
    while let Some(client) = clients.join_next().await {
        let (tried, some) = client.map_err(|error| error.to_string())??;
        tries += tried;
        let_in.extend(some);
    }
    over.store(true, Ordering::Relaxed);
    let during = beside.await.map_err(|error| error.to_string())??;
    let records = operator.usage(&noisy.id).await?;
    let at = |at: UnixMillis| Duration::from_millis(at.0);
    let used = records.iter().map(|record| (at(record.at), (record.prompt + record.completion).0)).collect();
    let slower = |percent| 100.0 * (during.percentile(percent) / before.percentile(percent).max(f64::EPSILON) - 1.0);
    let one_more = |limit: u64| limit as f64 * 1.01;
    Ok(vec![
        Figure::told("limits: tries of the noisy key", tries as f64, ""),
        Figure::told("limits: let in", let_in.len() as f64, ""),
        Figure::bound("limits: requests in any minute", busiest(let_in) as f64, "", one_more(REQUESTS.into())),
        Figure::bound("limits: tokens in any minute", busiest(used) as f64, "", one_more(TOKENS)),
        Figure::told("limits: answers to the other key", during.0.len() as f64, ""),
        Figure::told("limits: their p50 without the noisy key", before.percentile(50), "s"),
        Figure::told("limits: their p50 beside it: slower by", slower(50), "%"),
        Figure::told("limits: their p99 without the noisy key", before.percentile(99), "s"),
        Figure::bound("limits: their p99 beside it: slower by", slower(99), "%", 20.0),
    ])
}
