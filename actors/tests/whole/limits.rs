//! What a key may ask for in a minute, under more clients than it has room for.

use std::sync::Arc;
use std::time::Duration;

use actors::cost::pace::Pace;
use policy::limits::Limited;
use protocol::account::KeyLimits;
use protocol::ids::RequestId;
use protocol::units::Tokens;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::bed::{Coordinator, Host, ready, whole};

const MINUTE: Duration = Duration::from_secs(60);
const REQUESTS: u32 = 60;
const TOKENS: u64 = 10_000;
const CLIENTS: usize = 20;
const TIME: Duration = Duration::from_secs(6 * 60);
/// Of the prompt that the bed asks.
const PROMPT: u64 = 50;

/// One request: when it was let in, when it ended, and what it used.
#[derive(Clone, Copy, Debug)]
struct Went {
    begun: Instant,
    ended: Instant,
    tokens: u64,
}

/// The most in any minute, of so much at such moments.
fn busiest(mut moments: Vec<(Instant, u64)>) -> u64 {
    moments.sort_unstable();
    let (mut first, mut sum, mut most) = (0, 0, 0);
    for (now, amount) in &moments {
        sum += amount;
        while *now - moments[first].0 >= MINUTE {
            sum -= moments[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    most
}

/// All clients of the key ask without a pause, for answers of up to so many tokens. Whoever is refused comes again
/// when it is told to.
async fn crowd(max_tokens: u64, leaves: bool) -> Vec<Went> {
    let coordinator = Coordinator::start().await;
    let _host = Host::start(1, 4096, &coordinator).await;
    ready(&coordinator, 1).await;
    let (pace, all, begun) = (Pace::default(), Arc::new(Mutex::new(Vec::new())), Instant::now());
    let limits =
        KeyLimits { requests_per_minute: Some(REQUESTS), tokens_per_minute: Some(TOKENS), ..KeyLimits::default() };
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (coordinator, pace, all) = (Arc::clone(&coordinator), pace.clone(), Arc::clone(&all));
        clients.spawn(async move {
            let mut number = 0_u128;
            while begun.elapsed() < TIME {
                let going = match pace.admit("noisy", &limits, Tokens(PROMPT + max_tokens)) {
                    Ok(going) => going,
                    Err(Limited::Used { .. }) => {
                        sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                    Err(other) => panic!("{other}"),
                };
                let begun = Instant::now();
                number += 1;
                let mut pieces = coordinator.ask(|task| {
                    task.limits.max_tokens = Tokens(max_tokens);
                    task.going = Some(going);
                    task.request = RequestId((client as u128 + 1) << 64 | number);
                    task.salt = [client as u8; 16];
                });
                let tokens = if leaves && client % 2 == 0 {
                    // What was computed for it counts: at least what it has seen.
                    let mut seen = 0;
                    while seen < 5 && pieces.recv().await.is_some() {
                        seen += 1;
                    }
                    PROMPT
                } else {
                    let usage = whole(pieces, 1).await.usage.unwrap();
                    usage.prompt.0 + usage.completion.0
                };
                all.lock().await.push(Went { begun, ended: Instant::now(), tokens });
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let all = all.lock().await;
    all.clone()
}

/// By when requests began and by when they ended.
fn most(all: &[Went]) -> (u64, u64, u64) {
    let requests = busiest(all.iter().map(|went| (went.begun, 1)).collect());
    let begun = busiest(all.iter().map(|went| (went.begun, went.tokens)).collect());
    let ended = busiest(all.iter().map(|went| (went.ended, went.tokens)).collect());
    (requests, begun, ended)
}

#[tokio::test(start_paused = true)]
async fn twenty_clients_of_a_key_never_have_more_than_its_requests_of_a_minute() {
    for leaves in [false, true] {
        let all = crowd(40, leaves).await;
        let (requests, begun, ended) = most(&all);
        assert!(requests <= REQUESTS.into() && begun <= TOKENS && ended <= TOKENS, "{requests}, {begun}, {ended}");
        // And has what it may.
        assert_eq!(requests, u64::from(REQUESTS));
        assert!(all.len() as u64 >= 6 * u64::from(REQUESTS), "{}", all.len());
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_clients_of_a_key_never_have_more_than_its_tokens_of_a_minute() {
    let all = crowd(400, false).await;
    let (requests, begun, ended) = most(&all);
    assert!(requests <= REQUESTS.into() && begun <= TOKENS && ended <= TOKENS, "{requests}, {begun}, {ended}");
    assert!(ended > TOKENS * 9 / 10, "{ended}");
}
