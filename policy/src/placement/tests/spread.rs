//! Equal nodes get equally much, whatever the reports are worth.

use super::*;
use crate::placement::ledger::{Ledger, Ticket};
use std::collections::VecDeque;

const NODES: usize = 10;
const PLACEMENTS: usize = 10_000;

/// Each node's share, in hundredths, when each job is there for `hold` arrivals and reports are made every
/// `every` arrivals. Arrivals are a millisecond apart.
fn shares(candidates: [Candidate; NODES], policy: Policy, hold: usize, every: usize, seed: u64) -> [f64; NODES] {
    let mut jitter = Jitter::new(seed);
    let mut ledgers = vec![Ledger::default(); NODES];
    let mut jobs = [0u32; NODES];
    let mut reported = [0u32; NODES];
    let mut open: VecDeque<(usize, usize, Ticket)> = VecDeque::new();
    let mut counts = [0usize; NODES];
    for arrival in 0..PLACEMENTS {
        let now = u32::try_from(arrival).unwrap() * MILLI;
        while open.front().is_some_and(|(until, ..)| *until <= arrival) {
            let (_, place, ticket) = open.pop_front().unwrap();
            jobs[place] -= 1;
            ledgers[place].ended(ticket);
        }
        if arrival % every == 0 {
            reported = jobs;
            ledgers.iter_mut().for_each(|ledger| ledger.on_report(now));
        }
        let mut seen = candidates;
        for (place, candidate) in seen.iter_mut().enumerate() {
            candidate.load.running = reported[place];
            candidate.sent = ledgers[place].sent();
        }
        let decision = choose(&prompt(100), &seen, &settings(policy), 0, &mut || jitter.draw()).unwrap();
        let place = decision.choices[0].place;
        let ticket = ledgers[place].enter(Tokens(100));
        ledgers[place].granted(now, ticket);
        ledgers[place].computed(ticket);
        jobs[place] += 1;
        counts[place] += 1;
        open.push_back((arrival + hold, place, ticket));
    }
    counts.map(|count| count as f64 * 100.0 / PLACEMENTS as f64)
}

fn check(candidates: [Candidate; NODES], hold: usize, every: usize) {
    let shares = shares(candidates, Policy::Prefix, hold, every, 7);
    for share in shares {
        assert!((7.0..=13.0).contains(&share), "hold {hold}, reports every {every}: {shares:?}");
    }
}

fn idle() -> [Candidate; NODES] {
    std::array::from_fn(|place| node(place as u64))
}

#[test]
fn ten_idle_nodes_get_equally_much() {
    check(idle(), 0, 1);
    check(idle(), 1, 1);
}

#[test]
fn they_do_when_reports_are_stale() {
    for (hold, every) in [(0, 500), (1, 200), (30, 200), (300, 200), (30, PLACEMENTS)] {
        check(idle(), hold, every);
    }
}

#[test]
fn they_do_when_their_rates_were_measured_with_noise() {
    let mut jitter = Jitter::new(2);
    let noisy = idle().map(|candidate| {
        let mut noise = || 0.91 + 0.18 * jitter.draw();
        let rates = Rates {
            prefill: (f64::from(RATES.prefill) * noise()) as u32,
            step: RATES.step.mul_f64(noise()),
            sequence: RATES.sequence.mul_f64(noise()),
        };
        Candidate { rates, ..candidate }
    });
    check(noisy, 0, 1);
    check(noisy, 0, 500);
}

#[test]
fn they_do_when_the_parts_of_a_step_are_told_apart_badly() {
    // All have 30 jobs, and with 30 sequences a step of 10 ms and 0.1 ms for each is one of 8 ms and 0.167 ms.
    let mut jitter = Jitter::new(4);
    let mistaken = idle().map(|candidate| {
        let off = MILLI.mul_f64(4.0 * jitter.draw());
        let rates = Rates { step: RATES.step - off, sequence: RATES.sequence + off / 30, ..RATES };
        Candidate { rates, ..candidate }
    });
    check(mistaken, 300, 1);
    check(mistaken, 300, 200);
}

#[test]
fn they_do_when_nobody_has_measured_anything_or_one_has() {
    let unmeasured = idle().map(|candidate| Candidate { rates: Rates::default(), ..candidate });
    check(unmeasured, 0, 200);
    let mut one = unmeasured;
    one[4].rates = RATES;
    check(one, 0, 200);
}

#[test]
fn a_node_that_decodes_half_as_fast_gets_less() {
    let mut candidates = idle();
    candidates[0].rates = Rates { step: 2 * RATES.step, sequence: 2 * RATES.sequence, ..RATES };
    let shares = shares(candidates, Policy::Prefix, 50, 200, 3);
    assert!(shares[0] < 4.0, "{shares:?}");
}

#[test]
fn a_node_that_is_four_times_slower_gets_less() {
    let mut candidates = idle();
    candidates[0].rates = Rates { prefill: 250, step: 4 * RATES.step, sequence: 4 * RATES.sequence };
    let shares = shares(candidates, Policy::Prefix, 50, 200, 3);
    assert!(shares[0] < 4.0, "{shares:?}");
}
