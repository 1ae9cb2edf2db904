//! What a step costs beside its arithmetic.

use super::*;
use protocol::config::{KvQuantization, Quantization};

/// Decoding takes its memory before it begins: from then on a step allocates nothing, however it chooses.
#[test]
fn a_decode_step_allocates_nothing() {
    let formats = [(Quantization::None, KvQuantization::None), (Quantization::Int4, KvQuantization::Int8)];
    for (quantization, kv_quantization) in formats {
        let options = EngineOptions { quantization, kv_quantization, step_tokens: 256, ..options() };
        let mut engine = start(config(), &options);
        for number in 0..12u128 {
            let mut job = job(number, vec![1 + number as u32; 9], 100);
            job.sampling.temperature = [0.0, 0.8][number as usize % 2];
            job.sampling.top_p = [1.0, 0.9][number as usize / 2 % 2];
            job.sampling.presence_penalty = [0.0, 0.5][number as usize / 4 % 2];
            engine.admit(job).unwrap();
        }
        let mut events = Vec::with_capacity(64);
        for _ in 0..6 {
            events.clear();
            engine.step(&mut events).unwrap();
        }
        let cost = allocation_counter::measure(|| {
            // Across the ends of blocks.
            for _ in 0..20 {
                events.clear();
                engine.step(&mut events).unwrap();
            }
        });
        assert_eq!(events.len(), 12);
        assert_eq!(cost.count_total, 0, "{quantization:?} {kv_quantization:?}: {cost:?}");
    }
}
