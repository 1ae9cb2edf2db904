use super::*;
use proptest::prelude::*;
use protocol::units::Tokens;

fn limits() -> Limits {
    Limits { max_tokens: Tokens(100), min_tokens: Tokens(0), stop_ids: vec![TokenId(0)] }
}

fn pick(logits: &[f32], sampling: &Sampling, prompt: &[u32], answer: &[u32]) -> Sampled {
    let ids = |list: &[u32]| list.iter().copied().map(TokenId).collect::<Vec<_>>();
    let history = History { prompt: &ids(prompt), answer: &ids(answer) };
    sample(&mut logits.to_vec(), sampling, &limits(), history).unwrap()
}

fn warm(seed: u64) -> Sampling {
    Sampling { temperature: 1.0, seed, ..Sampling::default() }
}

/// Shares of each token over many seeds.
fn shares(logits: &[f32], sampling: &Sampling) -> Vec<f64> {
    const DRAWS: u64 = 20_000;
    let mut counts = vec![0.0; logits.len()];
    for seed in 0..DRAWS {
        counts[pick(logits, &Sampling { seed, ..sampling.clone() }, &[], &[]).token.0 as usize] += 1.0 / DRAWS as f64;
    }
    counts
}

fn softmax(logits: &[f32], temperature: f32) -> Vec<f64> {
    let weights: Vec<f64> = logits.iter().map(|l| f64::from(l / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

fn close(a: &[f64], b: &[f64]) {
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 0.015, "{a} and {b} differ");
    }
}

#[test]
fn greedy_takes_the_best_and_the_lowest_id_of_equals() {
    assert_eq!(pick(&[0.0, 3.0, 3.0, 1.0], &Sampling::default(), &[], &[]).token, TokenId(1));
}

#[test]
fn draws_follow_the_distribution_at_any_temperature() {
    let logits = [0.5, 2.0, -1.0, 1.0, 0.0];
    for temperature in [0.5, 1.0, 1.7] {
        close(&shares(&logits, &Sampling { temperature, ..warm(0) }), &softmax(&logits, temperature));
    }
}

#[test]
fn positions_of_one_answer_are_independent_draws() {
    let logits = [0.0f32; 4];
    let mut counts = [0.0; 4];
    let answer = vec![0; 8_000];
    for length in 0..8_000 {
        counts[pick(&logits, &warm(7), &[], &answer[..length]).token.0 as usize] += 1.0 / 8_000.0;
    }
    close(&counts, &[0.25; 4]);
}

#[test]
fn truncation_keeps_the_right_tokens_and_their_proportions() {
    let logits = [0.0, 3.0, 2.0, 1.0, -1.0];
    let p = softmax(&logits, 1.0);
    let only = |kept: &[usize]| {
        let sum: f64 = kept.iter().map(|i| p[*i]).sum();
        (0..5).map(|i| if kept.contains(&i) { p[i] / sum } else { 0.0 }).collect::<Vec<_>>()
    };
    close(&shares(&logits, &Sampling { top_k: 2, ..warm(0) }), &only(&[1, 2]));
    // 0.636 + 0.234 reach 0.8, the first alone does not.
    close(&shares(&logits, &Sampling { top_p: 0.8, ..warm(0) }), &only(&[1, 2]));
    close(&shares(&logits, &Sampling { top_p: 0.6, ..warm(0) }), &only(&[1]));
    // exp(-1) = 0.37 of the best, exp(-2) = 0.14, exp(-3) = 0.05.
    close(&shares(&logits, &Sampling { min_p: 0.1, ..warm(0) }), &only(&[1, 2, 3]));
    close(&shares(&logits, &Sampling { top_k: 3, min_p: 0.2, ..warm(0) }), &only(&[1, 2]));
}

#[test]
fn penalties_and_bias_change_the_logits_as_documented() {
    let after = |sampling: Sampling| {
        let mut logits = vec![2.0, -2.0, 1.0, 0.5];
        let (prompt, answer) = ([TokenId(0)], [TokenId(1), TokenId(1), TokenId(3)]);
        adjust(&mut logits, &sampling, &limits(), History { prompt: &prompt, answer: &answer });
        logits
    };
    assert_eq!(after(Sampling { repetition_penalty: 2.0, ..Sampling::default() }), [1.0, -4.0, 1.0, 0.25]);
    assert_eq!(after(Sampling { presence_penalty: 0.5, ..Sampling::default() }), [2.0, -2.5, 1.0, 0.0]);
    assert_eq!(after(Sampling { frequency_penalty: 0.5, ..Sampling::default() }), [2.0, -3.0, 1.0, 0.0]);
    assert_eq!(after(Sampling { logit_bias: vec![(TokenId(2), 3.0)], ..Sampling::default() }), [2.0, -2.0, 4.0, 0.5]);
}

#[test]
fn a_stop_token_is_not_chosen_before_min_tokens() {
    let limits = Limits { min_tokens: Tokens(2), ..limits() };
    let choose = |answer: &[TokenId]| {
        sample(&mut [9.0, 1.0], &Sampling::default(), &limits, History { prompt: &[], answer }).unwrap().token
    };
    assert_eq!(choose(&[TokenId(1)]), TokenId(1));
    assert_eq!(choose(&[TokenId(1), TokenId(1)]), TokenId(0));
}

#[test]
fn logprobs_are_of_the_whole_distribution_best_first() {
    let sampled = pick(&[1.0, 3.0, 2.0], &Sampling { logprobs: Some(2), top_k: 1, ..warm(1) }, &[], &[]);
    let logprobs = sampled.logprobs.unwrap();
    let expected = softmax(&[1.0, 3.0, 2.0], 1.0);
    assert_eq!(logprobs.top.iter().map(|t| t.0.0).collect::<Vec<_>>(), [1, 2]);
    assert!((f64::from(logprobs.chosen) - expected[1].ln()).abs() < 1e-5);
    assert!((f64::from(logprobs.top[1].1) - expected[2].ln()).abs() < 1e-5);
}

#[test]
fn logits_that_are_not_numbers_fail_this_job_alone() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let history = History { prompt: &[], answer: &[] };
        assert_eq!(sample(&mut [0.0, bad], &Sampling::default(), &limits(), history), Err(NotFinite));
    }
    let history = History { prompt: &[], answer: &[] };
    assert_eq!(sample(&mut [], &Sampling::default(), &limits(), history), Err(NotFinite));
}

proptest! {
    #[test]
    fn a_seed_and_a_position_decide_and_the_token_is_one_of_those_kept(
        logits in proptest::collection::vec(-20.0f32..20.0, 1..300),
        (seed, top_k, top_p, min_p) in (any::<u64>(), 0u32..50, 0.01f32..=1.0, 0.0f32..0.9),
        answer in proptest::collection::vec(0u32..300, 0..10),
    ) {
        let sampling = Sampling { top_k, top_p, min_p, ..warm(seed) };
        let first = pick(&logits, &sampling, &[], &answer);
        prop_assert_eq!(&first, &pick(&logits, &sampling, &[], &answer));
        let better = logits.iter().filter(|l| **l > logits[first.token.0 as usize]).count();
        if top_k > 0 {
            prop_assert!(better < top_k as usize);
        }
        let highest = logits.iter().copied().fold(f32::MIN, f32::max);
        prop_assert!(f64::from(logits[first.token.0 as usize] - highest).exp() >= f64::from(min_p) * 0.999);
    }
}
