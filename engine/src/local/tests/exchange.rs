//! Blocks go from engine to engine in every format, and the scheduler's rules hold.

use protocol::config::{Dtype, KvQuantization};
use protocol::engine::BlockHash;

use super::*;

/// With these options but for the shape.
struct With(EngineOptions);

impl Bench for With {
    fn engine(&self, shape: Shape) -> Box<dyn Engine> {
        let options = EngineOptions {
            kv: KvSize::Blocks(Blocks(shape.blocks.into())),
            block: shape.block,
            context: Some(shape.context),
            step_tokens: shape.step_tokens,
            prefill_chunk: shape.prefill_chunk,
            max_batch: shape.max_batch,
            queue: shape.queue,
            ..self.0.clone()
        };
        Box::new(start(config(), &options))
    }
}

fn formats() -> [EngineOptions; 5] {
    let bf16 = EngineOptions { dtype: Dtype::Bf16, ..options() };
    let int8 = EngineOptions { kv_quantization: KvQuantization::Int8, ..options() };
    let libtorch = EngineOptions { backend: Backend::Libtorch, ..options() };
    [options(), bf16.clone(), int8, libtorch, EngineOptions { backend: Backend::Libtorch, ..bf16 }]
}

#[test]
fn blocks_of_every_format_are_as_good_elsewhere() {
    for options in formats() {
        contract::exported_blocks_answer_alike(&With(options.clone()));
        contract::strange_blocks_are_refused(&With(options.clone()));
        contract::imports_take_nothing_from_jobs(&With(options));
    }
}

#[test]
fn formats_do_not_mix_and_the_pool_stays_sound() {
    let prompt: Vec<u32> = (0..40).collect();
    let hashes: Vec<BlockHash> =
        BlockHash::chain([0; 16], &prompt.iter().copied().map(TokenId).collect::<Vec<_>>(), 8).collect();
    let mut engines: Vec<LocalEngine> = formats().iter().map(|options| start(config(), options)).collect();
    let exported: Vec<_> = engines
        .iter_mut()
        .map(|engine| {
            tokens(engine, job(1, prompt.clone(), 2));
            let mut blocks = Vec::new();
            engine.export_blocks(&hashes, &mut blocks);
            (engine.layout(), blocks)
        })
        .collect();
    for (from, (layout, blocks)) in exported.iter().enumerate() {
        for (to, options) in formats().iter().enumerate() {
            let mut engine = start(config(), options);
            let outcome = engine.import_blocks(layout, blocks.clone());
            assert_eq!(outcome.taken, Blocks(if from == to { 5 } else { 0 }), "from {from} to {to}: {outcome:?}");
            engine.check_rules().unwrap();
        }
    }
}
