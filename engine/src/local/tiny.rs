//! A tiny model of random weights, for tests that need an engine but no sense.

use std::collections::BTreeMap;

use protocol::config::{Dtype, KvQuantization, Quantization};
use protocol::units::Blocks;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use text::bundle::TextBundle;

use crate::options::{Backend, EngineOptions, KvSize};
use crate::source::{
    Architecture, LoadError, ModelConfig, Part, Role, Rope, RopeScaling, Stored, TensorType, WeightSource, Weights,
};

/// Two layers, grouped heads, a tied head.
pub(crate) fn config() -> ModelConfig {
    ModelConfig {
        architecture: Architecture::Llama,
        layers: 2,
        hidden: 32,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        ffn: 48,
        vocabulary: 64,
        context: 256,
        norm_eps: 1e-5,
        rope: Rope { theta: 10_000.0, scaling: RopeScaling::None },
        tied: true,
        qkv_bias: false,
        qk_norm: false,
        window: None,
    }
}

#[derive(Debug)]
pub(crate) struct Tiny {
    config: ModelConfig,
    weights: BTreeMap<Role, Weights>,
}

impl Tiny {
    pub(crate) fn new(config: ModelConfig) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut roles = vec![Role::Embedding, Role::OutputNorm];
        if !config.tied {
            roles.push(Role::Head);
        }
        for layer in 0..config.layers {
            roles.extend(Part::of(&config).into_iter().map(|part| Role::Layer(layer, part)));
        }
        let weights = roles.into_iter().map(|role| {
            let shape = role.shape(&config);
            let norm = shape.len() == 1;
            let data = (0..shape.iter().product::<usize>()).map(|_| {
                let uniform = random.next_u32() as f32 / u32::MAX as f32 - 0.5;
                if norm { 1.0 + uniform } else { uniform }
            });
            (role, Weights { data: data.collect(), shape })
        });
        Self { weights: weights.collect(), config }
    }

    /// Makes one row of the embedding useless, and with it the logits of whoever reads it.
    pub(crate) fn poison(&mut self) {
        let width = self.config.hidden;
        if let Some(embedding) = self.weights.get_mut(&Role::Embedding) {
            let last = embedding.data.len() - width;
            embedding.data[last..].fill(f32::NAN);
        }
    }
}

impl WeightSource for Tiny {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn bundle(&self) -> Result<TextBundle, LoadError> {
        Ok(TextBundle {
            tokenizer_json: "{}".into(),
            chat_template: None,
            bos: None,
            eos: Vec::new(),
            add_bos: false,
            names: text::bundle::TokenNames::default(),
        })
    }

    fn stored(&self, role: Role) -> Result<Option<Stored>, LoadError> {
        Ok(self.weights.get(&role).map(|weights| {
            let bytes = weights.data.iter().flat_map(|float| float.to_le_bytes()).collect();
            Stored { shape: weights.shape.clone(), dtype: TensorType::F32, bytes }
        }))
    }

    fn fingerprint(&self) -> [u8; 32] {
        [7; 32]
    }
}

pub(crate) fn options() -> EngineOptions {
    EngineOptions {
        name: "tiny".into(),
        dtype: Dtype::F32,
        quantization: Quantization::None,
        kv_quantization: KvQuantization::None,
        batch_invariant: true,
        backend: Backend::Kernels,
        device: "cpu".into(),
        kv: KvSize::Blocks(Blocks(64)),
        block: 8,
        context: None,
        step_tokens: 64,
        prefill_chunk: 32,
        max_batch: 16,
        queue: 64,
        threads: Some(1),
        isa: None,
    }
}
