//! The sampler against its definition, written down as slowly and plainly as possible: double
//! precision, everything sorted.
//!
//! Both must agree but for rounding, which can matter in three places. The share p may be reached one
//! token sooner or later, and a token may be just above or below min-p: the definition is tried with both
//! moved by [`MARGIN`] either way. The random number may fall on the border of two tokens: so near to it
//! the neighbour counts as well.

use std::collections::HashMap;

use super::*;

const MARGIN: f64 = 1e-5;

/// The logits after bias, bans and penalties, as the definition has it.
fn adjusted(logits: &[f32], sampling: &Sampling, limits: &Limits, history: History<'_>) -> Vec<f32> {
    let mut logits: HashMap<u32, f32> = (0u32..).zip(logits.iter().copied()).collect();
    for (token, bias) in &sampling.logit_bias {
        logits.entry(token.0).and_modify(|logit| *logit += bias);
    }
    if (history.answer.len() as u64) < limits.min_tokens.0 {
        for token in &limits.stop_ids {
            logits.entry(token.0).and_modify(|logit| *logit = f32::NEG_INFINITY);
        }
    }
    for (id, logit) in &mut logits {
        let in_answer = history.answer.iter().filter(|token| token.0 == *id).count();
        if in_answer > 0 || history.prompt.contains(&TokenId(*id)) {
            let penalty = sampling.repetition_penalty;
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
        if in_answer > 0 {
            *logit -= sampling.presence_penalty + sampling.frequency_penalty * in_answer as f32;
        }
    }
    (0..logits.len() as u32).map(|id| logits[&id]).collect()
}

/// Ids, the most probable first.
fn sorted(logits: &[f32]) -> Vec<usize> {
    let mut ids: Vec<usize> = (0..logits.len()).collect();
    ids.sort_by(|a, b| logits[*b].partial_cmp(&logits[*a]).unwrap().then(a.cmp(b)));
    ids
}

/// The probability of each id that may be drawn, by the definition of the truncations.
fn distribution(logits: &[f32], sampling: &Sampling, top_p: f64, min_p: f64) -> Vec<f64> {
    let mut kept = sorted(logits);
    kept.retain(|id| logits[*id] > f32::NEG_INFINITY);
    let best = kept[0];
    let weight =
        |id: usize| ((f64::from(logits[id]) - f64::from(logits[best])) / f64::from(sampling.temperature)).exp();
    if sampling.top_k > 0 {
        kept.truncate(sampling.top_k as usize);
    }
    if sampling.top_p < 1.0 {
        let needed = top_p * kept.iter().map(|id| weight(*id)).sum::<f64>();
        let mut sum = 0.0;
        let reached = kept.iter().position(|id| {
            sum += weight(*id);
            sum >= needed
        });
        kept.truncate(reached.map_or(kept.len(), |last| last + 1));
    }
    kept.retain(|id| *id == best || weight(*id) >= min_p);
    let total: f64 = kept.iter().map(|id| weight(*id)).sum();
    let mut shares = vec![0.0; logits.len()];
    for id in kept {
        shares[id] = weight(id) / total;
    }
    shares
}

/// Whether the definition draws this token with this random number, within the margins.
fn may_draw(logits: &[f32], sampling: &Sampling, random: f64, token: usize) -> bool {
    let (top_p, min_p) = (f64::from(sampling.top_p), f64::from(sampling.min_p));
    let around = [1.0, 1.0 - MARGIN, 1.0 + MARGIN];
    around.iter().any(|by_p| {
        around.iter().any(|by_min| {
            let shares = distribution(logits, sampling, top_p * by_p, min_p * by_min);
            let before: f64 = shares[..token].iter().sum();
            shares[token] > 0.0 && random >= before - MARGIN && random <= before + shares[token] + MARGIN
        })
    })
}

/// Samples and compares all that comes out.
fn compare(logits: &[f32], sampling: &Sampling, limits: &Limits, history: History<'_>) {
    let mut sampler = Sampler::new(logits.len());
    let result = sampler.sample(&mut logits.to_vec(), sampling, limits, history);
    // What the sampler keeps from call to call is memory alone.
    assert_eq!(sampler.sample(&mut logits.to_vec(), sampling, limits, history), result);

    let logits = adjusted(logits, sampling, limits, history);
    let best = sorted(&logits)[0];
    if logits[best] == f32::NEG_INFINITY {
        assert_eq!(result, Err(NotFinite));
        return;
    }
    let sampled = result.unwrap();
    let token = sampled.token.0 as usize;
    if sampling.temperature > 0.0 {
        let random = uniform(sampling.seed, history.answer.len() as u64);
        assert!(may_draw(&logits, sampling, random, token), "{token} with {random}");
    } else {
        assert_eq!(token, best);
    }

    assert_eq!(sampled.logprobs.is_some(), sampling.logprobs.is_some());
    if let Some(logprobs) = sampled.logprobs {
        let top = f64::from(logits[best]);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - top).exp()).sum();
        let near = |logprob: f32, id: usize| {
            let exact = f64::from(logits[id]) - top - sum.ln();
            f64::from(logprob) == exact || (f64::from(logprob) - exact).abs() < 1e-5
        };
        assert!(near(logprobs.chosen, token));
        let count = usize::from(sampling.logprobs.unwrap_or(0));
        let ids: Vec<usize> = logprobs.top.iter().map(|(token, _)| token.0 as usize).collect();
        assert_eq!(ids, sorted(&logits).into_iter().take(count).collect::<Vec<_>>());
        assert!(logprobs.top.iter().all(|(token, logprob)| near(*logprob, token.0 as usize)));
    }
}

