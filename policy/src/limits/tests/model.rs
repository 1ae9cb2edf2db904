//! Random operations, held against what was really let in and really used.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    /// So many milliseconds pass.
    Wait(u64),
    Admit(u64),
    /// One that runs has used so many hundredths of what it reserved.
    Settle(usize, u64),
    Release(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => (0..400_u64).prop_map(Op::Wait),
        1 => (0..30_000_u64).prop_map(Op::Wait),
        6 => (0..400_u64).prop_map(Op::Admit),
        4 => (0..20_usize, 0..=100_u64).prop_map(|(which, share)| Op::Settle(which, share)),
        1 => (0..20_usize).prop_map(Op::Release),
    ];
    prop::collection::vec(op, 1..400)
}

fn limits() -> impl Strategy<Value = KeyLimits> {
    (prop::option::of(1..30_u32), prop::option::of(1..1_500_u64), prop::option::of(1..6_u32)).prop_map(
        |(requests_per_minute, tokens_per_minute, parallel)| KeyLimits {
            requests_per_minute,
            tokens_per_minute,
            parallel,
        },
    )
}

/// Every request that was let in.
#[derive(Clone, Copy, Debug)]
struct Seen {
    begun: u64,
    /// Moment and tokens.
    ended: Option<(u64, u64)>,
    reserved: u64,
}

#[derive(Default)]
struct World {
    all: Vec<Seen>,
    running: VecDeque<(usize, Ticket)>,
    now: u64,
}

impl World {
    /// What is in force with whole minutes that last so much longer.
    fn counts(&self, longer: u64) -> (u64, u64) {
        let fresh = |moment: u64| moment + 60_000 + longer > self.now;
        let requests = self.all.iter().filter(|seen| fresh(seen.begun)).count() as u64;
        let tokens = self.all.iter().map(|seen| match seen.ended {
            None => seen.reserved,
            Some((moment, used)) if fresh(moment) => used,
            Some(_) => 0,
        });
        (requests, tokens.sum())
    }

    fn fits(&self, limits: &KeyLimits, tokens: u64, longer: u64) -> bool {
        let (requests, used) = self.counts(longer);
        limits.requests_per_minute.is_none_or(|limit| requests < limit.into())
            && limits.tokens_per_minute.is_none_or(|limit| used + tokens <= limit)
            && limits.parallel.is_none_or(|limit| self.running.len() < limit as usize)
    }
}

/// The most in any closed span of 60 seconds.
fn densest(mut events: Vec<(u64, u64)>) -> u64 {
    events.sort_unstable();
    let within = |from: u64| events.iter().filter(move |(at, _)| (from..=from + 60_000).contains(at));
    events.iter().map(|(from, _)| within(*from).map(|(_, amount)| amount).sum()).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_minute_has_more_than_the_limit_and_none_is_refused_for_nothing(key in limits(), ops in ops()) {
        let (mut limits, mut world) = (Limits::new(2), World::default());
        for op in ops {
            match op {
                Op::Wait(millis) => world.now += millis,
                Op::Admit(tokens) => {
                    let moment = at(world.now);
                    match limits.admit(moment, "k", &key, Tokens(tokens)) {
                        Ok(ticket) => {
                            prop_assert!(world.fits(&key, tokens, 0));
                            world.running.push_back((world.all.len(), ticket));
                            world.all.push(Seen { begun: world.now, ended: None, reserved: tokens });
                        }
                        Err(Limited::TooLarge { .. }) => prop_assert!(tokens > key.tokens_per_minute.unwrap()),
                        Err(Limited::Used { retry_after, sure, .. }) => {
                            prop_assert!(!world.fits(&key, tokens, 100), "a bucket late, no more");
                            if sure {
                                // Whatever becomes of what runs, as long as nobody else comes.
                                let mut alone = limits.clone();
                                let back = moment + retry_after;
                                for (_, ticket) in &world.running {
                                    let same = Ticket { key: ticket.key.clone(), ..*ticket };
                                    alone.settle(moment + retry_after / 2, same, ticket.tokens());
                                }
                                prop_assert!(alone.admit(back, "k", &key, Tokens(tokens)).is_ok());
                                prop_assert!(limits.clone().admit(back, "k", &key, Tokens(tokens)).is_ok());
                            }
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
                Op::Settle(which, share) => {
                    let Some((index, ticket)) = world.running.remove(which) else { continue };
                    let used = world.all[index].reserved * share / 100;
                    limits.settle(at(world.now), ticket, Tokens(used));
                    world.all[index].ended = Some((world.now, used));
                }
                Op::Release(which) => {
                    let Some((index, ticket)) = world.running.remove(which) else { continue };
                    limits.release(at(world.now), ticket);
                    world.all[index].ended = Some((world.now, 0));
                }
            }
            let state = limits.state(at(world.now), "k", &key);
            let ((least, _), (most, _)) = (world.counts(0), world.counts(100));
            if let Some(gauge) = state.requests {
                prop_assert!((gauge.limit.saturating_sub(most)..=gauge.limit.saturating_sub(least)).contains(&gauge.remaining));
            }
        }
        for (index, ticket) in std::mem::take(&mut world.running) {
            let used = ticket.tokens();
            limits.settle(at(world.now), ticket, used);
            world.all[index].ended = Some((world.now, used.0));
        }
        if let Some(limit) = key.requests_per_minute {
            prop_assert!(densest(world.all.iter().map(|seen| (seen.begun, 1)).collect()) <= limit.into());
        }
        if let Some(limit) = key.tokens_per_minute {
            let used = |seen: &Seen| seen.ended.map_or(0, |(_, used)| used);
            prop_assert!(densest(world.all.iter().map(|seen| (seen.begun, used(seen))).collect()) <= limit);
            prop_assert!(densest(world.all.iter().filter_map(|seen| seen.ended).collect()) <= limit);
        }
        world.now += 60_101;
        limits.sweep(2);
        prop_assert!(limits.state(at(world.now), "k", &key).tokens.is_none_or(|gauge| gauge.remaining == gauge.limit));
        limits.sweep(2);
        prop_assert!(limits.is_empty(), "an idle key is forgotten");
    }

    #[test]
    fn shares_add_up_to_the_limit(
        key in limits(),
        coordinators in 1..9_u32,
    ) {
        let shares: Vec<KeyLimits> = (0..coordinators).map(|index| share(&key, index, coordinators)).collect();
        let sum = |of: fn(&KeyLimits) -> Option<u64>| shares.iter().map(of).sum::<Option<u64>>();
        prop_assert_eq!(sum(|key| key.requests_per_minute.map(u64::from)), key.requests_per_minute.map(u64::from));
        prop_assert_eq!(sum(|key| key.tokens_per_minute), key.tokens_per_minute);
        prop_assert_eq!(sum(|key| key.parallel.map(u64::from)), key.parallel.map(u64::from));
    }
}
