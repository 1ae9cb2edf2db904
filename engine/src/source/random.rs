//! A model of random weights, for measuring without a model file.
//!
//! Rules: a tensor's numbers depend on the seed and its role alone, so they are made anew whenever they
//! are asked for and never lie in memory together. Their spread keeps activations near 1 through all
//! layers: what such a model says has no sense, but no number in it runs away.

use text::bundle::TextBundle;

use super::{Architecture, LoadError, ModelConfig, Part, Role, Rope, RopeScaling, Stored, TensorType, WeightSource};

mod words;

/// Weights out of a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomModel {
    config: ModelConfig,
    seed: u64,
}

impl RandomModel {
    /// A model of some shape. The caller answers for the shape: see [`ModelConfig::check`].
    pub fn new(config: ModelConfig, seed: u64) -> Self {
        Self { config, seed }
    }

    /// The shape of Llama 3.2 1B but for its vocabulary, which is a quarter as large: 1,040,254,976
    /// parameters.
    pub fn llama_1b(seed: u64) -> Self {
        let config = ModelConfig {
            architecture: Architecture::Llama,
            layers: 16,
            hidden: 2_048,
            heads: 32,
            kv_heads: 8,
            head_dim: 64,
            ffn: 8_192,
            vocabulary: 32_768,
            context: 131_072,
            norm_eps: 1e-5,
            rope: Rope {
                theta: 500_000.0,
                scaling: RopeScaling::Llama3 { factor: 32.0, low: 1.0, high: 4.0, original: 8_192.0 },
            },
            tied: true,
            qkv_bias: false,
            qk_norm: false,
            window: None,
        };
        Self::new(config, seed)
    }

    /// How many numbers all tensors have together.
    pub fn parameters(&self) -> u64 {
        let count = |role: Role| role.shape(&self.config).iter().map(|dimension| *dimension as u64).product::<u64>();
        let layer: u64 = Part::of(&self.config).into_iter().map(|part| count(Role::Layer(0, part))).sum();
        let head = if self.config.tied { 0 } else { count(Role::Head) };
        count(Role::Embedding) + count(Role::OutputNorm) + head + layer * self.config.layers as u64
    }

    fn has(&self, role: Role) -> bool {
        match role {
            Role::Embedding | Role::OutputNorm => true,
            Role::Head => !self.config.tied,
            Role::Layer(layer, part) => layer < self.config.layers && Part::of(&self.config).contains(&part),
        }
    }

    /// What tells this tensor from all others, of this seed and of others.
    fn key(&self, role: Role) -> u64 {
        let hash = blake3::hash(format!("{} {role:?}", self.seed).as_bytes());
        hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl WeightSource for RandomModel {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn bundle(&self) -> Result<TextBundle, LoadError> {
        Ok(words::bundle(self.config.vocabulary))
    }

    fn stored(&self, role: Role) -> Result<Option<Stored>, LoadError> {
        if !self.has(role) {
            return Ok(None);
        }
        let shape = role.shape(&self.config);
        let mut bytes = vec![0; 2 * shape.iter().product::<usize>()];
        if is_norm(role) {
            for one in bytes.as_chunks_mut::<2>().0 {
                *one = half::bf16::ONE.to_le_bytes();
            }
        } else {
            // A bias is added to sums over the width of the stream, as a row of a matrix is.
            let inputs = if shape.len() == 1 { self.config.hidden } else { shape.last().copied().unwrap_or(1) };
            fill(&mut bytes, self.key(role), (3.0 / inputs as f32).sqrt());
        }
        Ok(Some(Stored { shape, dtype: TensorType::BF16, bytes }))
    }

    fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(format!("random {} {:?}", self.seed, self.config).as_bytes()).as_bytes()
    }
}

fn is_norm(role: Role) -> bool {
    use Part::{AttentionNorm, FfnNorm, KNorm, QNorm};
    matches!(role, Role::OutputNorm | Role::Layer(_, AttentionNorm | FfnNorm | QNorm | KNorm))
}

/// Words that share a pair of keys; each holds two numbers.
const RUN: usize = 1 << 16;

/// Fills with BF16 numbers, uniform between `-bound` and `bound`.
fn fill(bytes: &mut [u8], key: u64, bound: f32) {
    // Sixteen bits a number: BF16 keeps fewer.
    let step = bound / 32_768.0;
    for (run, bytes) in (0u64..).zip(bytes.chunks_mut(4 * RUN)) {
        let keys = mix(key.wrapping_add(run.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let (first, second) = (keys as u32, (keys >> 32) as u32);
        let (pairs, last) = bytes.as_chunks_mut::<4>();
        let count = pairs.len() as u32;
        for (counter, pair) in (0..count).zip(pairs) {
            *pair = two_numbers(word(counter, first, second), step).to_le_bytes();
        }
        if let Some(last) = last.first_chunk_mut::<2>() {
            *last = (two_numbers(word(count, first, second), step) as u16).to_le_bytes();
        }
    }
}

/// Mixes a counter with two keys. The rounds are those of "lowbias32" (C. Wellons, Hash Prospector, 2018).
fn word(counter: u32, first: u32, second: u32) -> u32 {
    let mut x = counter.wrapping_add(first);
    x = (x ^ x >> 16).wrapping_mul(0x7feb_352d) ^ second;
    x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

/// The last step of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The halves of a word, each as a BF16 number.
fn two_numbers(word: u32, step: f32) -> u32 {
    let number = |half: u32| {
        let float = (half as i32 as f32 - 32_767.5) * step;
        float.to_bits().wrapping_add(0x8000) >> 16
    };
    number(word & 0xffff) | number(word >> 16) << 16
}

#[cfg(test)]
mod tests;
