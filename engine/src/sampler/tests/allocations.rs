//! The hot loop allocates nothing.

use super::*;

#[test]
fn nothing_is_allocated_for_a_token_after_the_first() {
    let logits: Vec<f32> = (0..49_152u32).map(|id| (id.wrapping_mul(2_654_435_761) >> 20) as f32 * 0.002).collect();
    let history: Vec<TokenId> = (0..2_000).map(|id| TokenId(id * 13 % 500)).collect();
    let warm = warm(3);
    for sampling in [
        Sampling::default(),
        warm.clone(),
        Sampling { top_k: 50, ..warm.clone() },
        Sampling { top_k: 5_000, ..warm.clone() },
        Sampling { top_p: 0.5, ..warm.clone() },
        Sampling { top_p: 0.999, ..warm.clone() },
        Sampling { top_k: 50, top_p: 0.9, ..warm.clone() },
        Sampling { min_p: 0.01, ..warm.clone() },
        Sampling { repetition_penalty: 1.2, presence_penalty: 0.1, frequency_penalty: 0.1, ..warm.clone() },
        Sampling { logit_bias: vec![(TokenId(5), 1.0)], ..warm.clone() },
    ] {
        let mut sampler = Sampler::new(logits.len());
        let mut row = logits.clone();
        let limits = limits();
        for count in 0..3 {
            row.copy_from_slice(&logits);
            let history = History { prompt: &history, answer: &history[..1_000 + count] };
            let allocated =
                allocation_counter::measure(|| assert!(sampler.sample(&mut row, &sampling, &limits, history).is_ok()));
            assert_eq!((allocated.count_total, count > 0), (0, count > 0), "{sampling:?}");
        }
    }
}
