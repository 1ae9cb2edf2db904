//! Vocabularies of the size that models have.

use super::*;

const LARGE: usize = 256_000;

#[test]
fn the_best_of_many_is_found_in_any_place() {
    for place in [0, 15, 16, 127, 128, 129, 131_071, LARGE - 129, LARGE - 1] {
        let mut logits = vec![-1.0; LARGE];
        logits[place] = 0.5;
        assert_eq!(pick(&logits, &Sampling::default(), &[], &[]).token, id(place));
        // Its twin has a higher id.
        logits[LARGE - 1] = 0.5;
        assert_eq!(pick(&logits, &Sampling::default(), &[], &[]).token, id(place));
    }
    assert_eq!(pick(&[-0.0, 0.0], &Sampling::default(), &[], &[]).token, TokenId(0));
}

#[test]
fn of_equals_truncation_keeps_the_lowest_ids() {
    let (mut sampler, mut row) = (Sampler::new(LARGE), vec![0.25; LARGE]);
    let mut highest_of = |sampling: &Sampling| {
        let mut draw = |seed| {
            let sampling = Sampling { seed, ..sampling.clone() };
            sampler.sample(&mut row, &sampling, &limits(), History { prompt: &[], answer: &[] }).unwrap().token.0
        };
        (0..60).map(&mut draw).max()
    };
    // Of 60 draws the highest id is near the end of what is kept, and never behind it.
    for kept in [1, 3, 130, 5_000, 200_000] {
        let highest = highest_of(&Sampling { top_k: kept, ..warm(0) }).unwrap();
        assert!(highest < kept && highest >= kept * 9 / 10, "{highest} of {kept}");
    }
    for (top_p, kept) in [(1e-6, 1), (0.25, 64_000), (0.5, 128_000)] {
        let highest = highest_of(&Sampling { top_p, ..warm(0) }).unwrap();
        assert!(highest < kept && highest >= kept * 9 / 10, "{highest} of {kept}");
    }
    for (top_k, top_p, kept) in [(1_000, 0.5, 500), (10, 0.5, 5)] {
        let highest = highest_of(&Sampling { top_k, top_p, ..warm(0) }).unwrap();
        assert!(highest < kept && highest >= kept * 9 / 10 - 1, "{highest} of {kept}");
    }
    assert!(highest_of(&Sampling { min_p: 1.0, ..warm(0) }).unwrap() > 240_000);
}

#[test]
fn draws_from_many_tokens_pass_a_chi_square_test() {
    // Classes of ids with probabilities that differ; 40 000 draws.
    const CLASSES: usize = 32;
    let logits: Vec<f32> = (0..49_152).map(|id| (id % CLASSES) as f32 * 0.1).collect();
    let (mut sampler, mut row) = (Sampler::new(logits.len()), logits.clone());
    let probabilities = softmax(&logits[..CLASSES], 1.3);
    let mut counts = [0.0; CLASSES];
    for seed in 0..40_000 {
        row.copy_from_slice(&logits);
        let sampling = Sampling { temperature: 1.3, ..warm(seed) };
        let sampled = sampler.sample(&mut row, &sampling, &limits(), History { prompt: &[], answer: &[] }).unwrap();
        counts[sampled.token.0 as usize % CLASSES] += 1.0;
    }
    let expected = probabilities.iter().map(|p| p * 40_000.0);
    let chi_square: f64 = counts.iter().zip(expected).map(|(n, e)| (n - e) * (n - e) / e).sum();
    // 31 degrees of freedom: above 61 in one of a thousand cases, and below 9 as rarely.
    assert!((9.0..61.0).contains(&chi_square), "{chi_square}");
}
