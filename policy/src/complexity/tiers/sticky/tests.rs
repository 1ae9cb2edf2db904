use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(60);

fn sticky(most: usize) -> Sticky<&'static str> {
    Sticky::new(StickySettings { ttl: TTL, margin: 0.1, most })
}

fn thresholds() -> Thresholds {
    let cuts = Cuts::new(vec![0.5, 0.8]).unwrap();
    Thresholds { cheap: cuts.clone(), balanced: cuts.clone(), best: cuts }
}

fn ask(sticky: &mut Sticky<&'static str>, at: u64, key: &'static str, need: f64) -> (usize, Because) {
    let score = Score::new(0.0, need);
    let choice = sticky.choose(Duration::from_secs(at), key, score, Mode::Balanced, &thresholds());
    (choice.tier, choice.because)
}

#[test]
fn an_easier_turn_stays_where_the_prefix_is() {
    let mut sticky = sticky(10);
    assert_eq!(ask(&mut sticky, 0, "a", 0.6), (1, Because::Score));
    assert_eq!(ask(&mut sticky, 50, "a", 0.1), (1, Because::Sticky));
    // Each turn warms the prefix again.
    assert_eq!(ask(&mut sticky, 100, "a", 0.7), (1, Because::Score));
    assert_eq!(ask(&mut sticky, 0, "b", 0.1), (0, Because::Score));
}

#[test]
fn only_a_clearly_harder_turn_goes_up() {
    let mut sticky = sticky(10);
    ask(&mut sticky, 0, "a", 0.1);
    assert_eq!(ask(&mut sticky, 1, "a", 0.55), (0, Because::Sticky));
    assert_eq!(ask(&mut sticky, 2, "a", 0.65), (1, Because::Raised));
    // Above the upper cut, by less than the margin.
    assert_eq!(ask(&mut sticky, 3, "a", 0.85), (1, Because::Sticky));
    assert_eq!(ask(&mut sticky, 4, "a", 0.95), (2, Because::Raised));
}

#[test]
fn a_margin_never_closes_the_way_up() {
    let mut sticky = Sticky::new(StickySettings { margin: 0.9, ..StickySettings::default() });
    let at =
        |sticky: &mut Sticky<u8>, need| sticky.choose(TTL, 1, Score::new(0.0, need), Mode::Best, &thresholds()).tier;
    assert_eq!([at(&mut sticky, 0.0), at(&mut sticky, 0.99)], [0, 2]);
}

#[test]
fn a_cold_prefix_is_decided_anew() {
    let mut sticky = sticky(10);
    ask(&mut sticky, 0, "a", 0.9);
    assert_eq!(ask(&mut sticky, 59, "a", 0.1), (2, Because::Sticky));
    assert_eq!(ask(&mut sticky, 59 + 60, "a", 0.1), (0, Because::Score));
}

#[test]
fn another_mode_is_decided_anew() {
    let mut sticky = sticky(10);
    ask(&mut sticky, 0, "a", 0.9);
    let choice = sticky.choose(Duration::ZERO, "a", Score::new(0.0, 0.1), Mode::Cheap, &thresholds());
    assert_eq!(choice, Choice { tier: 0, because: Because::Score });
}

#[test]
fn an_escalation_is_kept_and_never_lowers() {
    let mut sticky = sticky(10);
    ask(&mut sticky, 0, "a", 0.1);
    sticky.raise(Duration::ZERO, "a", 1, Mode::Balanced);
    assert_eq!(ask(&mut sticky, 1, "a", 0.1), (1, Because::Sticky));
    sticky.raise(Duration::from_secs(1), "a", 0, Mode::Balanced);
    assert_eq!(ask(&mut sticky, 2, "a", 0.1), (1, Because::Sticky));
}

#[test]
fn a_tier_that_is_gone_is_the_highest_that_is_left() {
    let mut sticky = sticky(10);
    ask(&mut sticky, 0, "a", 0.9);
    let one = Cuts::new(vec![0.5]).unwrap();
    let fewer = Thresholds { cheap: one.clone(), balanced: one.clone(), best: one };
    assert_eq!(sticky.choose(Duration::ZERO, "a", Score::new(0.0, 0.1), Mode::Balanced, &fewer).tier, 1);
}

#[test]
fn the_one_heard_of_longest_ago_is_forgotten() {
    let mut sticky = sticky(2);
    for (at, key) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
        ask(&mut sticky, at, key, 0.9);
    }
    assert_eq!(ask(&mut sticky, 4, "a", 0.1), (2, Because::Sticky));
    assert_eq!(ask(&mut sticky, 5, "b", 0.1), (0, Because::Score));
}

proptest! {
    #[test]
    fn within_the_time_a_conversation_never_goes_down_and_memory_is_bounded(
        turns in prop::collection::vec((0_u64..30, 0_u8..6, 0.0..=1.0_f64), 1..200),
        most in 0_usize..8,
    ) {
        let mut sticky = Sticky::new(StickySettings { ttl: TTL, margin: 0.1, most });
        let mut last: BTreeMap<u8, (Duration, usize)> = BTreeMap::new();
        let mut now = Duration::ZERO;
        for (wait, key, need) in turns {
            now += Duration::from_secs(wait);
            let tier = sticky.choose(now, key, Score::new(0.0, need), Mode::Balanced, &thresholds()).tier;
            if let Some((seen, before)) = last.insert(key, (now, tier))
                && now < seen + TTL && most >= 6
            {
                prop_assert!(tier >= before);
            }
            prop_assert!(sticky.len() <= most && sticky.order.len() == sticky.entries.len());
        }
    }
}
