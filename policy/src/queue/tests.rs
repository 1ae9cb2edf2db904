use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

mod overload;

const BOUNDS: Bounds = Bounds {
    requests: 8,
    tokens: Tokens(8000),
    trials: 2,
    rise: Duration::from_secs(10),
    quantum: Tokens(500),
    shortest: Duration::from_millis(250),
    longest: Duration::from_secs(600),
};

fn entry(class: Class, tenant: &str, tokens: u64) -> Entry {
    Entry {
        class,
        tenant: tenant.to_owned(),
        tokens: Tokens(tokens),
        since: secs(1),
        deadline: secs(1000),
        again: true,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn push(queue: &mut Queue, entry: Entry) -> Id {
    let (id, out) = queue.push(secs(1), entry, 0.5).unwrap();
    assert_eq!(out, []);
    id
}

/// Everybody who waits, in the order in which they go.
fn drain(queue: &mut Queue, now: Duration) -> Vec<Id> {
    let mut order = Vec::new();
    while let Some(id) = queue.release(now, 1).first().copied() {
        assert!(queue.served(now, id));
        order.push(id);
    }
    order
}

#[test]
fn the_higher_class_goes_first_and_the_older_within_a_tenant() {
    let mut queue = Queue::new(BOUNDS);
    let bulk = push(&mut queue, entry(Class::Bulk, "a", 100));
    let first = push(&mut queue, entry(Class::Standard, "a", 100));
    let second = push(&mut queue, entry(Class::Standard, "a", 10));
    let urgent = push(&mut queue, entry(Class::Interactive, "a", 900));
    assert_eq!(drain(&mut queue, secs(2)), [urgent, first, second, bulk]);
    assert!(queue.is_empty() && queue.tokens() == Tokens::ZERO);
}

#[test]
fn who_waits_long_rises_and_is_not_starved() {
    let mut queue = Queue::new(BOUNDS);
    let bulk = push(&mut queue, entry(Class::Bulk, "a", 100));
    let mut went = None;
    for second in 2..60 {
        // There is always somebody more urgent.
        queue.push(secs(second), Entry { since: secs(second), ..entry(Class::Interactive, "b", 100) }, 0.5).unwrap();
        let id = queue.release(secs(second), 1)[0];
        queue.served(secs(second), id);
        if id == bulk {
            went = Some(second);
            break;
        }
    }
    assert!(went.is_some_and(|second| second <= 25), "it went at {went:?}");
}

#[test]
fn tenants_of_a_class_share_in_tokens() {
    let mut queue = Queue::new(Bounds { requests: 500, tokens: Tokens(1 << 30), ..BOUNDS });
    let mut whose = BTreeMap::new();
    for _ in 0..60 {
        whose.insert(push(&mut queue, entry(Class::Standard, "long", 1000)), ("long", 1000));
    }
    for _ in 0..300 {
        whose.insert(push(&mut queue, entry(Class::Standard, "short", 100)), ("short", 100));
    }
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    for id in drain(&mut queue, secs(2)).into_iter().take(220) {
        let (tenant, tokens) = whose[&id];
        *sent.entry(tenant).or_default() += tokens;
    }
    let (long, short) = (sent["long"] as f64, sent["short"] as f64);
    assert!((0.9..1.1).contains(&(long / short)), "{sent:?}");
}

#[test]
fn a_higher_class_pushes_out_the_youngest_of_the_lowest() {
    let mut queue = Queue::new(BOUNDS);
    let ids: Vec<Id> = (0..7).map(|_| push(&mut queue, entry(Class::Standard, "a", 100))).collect();
    push(&mut queue, entry(Class::Interactive, "a", 100));
    let (_, out) = queue.push(secs(2), entry(Class::Interactive, "a", 100), 0.5).unwrap();
    let (id, away) = out[0];
    assert_eq!((out.len(), id, away.why), (1, ids[6], Why::PushedOut));
    assert!(away.retry_after >= BOUNDS.shortest);
    let refused = queue.push(secs(2), entry(Class::Bulk, "a", 100), 0.5).unwrap_err();
    assert_eq!((refused.why, refused.own), (Why::Full { requests: 8, tokens: Tokens(800) }, true));
    assert_eq!(queue.len(), 8);
}

#[test]
fn a_tenant_below_its_share_takes_the_place_of_one_above() {
    let mut queue = Queue::new(BOUNDS);
    let ids: Vec<Id> = (0..8).map(|_| push(&mut queue, entry(Class::Standard, "greedy", 1000))).collect();
    let (_, out) = queue.push(secs(2), entry(Class::Standard, "modest", 1000), 0.5).unwrap();
    assert_eq!((out[0].0, out[0].1.why, out[0].1.own), (ids[7], Why::PushedOut, true));
    assert!(queue.push(secs(2), entry(Class::Standard, "greedy", 10), 0.5).is_err());
}

#[test]
fn trials_are_few_and_who_comes_back_has_its_old_place() {
    let mut queue = Queue::new(BOUNDS);
    let ids: Vec<Id> = (0..4).map(|_| push(&mut queue, entry(Class::Standard, "a", 100))).collect();
    assert_eq!(queue.release(secs(2), 100), ids[..2]);
    assert_eq!(queue.release(secs(2), 100), [], "no more than may be on trial");
    assert!(queue.back(ids[0]) && !queue.back(ids[0]));
    assert!(queue.served(secs(2), ids[1]) && !queue.served(secs(2), ids[1]));
    assert_eq!(queue.release(secs(2), 1), ids[..1]);
    assert_eq!((queue.len(), queue.waiting()), (3, 2));
}

#[test]
fn who_is_late_leaves_before_a_node_is_asked() {
    let mut queue = Queue::new(BOUNDS);
    let late = push(&mut queue, Entry { deadline: secs(5), ..entry(Class::Interactive, "a", 100) });
    let other = push(&mut queue, entry(Class::Standard, "a", 100));
    assert_eq!(queue.next_deadline(), Some(secs(5)));
    assert_eq!(queue.expire(secs(4), 0.5), []);
    let out = queue.expire(secs(5), 0.5);
    assert_eq!((out.len(), out[0].0, out[0].1.why), (1, late, Why::Expired));
    assert_eq!(queue.release(secs(5), 9), [other]);
}

#[derive(Clone, Debug)]
enum Op {
    Push(usize, usize, u64, u64),
    Release(usize),
    Back(usize),
    Served(usize),
    Leave(usize),
    Wait(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..3_usize, 0..3_usize, 1..3000_u64, 1..20_u64).prop_map(|(c, t, n, d)| Op::Push(c, t, n, d)),
        2 => (1..4_usize).prop_map(Op::Release),
        1 => any::<usize>().prop_map(Op::Back),
        2 => any::<usize>().prop_map(Op::Served),
        1 => any::<usize>().prop_map(Op::Leave),
        1 => (0..4000_u64).prop_map(Op::Wait),
    ];
    prop::collection::vec(op, 1..150)
}

proptest! {
    #[test]
    fn bounds_hold_and_everybody_leaves_exactly_once(ops in ops()) {
        let (mut queue, mut now) = (Queue::new(BOUNDS), Duration::ZERO);
        let mut inside: BTreeMap<Id, (u64, Duration, bool)> = BTreeMap::new();
        let pick = |inside: &BTreeMap<Id, (u64, Duration, bool)>, at: usize| {
            inside.keys().nth(at.checked_rem(inside.len())?).copied()
        };
        for op in ops {
            match op {
                Op::Push(class, tenant, tokens, patience) => {
                    let deadline = now + secs(patience);
                    let entry = Entry { since: now, deadline, ..entry(Class::ALL[class], ["a", "b", "c"][tenant], tokens) };
                    match queue.push(now, entry, 0.0) {
                        Ok((id, out)) => {
                            for (id, away) in out {
                                prop_assert_eq!(away.why, Why::PushedOut);
                                prop_assert_eq!(inside.remove(&id).map(|(_, _, trial)| trial), Some(false));
                            }
                            prop_assert!(inside.insert(id, (tokens, deadline, false)).is_none());
                        }
                        Err(away) => {
                            prop_assert!(away.retry_after >= BOUNDS.shortest && away.retry_after <= BOUNDS.longest);
                        }
                    }
                }
                Op::Release(most) => {
                    for id in queue.release(now, most) {
                        let known = inside.get_mut(&id).unwrap();
                        prop_assert!(!std::mem::replace(&mut known.2, true));
                    }
                }
                Op::Back(at) => if let Some(id) = pick(&inside, at) {
                    let known = inside.get_mut(&id).unwrap();
                    prop_assert_eq!(queue.back(id), std::mem::replace(&mut known.2, false));
                },
                Op::Served(at) => if let Some(id) = pick(&inside, at) {
                    prop_assert!(inside.remove(&id).is_some() && queue.served(now, id) && !queue.served(now, id));
                },
                Op::Leave(at) => if let Some(id) = pick(&inside, at) {
                    prop_assert!(inside.remove(&id).is_some() && queue.leave(now, id) && !queue.leave(now, id));
                },
                Op::Wait(millis) => {
                    now += Duration::from_millis(millis);
                    for (id, _) in queue.expire(now, 0.0) {
                        prop_assert!(inside.remove(&id).is_some_and(|(_, deadline, _)| deadline <= now));
                    }
                }
            }
            prop_assert!(queue.len() <= BOUNDS.requests && queue.tokens() <= BOUNDS.tokens);
            prop_assert_eq!(queue.len(), inside.len());
            prop_assert_eq!(queue.tokens().0, inside.values().map(|(tokens, _, _)| tokens).sum::<u64>());
            prop_assert_eq!(queue.waiting(), inside.values().filter(|(_, _, trial)| !trial).count());
            prop_assert!(inside.values().filter(|(_, _, trial)| *trial).count() <= BOUNDS.trials);
        }
        // Whoever is left can be let out, each once.
        let mut left: Vec<Id> = inside.iter().filter(|(_, (_, _, trial))| *trial).map(|(id, _)| *id).collect();
        for id in &left {
            queue.served(now, *id);
        }
        left.extend(drain(&mut queue, now));
        left.sort();
        prop_assert_eq!(left, inside.into_keys().collect::<Vec<_>>());
    }
}