/// Off in half of the cases, so that all combinations occur.
fn or_off<T: Clone + std::fmt::Debug + 'static>(off: T, on: impl Strategy<Value = T> + 'static) -> BoxedStrategy<T> {
    prop_oneof![Just(off), on].boxed()
}

fn samplings(ids: u32) -> impl Strategy<Value = Sampling> {
    let temperature = prop_oneof![Just(0.0f32), Just(1.0), Just(1e-6), Just(50.0), 0.05f32..3.0];
    let truncation = (or_off(0, 1u32..60), or_off(1.0, 0.001f32..1.0), or_off(0.0, 0.0001f32..=1.0));
    let penalties = (or_off(1.0, 0.5f32..2.0), or_off(0.0, -2.0f32..2.0), or_off(0.0, -2.0f32..2.0));
    let bias = prop_oneof![Just(f32::NEG_INFINITY), -10.0f32..10.0];
    let bias = or_off(Vec::new(), proptest::collection::vec((0..ids, bias), 0..20));
    let rest = (any::<u64>(), proptest::option::of(0u8..12));
    (temperature, truncation, penalties, bias, rest).prop_map(|(temperature, truncation, penalties, bias, rest)| {
        Sampling {
            temperature,
            top_k: truncation.0,
            top_p: truncation.1,
            min_p: truncation.2,
            repetition_penalty: penalties.0,
            presence_penalty: penalties.1,
            frequency_penalty: penalties.2,
            logit_bias: bias.into_iter().map(|(id, bias)| (TokenId(id), bias)).collect(),
            seed: rest.0,
            logprobs: rest.1,
        }
    })
}

/// Logits that all differ, or that are often equal.
fn logits(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f32>> {
    let few_values = (-6i8..6).prop_map(|step| f32::from(step) * 0.5);
    prop_oneof![
        proptest::collection::vec(-20.0f32..20.0, count.clone()),
        proptest::collection::vec(-2.0f32..2.0, count.clone()),
        proptest::collection::vec(few_values, count),
    ]
}

fn tokens(ids: u32) -> impl Strategy<Value = Vec<TokenId>> {
    proptest::collection::vec((0..ids).prop_map(TokenId), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn it_does_what_its_definition_says(
        logits in logits(1..400),
        sampling in samplings(400),
        (prompt, answer, stop_ids) in (tokens(410), tokens(410), tokens(400)),
        min_tokens in 0u64..20,
    ) {
        let limits = Limits { max_tokens: Tokens(100), min_tokens: Tokens(min_tokens), stop_ids };
        compare(&logits, &sampling, &limits, History { prompt: &prompt, answer: &answer });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn it_does_so_for_large_vocabularies(
        (seed, spread) in (any::<u32>(), prop_oneof![Just(0.3f32), Just(2.5), Just(8.0)]),
        sampling in samplings(40_000),
        top_k in prop_oneof![Just(0u32), Just(50), Just(313), Just(2_000)],
        answer in tokens(40_000),
    ) {
        // Bell-shaped, as a model's are: sums of bytes of a cheap hash.
        let logits: Vec<f32> = (0..40_000u32)
            .map(|id| {
                let hash = blake3::hash(&[id.to_le_bytes(), seed.to_le_bytes()].concat());
                let sum: u32 = hash.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
                (sum as f32 - 4_080.0) / 418.0 * spread
            })
            .collect();
        compare(&logits, &Sampling { top_k, ..sampling }, &limits(), History { prompt: &[], answer: &answer });
    }
}
