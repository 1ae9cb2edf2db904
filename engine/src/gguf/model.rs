//! A GGUF file as a model: what its keys and tensors mean.

use std::path::{Path, PathBuf};

use text::bundle::TextBundle;
use text::gguf_vocab::GgufVocab;

use super::dequant::SUPPORTED;
use super::{Gguf, TensorType, Value};
use crate::source::{
    Architecture, ConfigFault, LoadError, ModelConfig, Part, Role, Rope, RopeScaling, Stored, WeightSource,
    refuse_biases,
};

/// Files in several parts name how many in this key.
const SPLIT_COUNT: &str = "split.count";
const ROPE_FACTORS: &str = "rope_freqs.weight";
/// Bytes of each tensor that go into the fingerprint.
const SAMPLE: u64 = 64;

/// An open GGUF model.
#[derive(Debug)]
pub struct GgufModel {
    path: PathBuf,
    file: Gguf,
    config: ModelConfig,
}

impl GgufModel {
    /// Opens a file and reads its configuration.
    ///
    /// # Errors
    /// A damaged file, or a model of a kind that is not supported.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        let file = Gguf::open(path).map_err(io)?.map_err(|error| LoadError::Gguf { path: path.to_owned(), error })?;
        Self::new(path, file)
    }

    pub(super) fn new(path: &Path, file: Gguf) -> Result<Self, LoadError> {
        let config = configure(&file).map_err(|fault| LoadError::Config { path: path.to_owned(), fault })?;
        let mut model = Self { path: path.to_owned(), file, config };
        if model.file.tensors.contains_key(ROPE_FACTORS) {
            let expected = vec![model.config.head_dim / 2];
            model.config.rope.scaling = RopeScaling::Factors(model.read(ROPE_FACTORS, &expected)?.widen().data);
        }
        Ok(model)
    }

    fn read(&self, name: &str, expected: &[usize]) -> Result<Stored, LoadError> {
        let missing = || LoadError::Missing { path: self.path.clone(), name: name.to_owned() };
        let info = self.file.tensors.get(name).ok_or_else(missing)?;
        if info.shape != expected {
            return Err(LoadError::Shape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: info.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        let dtype = info.dtype.map_err(|number| LoadError::Dtype {
            path: self.path.clone(),
            name: name.to_owned(),
            dtype: TensorType::name_of(number),
            supported: SUPPORTED,
        })?;
        let bytes = self.file.tensor_bytes(name).map_err(|error| LoadError::tensor_io(&self.path, name, &error))?;
        Ok(Stored { shape: info.shape.clone(), dtype, bytes })
    }
}

impl WeightSource for GgufModel {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn bundle(&self) -> Result<TextBundle, LoadError> {
        vocabulary(&self.file)
            .bundle()
            .map_err(|error| LoadError::Tokenizer { path: self.path.clone(), problem: error.to_string() })
    }

    fn stored(&self, role: Role) -> Result<Option<Stored>, LoadError> {
        let name = tensor_name(role);
        if !self.file.tensors.contains_key(&name) {
            return Ok(None);
        }
        let mut stored = self.read(&name, &role.shape(&self.config))?;
        // Files of this family hold rotary rows in interleaved pairs.
        if self.config.architecture == Architecture::Llama && matches!(role, Role::Layer(_, Part::Q | Part::K)) {
            stored.split_halves(self.config.head_dim);
        }
        Ok(Some(stored))
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", self.config).as_bytes());
        for (name, info) in &self.file.tensors {
            hasher.update(format!("{name}\0{:?}{:?}", info.shape, info.dtype).as_bytes());
            hasher.update(&self.file.tensor_sample(name, SAMPLE).unwrap_or_default());
        }
        *hasher.finalize().as_bytes()
    }
}

fn tensor_name(role: Role) -> String {
    match role {
        Role::Embedding => "token_embd.weight".into(),
        Role::OutputNorm => "output_norm.weight".into(),
        Role::Head => "output.weight".into(),
        Role::Layer(layer, part) => {
            let name = match part {
                Part::AttentionNorm => "attn_norm.weight",
                Part::Q => "attn_q.weight",
                Part::K => "attn_k.weight",
                Part::V => "attn_v.weight",
                Part::QBias => "attn_q.bias",
                Part::KBias => "attn_k.bias",
                Part::VBias => "attn_v.bias",
                Part::QNorm => "attn_q_norm.weight",
                Part::KNorm => "attn_k_norm.weight",
                Part::Output => "attn_output.weight",
                Part::FfnNorm => "ffn_norm.weight",
                Part::Gate => "ffn_gate.weight",
                Part::Up => "ffn_up.weight",
                Part::Down => "ffn_down.weight",
            };
            format!("blk.{layer}.{name}")
        }
    }
}

fn configure(file: &Gguf) -> Result<ModelConfig, ConfigFault> {
    if let Some(count) = file.metadata.get(SPLIT_COUNT).and_then(Value::as_u64)
        && count > 1
    {
        return Err(ConfigFault::new(SPLIT_COUNT, format!("is {count}: merge the parts into one file first")));
    }
    let family = file.metadata.get("general.architecture").and_then(Value::as_text).unwrap_or_default();
    let architecture = match family {
        "llama" => Architecture::Llama,
        "qwen2" => Architecture::Qwen2,
        "" => return Err(ConfigFault::new("general.architecture", "is missing")),
        other => {
            return Err(ConfigFault::new(
                "general.architecture",
                format!("is '{other}': 'llama' and 'qwen2' are supported"),
            ));
        }
    };
    let keys = Keys { file, family };
    if let Some(experts) = keys.optional_size("expert_count")?
        && experts > 0
    {
        return Err(ConfigFault::new(
            keys.name("expert_count"),
            format!("is {experts}: models of experts are not supported"),
        ));
    }
    refuse_biases(file.tensors.keys(), &["attn_q", "attn_k", "attn_v"])?;
    let embedding = file.tensors.get("token_embd.weight").and_then(|info| info.shape.first().copied());
    let heads = keys.size("attention.head_count")?;
    let hidden = keys.size("embedding_length")?;
    let head_dim = match keys.optional_size("attention.key_length")? {
        Some(width) => width,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            let problem = format!("is {heads}, which does not divide the width, {hidden}");
            return Err(ConfigFault::new(keys.name("attention.head_count"), problem));
        }
    };
    for (key, expected) in [("attention.value_length", head_dim), ("rope.dimension_count", head_dim)] {
        if let Some(value) = keys.optional_size(key)?
            && value != expected
        {
            return Err(ConfigFault::new(
                keys.name(key),
                format!("is {value}: only {expected}, the width of a head, is supported"),
            ));
        }
    }
    let config = ModelConfig {
        architecture,
        layers: keys.size("block_count")?,
        hidden,
        heads,
        kv_heads: keys.optional_size("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        ffn: keys.size("feed_forward_length")?,
        vocabulary: embedding
            .ok_or_else(|| ConfigFault::new("token_embd.weight", "is missing: the file holds no model"))?,
        context: keys.size("context_length")?,
        norm_eps: keys.float("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
        rope: Rope { theta: keys.float("rope.freq_base")?.unwrap_or(10_000.0), scaling: keys.scaling()? },
        tied: !file.tensors.contains_key("output.weight"),
        qkv_bias: file.tensors.contains_key("blk.0.attn_q.bias"),
        qk_norm: file.tensors.contains_key("blk.0.attn_q_norm.weight"),
        window: keys.optional_size("attention.sliding_window")?,
    };
    config.check(|field| keys.of_field(field))?;
    Ok(config)
}

/// The keys of one family.
struct Keys<'a> {
    file: &'a Gguf,
    family: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.family)
    }

    fn of_field(&self, field: &str) -> String {
        self.name(match field {
            "layers" => "block_count",
            "hidden" => "embedding_length",
            "heads" => "attention.head_count",
            "kv_heads" => "attention.head_count_kv",
            "head_dim" => "attention.key_length",
            "ffn" => "feed_forward_length",
            "vocabulary" => "vocab_size",
            "context" => "context_length",
            "norm_eps" => "attention.layer_norm_rms_epsilon",
            "theta" => "rope.freq_base",
            "scaling" => "rope.scaling",
            "window" => "attention.sliding_window",
            other => other,
        })
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, ConfigFault> {
        let name = self.name(key);
        let Some(value) = self.file.metadata.get(&name) else { return Ok(None) };
        let size = value.as_u64().and_then(|value| usize::try_from(value).ok());
        size.map(Some)
            .ok_or_else(|| ConfigFault::new(name, "is not a whole number; a value per layer is not supported"))
    }

    fn size(&self, key: &str) -> Result<usize, ConfigFault> {
        self.optional_size(key)?.ok_or_else(|| ConfigFault::new(self.name(key), "is missing"))
    }

    fn float(&self, key: &str) -> Result<Option<f64>, ConfigFault> {
        let name = self.name(key);
        let Some(value) = self.file.metadata.get(&name) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| ConfigFault::new(name, "is not a number"))
    }

    fn scaling(&self) -> Result<RopeScaling, ConfigFault> {
        let name = self.name("rope.scaling.type");
        let factor = self.float("rope.scaling.factor")?;
        match self.file.metadata.get(&name).map(|value| value.as_text().unwrap_or("?")) {
            None | Some("none") => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear { factor: factor.unwrap_or(1.0) }),
            Some(other) => Err(ConfigFault::new(name, format!("is '{other}': 'none' and 'linear' are supported"))),
        }
    }
}

