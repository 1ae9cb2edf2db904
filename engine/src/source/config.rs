//! The numbers of a model, checked so that everything after them may rely on them.

/// Families of decoders that are one model with switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama 2 and 3, SmolLM2, TinyLlama, Yi.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Qwen 2 and 2.5: biases on q, k and v.
    Qwen2,
    /// Qwen 3: norms on q and k.
    Qwen3,
}

impl Architecture {
    /// As it stands in a card.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// How positions are stretched beyond what a model was trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All frequencies divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided, high ones kept, those between interpolated.
    Llama3 {
        /// The factor of low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are divided.
        low: f64,
        /// Wavelengths below `original / high` are kept.
        high: f64,
        /// The context it was trained on.
        original: f64,
    },
    /// A divisor for each frequency, as GGUF files of Llama 3.1 hold it.
    Factors(Vec<f32>),
}

/// Rotary positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f64,
    /// How they are stretched.
    pub scaling: RopeScaling,
}

/// A decoder's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Its family.
    pub architecture: Architecture,
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub ffn: usize,
    /// Ids are below this.
    pub vocabulary: usize,
    /// The longest prompt and answer together.
    pub context: usize,
    /// Of the RMS norms.
    pub norm_eps: f64,
    /// Rotary positions.
    pub rope: Rope,
    /// The embedding is the head too.
    pub tied: bool,
    /// q, k and v have biases.
    pub qkv_bias: bool,
    /// q and k are normed per head.
    pub qk_norm: bool,
    /// Attention looks so far back; all the way if none.
    pub window: Option<usize>,
}

/// A key of a model's configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct ConfigFault {
    /// As the file names it.
    pub key: String,
    /// The value, and what it should be.
    pub problem: String,
}

impl ConfigFault {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

/// No model comes near these; they keep products of them far from overflow.
const MOST: usize = 1 << 26;
const MOST_LAYERS: usize = 4096;

impl ModelConfig {
    /// Refuses numbers that contradict each other. `key` turns a field's name into the file's own.
    ///
    /// # Errors
    /// The first key that cannot be.
    pub fn check(&self, key: impl Fn(&'static str) -> String) -> Result<(), ConfigFault> {
        for (field, value, most) in [
            ("layers", self.layers, MOST_LAYERS),
            ("hidden", self.hidden, MOST),
            ("heads", self.heads, MOST_LAYERS),
            ("kv_heads", self.kv_heads, MOST_LAYERS),
            ("head_dim", self.head_dim, MOST_LAYERS),
            ("ffn", self.ffn, MOST),
            ("vocabulary", self.vocabulary, MOST),
            ("context", self.context, MOST),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigFault::new(key(field), format!("is {value}: expected 1 to {most}")));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ConfigFault::new(
                key("kv_heads"),
                format!("is {}, which does not divide the number of heads, {}", self.kv_heads, self.heads),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ConfigFault::new(key("head_dim"), format!("is {}: it must be even", self.head_dim)));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return Err(ConfigFault::new(
                key("norm_eps"),
                format!("is {}: expected a number between 0 and 1", self.norm_eps),
            ));
        }
        if !(self.rope.theta.is_finite() && self.rope.theta >= 1.0) {
            return Err(ConfigFault::new(key("theta"), format!("is {}: expected at least 1", self.rope.theta)));
        }
        if self.window == Some(0) {
            return Err(ConfigFault::new(key("window"), "is 0: expected at least 1"));
        }
        self.check_scaling(key)
    }

    fn check_scaling(&self, key: impl Fn(&'static str) -> String) -> Result<(), ConfigFault> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let fine = match &self.rope.scaling {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => positive(*factor),
            RopeScaling::Llama3 { factor, low, high, original } => {
                positive(*factor) && positive(*low) && positive(*high) && positive(*original) && high > low
            }
            RopeScaling::Factors(factors) => {
                factors.len() == self.head_dim / 2 && factors.iter().all(|factor| positive(f64::from(*factor)))
            }
        };
        if fine {
            Ok(())
        } else {
            Err(ConfigFault::new(key("scaling"), format!("cannot be used: {:?}", self.rope.scaling)))
        }
    }
}
