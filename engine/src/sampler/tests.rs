use super::*;
use proptest::prelude::*;
use protocol::units::Tokens;

mod allocations;
mod large;
mod reference;

fn limits() -> Limits {
    Limits { max_tokens: Tokens(100), min_tokens: Tokens(0), stop_ids: vec![TokenId(0)] }
}

fn pick(logits: &[f32], sampling: &Sampling, prompt: &[u32], answer: &[u32]) -> Sampled {
    let ids = |list: &[u32]| list.iter().copied().map(TokenId).collect::<Vec<_>>();
    let history = History { prompt: &ids(prompt), answer: &ids(answer) };
    Sampler::new(logits.len()).sample(&mut logits.to_vec(), sampling, &limits(), history).unwrap()
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
        let history = History { prompt: &prompt, answer: &answer };
        adjust(&mut logits, &mut Counts::new(4), &sampling, &limits(), history).unwrap();
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
        let history = History { prompt: &[], answer };
        Sampler::new(2).sample(&mut [9.0, 1.0], &Sampling::default(), &limits, history).unwrap().token
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

fn try_greedy(logits: &[f32], bias: Vec<(TokenId, f32)>) -> Result<TokenId, NotFinite> {
    let sampling = Sampling { logit_bias: bias, ..Sampling::default() };
    let history = History { prompt: &[], answer: &[] };
    Sampler::new(2).sample(&mut logits.to_vec(), &sampling, &limits(), history).map(|sampled| sampled.token)
}

#[test]
fn logits_that_are_not_numbers_fail_this_job_alone() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(try_greedy(&[0.0, bad], Vec::new()), Err(NotFinite));
        // Wherever it is among whole vectors and rests.
        for place in 0..300 {
            let mut logits = [1.0; 300];
            logits[place] = bad;
            assert_eq!(try_greedy(&logits, Vec::new()), Err(NotFinite), "{bad} at {place}");
        }
    }
    assert_eq!(try_greedy(&[], Vec::new()), Err(NotFinite));
}

#[test]
fn a_bias_may_ban_tokens_but_neither_all_nor_spoil_the_logits() {
    let ban = |token| (TokenId(token), f32::NEG_INFINITY);
    assert_eq!(try_greedy(&[5.0, 1.0], vec![ban(0)]), Ok(TokenId(1)));
    assert_eq!(try_greedy(&[5.0, 1.0], vec![ban(0), ban(7)]), Ok(TokenId(1)));
    assert_eq!(try_greedy(&[5.0, 1.0], vec![ban(0), ban(1)]), Err(NotFinite));
    assert_eq!(try_greedy(&[5.0, 1.0], vec![(TokenId(0), f32::INFINITY)]), Err(NotFinite));
    assert_eq!(try_greedy(&[5.0, 1.0], vec![(TokenId(1), f32::NAN)]), Err(NotFinite));
}

#[test]
fn random_numbers_are_those_of_earlier_releases() {
    // A migrated answer goes on as it began only if all nodes agree on these.
    assert_eq!(uniform(0, 0), 0.7090754154265618);
    assert_eq!(uniform(7, 3), 0.18154186395125538);
    assert_eq!(uniform(u64::MAX, 1 << 40), 0.9613713992109447);
}

#[test]
fn whatever_leaves_one_token_gives_the_greedy_one() {
    let logits: Vec<f32> = (0..1000).map(|id| ((id * 37) % 1000) as f32 * 0.01).collect();
    let greedy = pick(&logits, &Sampling::default(), &[], &[]);
    for seed in 0..50 {
        let warm = warm(seed);
        for sampling in [
            Sampling { top_k: 1, ..warm.clone() },
            Sampling { top_p: 1e-9, ..warm.clone() },
            Sampling { top_p: 0.0, ..warm.clone() },
            Sampling { min_p: 1.0, ..warm.clone() },
            Sampling { temperature: 1e-6, ..warm.clone() },
            Sampling { temperature: 1e-45, top_p: 0.9, ..warm.clone() },
            Sampling {
                logit_bias: (0..999)
                    .filter(|id| *id != greedy.token.0)
                    .map(|id| (TokenId(id), f32::NEG_INFINITY))
                    .collect(),
                top_k: 1,
                ..warm.clone()
            },
        ] {
            assert_eq!(pick(&logits, &sampling, &[], &[]), greedy, "{sampling:?}");
        }
    }
}

#[test]
fn a_token_that_is_alone_or_alone_not_banned_is_always_drawn() {
    let bias = (0..700).filter(|id| *id != 650).map(|id| (TokenId(id), f32::NEG_INFINITY)).collect();
    let banned = Sampling { logit_bias: bias, ..Sampling::default() };
    for temperature in [0.0, 1e-6, 1.0, 1e30, f32::INFINITY] {
        for (top_k, top_p, min_p) in [(0, 1.0, 0.0), (5, 1.0, 0.0), (0, 0.9, 0.0), (0, 1.0, 0.1), (400, 0.5, 0.5)] {
            let sampling = Sampling { temperature, top_k, top_p, min_p, ..Sampling::default() };
            assert_eq!(pick(&[-3.0], &sampling, &[], &[]).token, TokenId(0));
            let sampling = Sampling { logit_bias: banned.logit_bias.clone(), ..sampling };
            assert_eq!(pick(&[0.5; 700], &sampling, &[], &[]).token, TokenId(650));
        }
    }
}

#[test]
fn no_temperature_and_no_logit_overflows() {
    let logits = [f32::MAX, f32::MIN, 0.0, 1e38, -1e38];
    for temperature in [f32::from_bits(1), 1e-30, 1.0, 1e30] {
        close(&shares(&logits, &Sampling { temperature, ..warm(0) }), &[1.0, 0.0, 0.0, 0.0, 0.0]);
    }
    for temperature in [1e30, f32::MAX, f32::INFINITY] {
        close(&shares(&[3.0, -3.0, 0.0, 9.0], &Sampling { temperature, ..warm(0) }), &[0.25; 4]);
    }
    // Equals share what greedy gives to the first.
    close(&shares(&[1.0, 2.0, 2.0], &Sampling { temperature: 1e-6, ..warm(0) }), &[0.0, 0.5, 0.5]);
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
