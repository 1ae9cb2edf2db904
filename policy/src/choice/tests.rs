use proptest::prelude::*;

use super::*;

fn price(input: u64, cached: u64, output: u64) -> Price {
    Price { input: Nanos(input * 1_000), cached: Nanos(cached * 1_000), output: Nanos(output * 1_000) }
}

fn candidate(model: &str, tier: usize, price: Price) -> Candidate {
    let (prompt, cached) = (Tokens(1_000_000), Tokens::ZERO);
    Candidate { model: model.into(), tier, price, prompt, cached, time: None, closed: None }
}

fn order(candidates: &[Candidate], need: Need) -> Vec<&str> {
    rank(candidates, &need).unwrap().iter().map(|ranked| candidates[ranked.at].model.as_str()).collect()
}

#[test]
fn the_cheapest_that_is_good_enough_is_first() {
    let all = [
        candidate("large", 1, price(900, 90, 900)),
        candidate("small", 0, price(200, 20, 200)),
        candidate("best", 2, price(9_000, 900, 9_000)),
    ];
    assert_eq!(order(&all, Need::default()), ["small", "large", "best"]);
    assert_eq!(order(&all, Need { tier: 1, ..Need::default() }), ["large", "best"]);
    assert!(order(&all, Need { tier: 3, ..Need::default() }).is_empty());
}

#[test]
fn a_warm_prefix_on_a_dearer_model_wins_and_says_why() {
    let mut large = candidate("large", 1, price(900, 90, 900));
    large.cached = Tokens(990_000);
    let all = [candidate("small", 0, price(200, 20, 200)), large];
    let need = Need { answer: Tokens(10_000), ..Need::default() };
    let ranked = rank(&all, &need).unwrap();
    assert_eq!(order(&all, need), ["large", "small"]);
    assert_eq!(ranked[0].money, Nanos(9_000 + 990_000 * 90 / 1_000 + 9_000));
    assert!(ranked[0].why.contains("990000 tokens") && ranked[0].why.contains("outweighs"), "{}", ranked[0].why);
}

#[test]
fn where_money_is_equal_time_decides() {
    let timed = |name: &str, millis, price| Candidate {
        time: Some(Duration::from_millis(millis)),
        ..candidate(name, 0, price)
    };
    // A hundredth more is not dearer.
    let all = [timed("slow", 900, price(1_000, 0, 0)), timed("fast", 100, price(1_005, 0, 0))];
    assert_eq!(order(&all, Need::default()), ["fast", "slow"]);
    let all = [timed("slow", 900, price(1_000, 0, 0)), timed("fast", 100, price(1_100, 0, 0))];
    assert_eq!(order(&all, Need::default()), ["slow", "fast"]);
}

#[test]
fn what_is_late_or_closed_comes_last_and_is_not_forgotten() {
    let timed = |name: &str, seconds, price| Candidate {
        time: Some(Duration::from_secs(seconds)),
        ..candidate(name, 0, price)
    };
    let mut closed = candidate("closed", 0, price(1, 1, 1));
    closed.closed = Some("its breaker is open".into());
    let all = [
        closed,
        timed("later", 9, price(100, 10, 100)),
        timed("late", 6, price(200, 10, 200)),
        timed("dear", 2, price(900, 90, 900)),
    ];
    let need = Need { deadline: Some(Duration::from_secs(5)), ..Need::default() };
    assert_eq!(order(&all, need), ["dear", "late", "later", "closed"]);
    let ranked = rank(&all, &need).unwrap();
    assert_eq!(ranked.iter().map(|ranked| ranked.fit).collect::<Vec<_>>(), [true, false, false, false]);
    assert!(ranked[1].why.contains("1s after the deadline"), "{}", ranked[1].why);
    assert!(ranked[3].why.contains("breaker"));
}

proptest! {
    #[test]
    fn nobody_good_enough_is_lost_and_nobody_cheaper_is_behind(
        list in prop::collection::vec((0..3_usize, 1..2_000_u64, 0..1_000_000_u64, prop::option::of(0..20_u64)), 0..12),
        tier in 0..3_usize,
        deadline in prop::option::of(1..20_u64),
    ) {
        let all: Vec<Candidate> = list.into_iter().enumerate().map(|(at, (tier, input, cached, seconds))| Candidate {
            cached: Tokens(cached),
            time: seconds.map(Duration::from_secs),
            ..candidate(&at.to_string(), tier, price(input, input / 10, input))
        }).collect();
        let need = Need { tier, deadline: deadline.map(Duration::from_secs), answer: Tokens(1_000) };
        let ranked = rank(&all, &need).unwrap();
        let mut seen: Vec<usize> = ranked.iter().map(|ranked| ranked.at).collect();
        seen.sort_unstable();
        let wanted: Vec<usize> = (0..all.len()).filter(|at| all[*at].tier >= tier).collect();
        prop_assert_eq!(seen, wanted);
        let fit = ranked.iter().take_while(|ranked| ranked.fit).count();
        prop_assert!(ranked.iter().skip(fit).all(|ranked| !ranked.fit));
        for pair in ranked[..fit].windows(2) {
            prop_assert!(pair[0].money.0 <= pair[1].money.0 + pair[1].money.0 / 99 + 1);
        }
    }
}
