use super::*;
use crate::complexity::weights::Head;

fn head(bias: f32, count: f32, word: i8, piece: i8) -> Head {
    let mut buckets = vec![word; BUCKETS / 2];
    buckets.resize(BUCKETS, piece);
    Head { bias, counts: [count; COUNT], scales: [0.5, 0.25], buckets }
}

fn scorer(fails: Head, adds: Head) -> LinearScorer {
    LinearScorer::new(Weights { fails, adds, quantiles: std::array::from_fn(|n| n as f32) })
}

#[test]
fn a_logit_is_the_sum_of_its_parts() {
    let counts = std::array::from_fn(|n| if n < 2 { 0.5 } else { 0.0 });
    let last = (BUCKETS - 1) as u32;
    let vector = Vector { counts, grams: vec![(0, 1.0), (3, -0.5), (last, 2.0)], words: 3, foreign: 0.0 };
    let logits = scorer(head(0.25, 3.0, 4, 2), head(0.0, 0.0, 0, -1)).logits(&vector);
    // 0.25 + 2 × 0.5 × 3 + (1 − 0.5) × 4 × 0.5 + 2 × 2 × 0.25
    assert_eq!(logits, Logits { fails: 5.25, adds: -0.5 });
}

#[test]
fn a_bucket_beyond_all_weighs_nothing() {
    let vector = Vector { counts: [0.0; COUNT], grams: vec![(u32::MAX, 9.0)], words: 1, foreign: 0.0 };
    assert_eq!(scorer(head(1.0, 1.0, 1, 1), head(2.0, 1.0, 1, 1)).logits(&vector), Logits { fails: 1.0, adds: 2.0 });
}

#[test]
fn need_is_the_place_among_the_prompts_of_training() {
    let scorer = scorer(head(0.0, 0.0, 0, 0), head(0.0, 0.0, 0, 0));
    let last = (QUANTILES - 1) as f32;
    assert!((scorer.share_below(last / 2.0) - 0.5).abs() < 1e-9);
    assert!((scorer.share_below(last * 0.8 + 0.5) - 0.8).abs() < 0.01);
    let logits = [-1e9, -40.0, -1.0, 0.0, 0.3, 50.0, 50.1, last, last + 1.0, last + 30.0];
    let shares: Vec<f64> = logits.iter().map(|logit| scorer.share_below(*logit)).collect();
    assert!(shares.windows(2).all(|pair| pair[0] < pair[1] || pair[0] == 0.0), "{shares:?}");
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
}

#[test]
fn equal_quantiles_are_no_division_by_nothing() {
    let mut scorer = scorer(head(0.0, 0.0, 0, 0), head(0.0, 0.0, 0, 0));
    scorer.weights.quantiles = [1.0; QUANTILES];
    for logit in [0.0, 1.0, 2.0] {
        assert!((0.0..=1.0).contains(&scorer.share_below(logit)));
    }
}

#[test]
fn without_a_turn_the_bias_speaks() {
    let scorer = scorer(head(0.0, 9.0, 9, 9), head(100.0, 9.0, 9, 9));
    let score = scorer.score(&Prompt::default());
    assert!((score.fails() - 0.5).abs() < 1e-9 && (score.need() - 0.5).abs() < 1e-9);
}
