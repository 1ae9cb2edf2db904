//! A small fleet in virtual time: what prefixes are worth to it, and that they cost nothing where there are none.

use super::*;
use crate::placement::ledger::{Ledger, Ticket};
use std::collections::{BTreeMap, VecDeque};

const NODES: usize = 8;
/// Prompts a node's cache holds.
const ROOM: usize = 30;
const TURN: Duration = Duration::from_millis(200);

/// What is asked: of which group, how much its prompts have in common, and how much each has for itself.
struct Work {
    groups: u64,
    shared: u64,
    own: u64,
    gap: Duration,
}

#[derive(Default)]
struct Outcome {
    hits: u64,
    /// Mean time from arrival to first token, in milliseconds.
    first: f64,
    jobs: [u32; NODES],
}

#[derive(Default)]
struct Machine {
    /// Groups whose prefix is cached, the one used last at the end.
    cache: VecDeque<u64>,
    /// When its prefill is through.
    free: Duration,
    reported: Load,
    ledger: Ledger,
    running: VecDeque<(Duration, Ticket)>,
    prefilling: VecDeque<(Duration, Ticket)>,
}

impl Machine {
    fn advance(&mut self, now: Duration) {
        while self.prefilling.front().is_some_and(|(until, _)| *until <= now) {
            let (_, ticket) = self.prefilling.pop_front().unwrap();
            self.ledger.computed(ticket);
        }
        while self.running.front().is_some_and(|(until, _)| *until <= now) {
            let (_, ticket) = self.running.pop_front().unwrap();
            self.ledger.ended(ticket);
        }
    }

    fn report(&mut self, now: Duration) {
        let due = self.free.saturating_sub(now).as_secs_f64() * f64::from(RATES.prefill);
        let running = u32::try_from(self.running.len()).unwrap();
        self.reported =
            Load { running, prefill: Tokens(due as u64), context: Tokens(u64::from(running) * 500), ..self.reported };
        self.ledger.on_report(now);
    }

    /// Takes a prompt and gives the tokens that it had, and when the first token comes.
    fn take(&mut self, now: Duration, group: u64, work: &Work, expected: Tokens) -> (u64, Duration) {
        let cached = if self.cache.contains(&group) { work.shared } else { 0 };
        self.cache.retain(|other| *other != group);
        self.cache.push_back(group);
        if self.cache.len() > ROOM {
            self.cache.pop_front();
        }
        let ticket = self.ledger.enter(expected);
        self.ledger.granted(now, ticket);
        self.free = self.free.max(now) + Duration::from_millis(work.shared + work.own - cached);
        self.prefilling.push_back((self.free, ticket));
        self.running.push_back((self.free + Duration::from_secs(1), ticket));
        (cached, self.free)
    }
}

fn run(policy: Policy, work: &Work, seed: u64) -> Outcome {
    let mut jitter = Jitter::new(seed);
    // What is asked must not depend on how it is answered.
    let mut chance = Jitter::new(seed ^ 77);
    let mut machines: [Machine; NODES] = Default::default();
    let (mut now, mut reported, mut outcome) = (Duration::ZERO, Duration::ZERO, Outcome::default());
    const JOBS: u64 = 3_000;
    for turn in 0..JOBS {
        now += work.gap.mul_f64(-(1.0 - jitter.draw()).ln());
        let group = if work.groups == 0 { turn } else { (jitter.draw() * work.groups as f64) as u64 };
        machines.iter_mut().for_each(|machine| machine.advance(now));
        if now >= reported + TURN {
            machines.iter_mut().for_each(|machine| machine.report(now));
            reported = now;
        }
        let candidates: Vec<Candidate> = machines
            .iter()
            .zip(0..)
            .map(|(machine, id)| {
                let cached = if machine.cache.contains(&group) { work.shared } else { 0 };
                Candidate { load: machine.reported, sent: machine.ledger.sent(), ..holding(id, cached) }
            })
            .collect();
        let tokens = work.shared + work.own;
        let decision = choose(&prompt(tokens), &candidates, &settings(policy), turn, &mut || chance.draw()).unwrap();
        let choice = decision.choices[0];
        let expected = if policy == Policy::Prefix { Tokens(tokens) - choice.cached } else { Tokens(tokens) };
        let (hit, first) = machines[choice.place].take(now, group, work, expected);
        outcome.hits += hit;
        outcome.first += (first - now).as_secs_f64() * 1e3 / JOBS as f64;
        outcome.jobs[choice.place] += 1;
    }
    outcome
}

#[test]
fn shared_prefixes_are_found_at_least_1_9_times_as_often_as_in_turn() {
    let work = Work { groups: 150, shared: 500, own: 100, gap: Duration::from_millis(60) };
    for seed in 1..=5 {
        let prefix = run(Policy::Prefix, &work, seed);
        let others = [Policy::RoundRobin, Policy::LeastLoad, Policy::Random].map(|policy| run(policy, &work, seed));
        for other in others {
            assert!(
                prefix.hits as f64 >= 1.9 * other.hits as f64,
                "seed {seed}: {} against {}",
                prefix.hits,
                other.hits
            );
            assert!(prefix.first < other.first, "seed {seed}: {} ms against {} ms", prefix.first, other.first);
        }
        assert!(prefix.jobs.iter().all(|jobs| *jobs > 3_000 / 16), "nobody idles: {:?}", prefix.jobs);
    }
}

#[test]
fn one_prefix_of_all_does_not_make_all_wait_at_one_node() {
    let work = Work { groups: 1, shared: 2_000, own: 100, gap: Duration::from_millis(20) };
    let prefix = run(Policy::Prefix, &work, 1);
    assert!(prefix.jobs.iter().all(|jobs| *jobs > 3_000 / 16), "{:?}", prefix.jobs);
    assert!(prefix.first < run(Policy::RoundRobin, &work, 1).first * 1.03);
}

#[test]
fn without_sharing_it_is_as_good_as_least_load() {
    let work = Work { groups: 0, shared: 0, own: 400, gap: Duration::from_millis(60) };
    for seed in 1..=5 {
        let (prefix, least) = (run(Policy::Prefix, &work, seed), run(Policy::LeastLoad, &work, seed));
        assert!(prefix.first <= least.first * 1.03, "seed {seed}: {} ms against {} ms", prefix.first, least.first);
    }
}

#[test]
fn without_sharing_it_chooses_as_least_load_does() {
    let mut jitter = Jitter::new(4);
    for _ in 0..500 {
        // Loads far enough apart to be no matter of taste between tokens and milliseconds.
        let mut steps: BTreeMap<u64, u64> = (0..6).map(|id| ((jitter.draw() * 1e9) as u64, id)).collect();
        let candidates: Vec<Candidate> = (1..)
            .zip(std::mem::take(&mut steps).into_values())
            .map(|(rank, id)| {
                let load = Load { running: rank, context: Tokens(rank as u64 * 300), ..node(id).load };
                busy(Candidate { load, ..node(id) }, rank as u64 * 100)
            })
            .collect();
        let [prefix, least] = [Policy::Prefix, Policy::LeastLoad].map(|policy| {
            order(&choose(&prompt(200), &candidates, &settings(policy), 0, &mut || jitter.draw()).unwrap())
        });
        assert_eq!(prefix, least);
    }
}
