use policy::restart::Jitter;
use proptest::prelude::*;

use super::super::prompts::tests::pool;
use super::*;

fn cut(at: f64) -> Choose {
    Choose::Need(Cuts::new(vec![at]).unwrap())
}

#[test]
fn a_right_answer_is_surer_as_often_as_was_said() {
    for area in [0.5, 0.6, 0.7, 0.8, 0.95] {
        let sureness = Sureness::of_area(area);
        let mut random = Jitter::new(5);
        let pairs = 40_000;
        let surer =
            (0..pairs).filter(|_| sureness.mean(1.0, random.draw()) > sureness.mean(0.0, random.draw())).count();
        let found = surer as f64 / f64::from(pairs);
        assert!((found - area).abs() < 0.01, "{area}: {found}");
    }
}

#[test]
fn only_an_unsure_answer_that_says_enough_is_asked_again_and_only_if_it_can_be_paid() {
    let settings = Cascade { threshold: 0.6, least: Tokens(8) };
    let unsure = Unsure { settings, sureness: Sureness::of_area(0.5) };
    let again = |answer, next, random| unsure.again(1.0, Tokens(answer), Nanos(next), random);
    assert!(again(500, 1, 0.1) && !again(500, 1, 0.9));
    assert!(!again(7, 1, 0.1), "too short to say anything");
    assert!(!again(500, Routing::default().cascade_money.0.0 + 1, 0.1), "too dear");
    assert!((unsure.odds(1.0, Tokens(500), Nanos(1)) - 0.6).abs() < 0.01);
}

#[test]
fn the_oracle_takes_the_cheapest_that_is_good_enough() {
    let (pool, _) = pool();
    let item = &pool.items[0];
    let wants = |labels: &[f64]| Policy::new("", Choose::Oracle).wants(item, item.score, labels, 0.0);
    assert_eq!([wants(&[1.0, 1.0]), wants(&[0.4, 0.5]), wants(&[0.4, 0.3]), wants(&[])], [0, 1, 0, 0]);
}

#[test]
fn lots_add_up_to_their_shares() {
    let (pool, _) = pool();
    let item = &pool.items[0];
    let lot = Policy::new("", Choose::Lot(vec![0.3, 0.1]));
    let odds = lot.odds(item, item.score, &[]);
    let sums: Vec<f64> = odds.iter().map(|(_, chance)| (chance * 1e9).round() / 1e9).collect();
    assert_eq!(sums, [0.7, 0.2, 0.1]);
    let drawn = [0.05, 0.2, 0.5].map(|random| lot.wants(item, item.score, &[], random));
    assert_eq!(drawn, [2, 1, 0]);
}

#[test]
fn no_more_are_longer_than_were_wished() {
    let (pool, _) = pool();
    for share in [0.0, 0.2, 0.5, 1.0] {
        let policy = Policy::new("", Choose::Length(lengths(&pool.items, &[share])));
        let up = pool.items.iter().filter(|item| policy.wants(item, item.score, &[], 0.0) > 0).count();
        assert!(up as f64 <= share * pool.items.len() as f64 + 1e-9, "{share}: {up}");
        assert!(share < 1.0 || up == pool.items.len());
    }
}

proptest! {
    #[test]
    fn a_higher_cut_never_sends_more_up(need in 0.0..=1.0_f64, low in 0.0..=1.0_f64, more in 0.0..=1.0_f64) {
        let (pool, score) = (Item { example: Default::default(), score: Score::new(0.5, need) }, Score::new(0.5, need));
        let high = (low + more * (1.0 - low)).min(1.0);
        let wants = |at| Policy::new("", cut(at)).wants(&pool, score, &[], 0.0);
        prop_assert!(wants(high) <= wants(low));
    }
}
