use proptest::prelude::*;

use super::*;

#[test]
fn an_area_is_the_share_of_pairs_in_order() {
    assert_eq!(auc(&[(0.1, false), (0.9, true)]), Some(1.0));
    assert_eq!(auc(&[(0.9, false), (0.1, true)]), Some(0.0));
    assert_eq!(auc(&[(0.5, false), (0.5, true)]), Some(0.5));
    assert_eq!(auc(&[(0.5, true)]), None);
    assert_eq!(auc(&[]), None);
}

#[test]
fn an_interval_holds_the_area_and_is_narrower_with_more() {
    let of = |count: usize| -> Vec<(f64, bool)> {
        (0..count).map(|n| ((n % 10) as f64, n % 10 + (n / 10) % 7 > 8)).collect()
    };
    let width = |count| {
        let (low, high) = interval(&of(count), 1).unwrap();
        let area = auc(&of(count)).unwrap();
        assert!(low <= area && area <= high);
        high - low
    };
    assert!(width(1000) < width(100));
    assert_eq!(interval(&[], 1), None);
}

#[test]
fn quality_is_of_those_that_go_up() {
    let ranked = [(0.1, 1.0, 0.0), (0.9, 0.0, 1.0)];
    assert_eq!([0.0, 0.5, 1.0].map(|share| quality(&ranked, share)), [0.5, 1.0, 0.5]);
}

proptest! {
    #[test]
    fn an_area_is_what_counting_all_pairs_gives(scored in prop::collection::vec((0_u8..6, any::<bool>()), 2..40)) {
        let scored: Vec<(f64, bool)> = scored.iter().map(|(score, fails)| (f64::from(*score), *fails)).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for (fail, _) in scored.iter().filter(|(_, fails)| *fails) {
            for (pass, _) in scored.iter().filter(|(_, fails)| !*fails) {
                pairs += 1.0;
                won += if fail > pass { 1.0 } else if fail < pass { 0.0 } else { 0.5 };
            }
        }
        match auc(&scored) {
            None => prop_assert_eq!(pairs, 0.0),
            Some(area) => prop_assert!((area - won / pairs).abs() < 1e-9),
        }
    }
}