/// The tokenizer keys of a file.
pub fn vocabulary(file: &Gguf) -> GgufVocab {
    let key = |name: &str| file.metadata.get(&format!("tokenizer.ggml.{name}"));
    let list = |name: &str| key(name).and_then(Value::as_list).unwrap_or_default();
    let texts = |name: &str| list(name).iter().map(|value| value.as_text().unwrap_or_default().to_owned()).collect();
    let id = |name: &str| key(name).and_then(Value::as_u64).map(|id| u32::try_from(id).unwrap_or(u32::MAX));
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    GgufVocab {
        model: key("model").and_then(Value::as_text).unwrap_or_default().to_owned(),
        pre: key("pre").and_then(Value::as_text).map(str::to_owned),
        tokens: texts("tokens"),
        token_types: list("token_type").iter().map(|value| number(value) as i32).collect(),
        scores: list("scores").iter().map(|value| number(value) as f32).collect(),
        merges: texts("merges"),
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        eot: id("eot_token_id"),
        eom: id("eom_token_id"),
        unk: id("unknown_token_id"),
        pad: id("padding_token_id"),
        add_bos: key("add_bos_token").and_then(Value::as_bool),
        add_space_prefix: key("add_space_prefix").and_then(Value::as_bool),
        chat_template: file.metadata.get("tokenizer.chat_template").and_then(Value::as_text).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
