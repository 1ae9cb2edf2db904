//! Clients that take all they can get: no minute may have more than the limit, and most minutes no less.

use super::*;

const MINUTES: u64 = 20;

/// What a run has seen.
#[derive(Default)]
struct Run {
    /// When requests were let in, in milliseconds, and what they used.
    begun: Vec<(u64, u64)>,
    ended: Vec<(u64, u64)>,
}

/// Twenty clients that ask again as soon as they may, and wait as they are told when they may not.
fn run(key: &KeyLimits, reserve: u64, used: u64, takes: u64) -> Run {
    let (mut limits, mut out) = (Limits::new(64), Run::default());
    let mut clients: Vec<(u64, Option<Ticket>)> = (0..20).map(|client| (client * 37, None)).collect();
    loop {
        let (now, place) = clients.iter().enumerate().map(|(place, (next, _))| (*next, place)).min().unwrap();
        if now >= MINUTES * 60_000 {
            return out;
        }
        let (next, held) = &mut clients[place];
        if let Some(ticket) = held.take() {
            limits.settle(at(now), ticket, Tokens(used));
            out.ended.push((now, used));
        }
        match limits.admit(at(now), "noisy", key, Tokens(reserve)) {
            Ok(ticket) => {
                out.begun.push((now, used));
                *held = Some(ticket);
                *next = now + takes.max(1);
            }
            Err(limited) => {
                let wait = limited.retry_after().unwrap();
                *next = now + u64::try_from(wait.as_millis()).unwrap().max(1);
            }
        }
    }
}

/// The most, by what `of` makes of an event, in any closed minute.
fn densest(events: &[(u64, u64)], of: fn(u64) -> u64) -> u64 {
    let within = |from: u64| events.iter().filter(move |(at, _)| (from..=from + 60_000).contains(at));
    events.iter().map(|(from, _)| within(*from).map(|(_, used)| of(*used)).sum()).max().unwrap()
}

#[test]
fn twenty_greedy_clients_get_their_limit_of_requests_and_no_more() {
    let run = run(&ALL, 160, 150, 200);
    assert_eq!(densest(&run.begun, |_| 1), 60);
    assert!(densest(&run.begun, |used| used) <= 10_000);
    let all = run.begun.len() as u64;
    assert!(all >= MINUTES * 60 * 99 / 100, "{all} requests in {MINUTES} minutes");
}

#[test]
fn twenty_greedy_clients_get_their_limit_of_tokens_and_no_more() {
    let key = KeyLimits { requests_per_minute: Some(600), ..ALL };
    // As exact an estimate as there is: what is left of the minute is less than a request.
    let run = run(&key, 50, 50, 200);
    for events in [&run.begun, &run.ended] {
        let most = densest(events, |used| used);
        assert!((9_900..=10_000).contains(&most), "{most}");
    }
    let all: u64 = run.begun.iter().map(|(_, used)| used).sum();
    assert!(all >= MINUTES * 10_000 * 99 / 100, "{all} tokens in {MINUTES} minutes");
}

#[test]
fn long_requests_hold_the_limit_by_both_clocks() {
    let run = run(&KeyLimits { requests_per_minute: None, ..ALL }, 1_000, 700, 20_000);
    for events in [&run.begun, &run.ended] {
        assert!(densest(events, |used| used) <= 10_000);
    }
    let all: u64 = run.ended.iter().map(|(_, used)| used).sum();
    // 60 / (60 + 20) of the limit, and a bit less, since reservations of 1,000 do not fill it to the brim.
    assert!(all >= MINUTES * 10_000 * 60 / 100, "{all} tokens in {MINUTES} minutes");
}

#[test]
fn a_noisy_key_takes_nothing_from_another() {
    let (mut limits, quiet) = (Limits::new(64), only_requests(60));
    let mut refused = 0;
    for millis in 0..120_000 {
        for _ in 0..3 {
            if let Ok(ticket) = limits.admit(at(millis), "noisy", &ALL, Tokens(10)) {
                limits.settle(at(millis), ticket, Tokens(10));
            } else {
                refused += 1;
            }
        }
        if millis % 1_010 == 0 {
            let ticket = limits.admit(at(millis), "quiet", &quiet, Tokens(10)).expect("it is within its own limit");
            limits.settle(at(millis), ticket, Tokens(10));
        }
    }
    assert_eq!(refused, 3 * 120_000 - 120);
}
