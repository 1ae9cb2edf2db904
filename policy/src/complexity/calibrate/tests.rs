use proptest::prelude::*;

use super::*;

fn scores(needs: &[f64]) -> Vec<Score> {
    needs.iter().map(|need| Score::new(0.5, *need)).collect()
}

fn share(needs: &[f64], share: f64) -> Calibrated {
    calibrate(&scores(needs), &[], &Target::Shares(vec![share])).unwrap()
}

#[test]
fn the_wished_share_goes_up() {
    let needs: Vec<f64> = (0..10).map(|n| f64::from(n) / 10.0).collect();
    let found = share(&needs, 0.3);
    assert_eq!(found.shares, [0.3]);
    assert!((found.cuts.as_slice()[0] - 0.65).abs() < 1e-9);
    assert_eq!(share(&needs, 0.0).shares, [0.0]);
    assert_eq!(share(&needs, 1.0).shares, [1.0]);
}

#[test]
fn prompts_of_one_score_stay_together_below() {
    assert_eq!(share(&[0.2, 0.7, 0.7, 0.7, 0.9], 0.4).shares, [0.2]);
    assert_eq!(share(&[0.7; 5], 0.4).shares, [0.0]);
    assert_eq!(share(&[0.0; 5], 0.4).shares, [0.0]);
    assert_eq!(share(&[1.0; 5], 0.4).shares, [0.0]);
    assert_eq!(share(&[0.7; 5], 1.0).shares, [1.0]);
}

#[test]
fn three_tiers_have_two_shares() {
    let needs: Vec<f64> = (0..100).map(|n| f64::from(n) / 100.0).collect();
    let found = calibrate(&scores(&needs), &[], &Target::Shares(vec![0.4, 0.1])).unwrap();
    assert_eq!(found.shares, [0.4, 0.1]);
}

#[test]
fn a_wished_cost_becomes_a_share() {
    let needs: Vec<f64> = (0..100).map(|n| f64::from(n) / 100.0).collect();
    let cost = |small, large, most| {
        let target = Target::Cost { small: Nanos(small), large: Nanos(large), most: Nanos(most) };
        calibrate(&scores(&needs), &[], &target)
    };
    assert_eq!(cost(100, 1100, 350).unwrap().shares, [0.25]);
    assert_eq!(cost(100, 1100, 100).unwrap().shares, [0.0]);
    assert_eq!(cost(100, 1100, 5000).unwrap().shares, [1.0]);
    assert_eq!(cost(100, 50, 100).unwrap().shares, [1.0]);
    assert_eq!(cost(100, 1100, 99), Err(CalibrateError::Cheap { most: Nanos(99), small: Nanos(100) }));
}

#[test]
fn labels_tell_the_quality() {
    let label = |small, large| Label { small, large };
    let labels = [label(0.0, 1.0), label(1.0, 0.0)];
    let found = calibrate(&scores(&[0.9, 0.1]), &labels, &Target::Shares(vec![0.5])).unwrap();
    assert_eq!(found.quality, Some(1.0));
    assert_eq!(share(&[0.9, 0.1], 0.5).quality, None);
}

#[test]
fn what_cannot_be_is_refused() {
    let of = |needs: &[f64], labels: &[Label], shares: &[f64]| {
        calibrate(&scores(needs), labels, &Target::Shares(shares.to_vec())).unwrap_err()
    };
    assert_eq!(of(&[], &[], &[0.5]), CalibrateError::Empty);
    assert_eq!(
        of(&[0.5; 2], &[Label { small: 0.0, large: 0.0 }], &[0.5]),
        CalibrateError::Labels { labels: 1, scores: 2 }
    );
    assert_eq!(of(&[0.5], &[], &[1.5]), CalibrateError::Share(1.5));
    assert_eq!(of(&[0.5], &[], &[0.2, 0.3]), CalibrateError::Share(0.3));
    assert!(matches!(of(&[0.5], &[], &[f64::NAN]), CalibrateError::Share(_)));
    assert!(matches!(of(&[0.5], &[], &[0.5; 8]), CalibrateError::Cuts(BadCuts::Many(8))));
}

proptest! {
    #[test]
    fn never_more_than_wished_and_as_many_as_can_be(
        needs in prop::collection::vec(0.0..=1.0_f64, 1..200),
        wished in 0.0..=1.0_f64,
    ) {
        let found = share(&needs, wished);
        prop_assert!(found.shares[0] <= wished + 1e-9);
        // Without ties only what makes no whole prompt is lost.
        let mut sorted = needs.clone();
        sorted.sort_by(f64::total_cmp);
        if sorted.windows(2).all(|pair| pair[1] - pair[0] > 1e-9) {
            prop_assert!(found.shares[0] + 1.0 / needs.len() as f64 > wished - 1e-9);
        }
    }
}
