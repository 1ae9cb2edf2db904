//! Three times more is asked for than the nodes can do: whoever is let in must get a first token in time,
//! whoever is not must learn when to come back, and be let in then; the ladder must climb and come down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::Figure;
use crate::cluster::{Cluster, MODEL};
use crate::http::Http;

/// How long the cluster is measured at rest.
const CALIBRATION: Duration = Duration::from_secs(4);
/// Requests at once while it is measured: more than it can run.
const FULL: usize = 48;
/// Tokens of an answer.
const TOKENS: u32 = 16;
/// How often the ladder is read.
const LOOK: Duration = Duration::from_millis(200);
/// How long the ladder may take to come down.
const REST: Duration = Duration::from_secs(120);

/// How one request went.
#[derive(Clone, Copy, Debug)]
enum Went {
    /// Time to its first token.
    Served(Duration),
    /// When to come back.
    Refused(Duration),
}

/// Runs it against mock nodes, whose speed is known and does not depend on the machine.
///
/// # Errors
/// A response is neither an answer nor a refusal that says when to come back; the ladder jumps.
pub async fn overload(cluster: &Cluster, time: Duration, deadline: Duration) -> Result<Vec<Figure>, String> {
    let http = cluster.http();
    let capacity = capacity(&http).await?;
    let rate = 3.0 * capacity;
    let ladder = tokio::spawn(watch(http.clone()));
    let begun = Instant::now();
    let count = (rate * time.as_secs_f64()) as u32;
    let mut requests = JoinSet::new();
    for number in 0..count {
        sleep_until(begun + Duration::from_secs_f64(f64::from(number) / rate)).await;
        let http = http.clone();
        requests.spawn(async move {
            let first = ask(&http, number, false).await?;
            let Went::Refused(after) = first else { return Ok((first, None)) };
            sleep(after).await;
            Ok::<_, String>((first, Some(ask(&http, number, true).await?)))
        });
    }
    let (mut served, mut refused, mut held) = (Vec::new(), 0_u32, 0_u32);
    while let Some(request) = requests.join_next().await {
        let (first, second) = request.map_err(|error| error.to_string())??;
        refused += u32::from(second.is_some());
        held += u32::from(matches!(second, Some(Went::Served(_))));
        served.extend([Some(first), second].into_iter().flatten().filter_map(|went| match went {
            Went::Served(time) => Some(time),
            Went::Refused(_) => None,
        }));
    }
    served.sort_unstable();
    let p99 = served.get(served.len() * 99 / 100).copied().unwrap_or_default();
    let levels = ladder.await.map_err(|error| error.to_string())??;
    let breakers = metric(&http, "troupe_breaker_transitions_total").await;
    cluster.idle().await;
    Ok(vec![
        Figure::told("overload: capacity", capacity, "1/s"),
        Figure::told("overload: asked for", rate, "1/s"),
        Figure::told("overload: served", served.len() as f64, ""),
        Figure::told("overload: refused at first", f64::from(refused), ""),
        Figure::bound("overload: p99 of the time to first token", p99.as_secs_f64(), "s", deadline.as_secs_f64()),
        Figure::bound(
            "overload: refused again after Retry-After",
            100.0 * f64::from(refused - held) / f64::from(refused.max(1)),
            "%",
            10.0,
        ),
        Figure::told("overload: highest rung", f64::from(levels.iter().max().copied().unwrap_or_default()), ""),
        Figure::bound("overload: turns of breakers", breakers, "", 0.0),
    ])
}

/// Requests a second, when there are always enough.
async fn capacity(http: &Http) -> Result<f64, String> {
    let (done, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut clients = JoinSet::new();
    for client in 0..FULL {
        let (http, done) = (http.clone(), Arc::clone(&done));
        clients.spawn(async move {
            while begun.elapsed() < CALIBRATION {
                if let Went::Refused(after) = ask(&http, client as u32, true).await? {
                    sleep(after).await;
                } else {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<_, String>(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client.map_err(|error| error.to_string())??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

async fn ask(http: &Http, number: u32, again: bool) -> Result<Went, String> {
    let body = json!({
        "model": MODEL, "prompt": format!("question {number}: why is the sky blue?"),
        "max_tokens": TOKENS, "ignore_eos": true, "stream": true, "seed": number,
    });
    // The answer cache would make the nodes' work vanish. And this is how OpenAI's clients say that they come back.
    let count = if again { "1" } else { "0" };
    let headers = [("cache-control", "no-store"), ("x-stainless-retry-count", count)];
    let begun = Instant::now();
    let mut response = http.stream_with("/v1/completions", &body, &headers).await;
    match response.status {
        200 => {
            let first = response.first_events(1).await;
            let took = begun.elapsed();
            let events = response.events().await;
            match events.last().map(String::as_str) {
                Some("[DONE]") => Ok(Went::Served(took)),
                _ => Err(format!("request {number} broke off: {first:?} {events:?}")),
            }
        }
        429 => {
            let after = response.headers.iter().find(|(name, _)| name == "retry-after-ms");
            let after = after.and_then(|(_, value)| value.parse().ok()).map(Duration::from_millis);

            after.map(Went::Refused).ok_or_else(|| "429 without retry-after-ms".to_owned())
        }
        other => Err(format!("request {number}: {other}: {}", response.whole().await.text())),
    }
}

/// Follows the ladder up, and down to its foot.
async fn watch(http: Http) -> Result<Vec<u8>, String> {
    let (mut levels, begun) = (vec![0_u8], Instant::now());
    loop {
        let level = metric(&http, "troupe_degradation_level").await as u8;
        let last = levels.last().copied().unwrap_or_default();
        if level.abs_diff(last) > 1 {
            return Err(format!("the ladder jumps: {levels:?}, then {level}"));
        }
        if level != last {
            levels.push(level);
        }
        if level == 0 && levels.len() > 1 {
            return Ok(levels);
        }
        if begun.elapsed() > REST + REST {
            return Err(format!("the ladder does not come down: {levels:?}"));
        }
        sleep(LOOK).await;
    }
}

async fn metric(http: &Http, name: &str) -> f64 {
    let page = http.get("/metrics").await.text();
    let values = page.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}
