//! What a model file gives to the model, whatever its format.
//!
//! Rules: every shape is checked against the configuration before a tensor is handed out; rotary
//! weights are in the half-split order (`rotate_half`) of Hugging Face, files in another order are
//! reordered here; a fault names the file's own tensor or key.

use std::path::{Path, PathBuf};

use text::bundle::TextBundle;

use crate::gguf::model::GgufModel;
use crate::hf::HfModel;

mod config;
mod file;
pub mod random;
mod stored;

pub use crate::gguf::TensorType;
pub use config::{Architecture, ConfigFault, ModelConfig, Rope, RopeScaling};
pub(crate) use file::ModelFile;
pub use stored::Stored;

/// A tensor of the model, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `[vocabulary, hidden]`.
    Embedding,
    /// `[hidden]`.
    OutputNorm,
    /// `[vocabulary, hidden]`; absent if the embedding serves.
    Head,
    /// A tensor of a layer, counted from 0.
    Layer(usize, Part),
}

/// A tensor of a layer. `q` is `heads · head_dim`, `kv` is `kv_heads · head_dim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `[hidden]`.
    AttentionNorm,
    /// `[q, hidden]`.
    Q,
    /// `[kv, hidden]`.
    K,
    /// `[kv, hidden]`.
    V,
    /// `[q]`.
    QBias,
    /// `[kv]`.
    KBias,
    /// `[kv]`.
    VBias,
    /// `[head_dim]`.
    QNorm,
    /// `[head_dim]`.
    KNorm,
    /// `[hidden, q]`.
    Output,
    /// `[hidden]`.
    FfnNorm,
    /// `[ffn, hidden]`.
    Gate,
    /// `[ffn, hidden]`.
    Up,
    /// `[hidden, ffn]`.
    Down,
}

impl Part {
    /// The parts that a layer of this model has.
    pub fn of(config: &ModelConfig) -> Vec<Self> {
        use Part::{AttentionNorm, Down, FfnNorm, Gate, K, KBias, KNorm, Output, Q, QBias, QNorm, Up, V, VBias};
        let mut parts = vec![AttentionNorm, Q, K, V, Output, FfnNorm, Gate, Up, Down];
        if config.qkv_bias {
            parts.extend([QBias, KBias, VBias]);
        }
        if config.qk_norm {
            parts.extend([QNorm, KNorm]);
        }
        parts
    }
}

impl Role {
    /// The shape it must have.
    pub fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let (hidden, q, kv) = (config.hidden, config.heads * config.head_dim, config.kv_heads * config.head_dim);
        match self {
            Self::Embedding | Self::Head => vec![config.vocabulary, hidden],
            Self::OutputNorm => vec![hidden],
            Self::Layer(_, part) => match part {
                Part::AttentionNorm | Part::FfnNorm => vec![hidden],
                Part::Q => vec![q, hidden],
                Part::K | Part::V => vec![kv, hidden],
                Part::QBias => vec![q],
                Part::KBias | Part::VBias => vec![kv],
                Part::QNorm | Part::KNorm => vec![config.head_dim],
                Part::Output => vec![hidden, q],
                Part::Gate | Part::Up => vec![config.ffn, hidden],
                Part::Down => vec![hidden, config.ffn],
            },
        }
    }
}

/// A tensor in memory, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub data: Vec<f32>,
}

/// A model's file or folder.
pub trait WeightSource: Send {
    /// What kind of model it is.
    fn config(&self) -> &ModelConfig;

    /// Its tokenizer and chat template.
    ///
    /// # Errors
    /// A tokenizer that is missing or not supported.
    fn bundle(&self) -> Result<TextBundle, LoadError>;

    /// One tensor as it is stored, or none if the file has none of that role.
    ///
    /// # Errors
    /// A tensor of the wrong shape, of an unsupported type, or cut off.
    fn stored(&self, role: Role) -> Result<Option<Stored>, LoadError>;

    /// One tensor as floats, or none if the file has none of that role.
    ///
    /// # Errors
    /// As for [`WeightSource::stored`].
    fn weights(&self, role: Role) -> Result<Option<Weights>, LoadError> {
        Ok(self.stored(role)?.map(Stored::widen))
    }

    /// Tells one set of weights from another, without reading all of it.
    fn fingerprint(&self) -> [u8; 32];
}

/// A model that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The path is neither.
    #[error("{0}: name a GGUF file, or a folder with config.json and *.safetensors")]
    NotAModel(PathBuf),
    /// The container is damaged.
    #[error("{path}: {error}")]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: crate::gguf::GgufError,
    },
    /// A file of the folder is damaged or does not fit the others.
    #[error("{path}: {problem}")]
    Folder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The model is of a kind that is not supported, or its numbers contradict each other.
    #[error("{path}: {fault}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Which key, and what is wrong.
        fault: ConfigFault,
    },
    /// A tensor is missing.
    #[error("{path}: the tensor '{name}' is missing")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor does not fit the configuration.
    #[error("{path}: the tensor '{name}' has the shape {found:?}, the configuration asks for {expected:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// As it is.
        found: Vec<usize>,
        /// As it should be.
        expected: Vec<usize>,
    },
    /// A tensor's numbers are stored in a way that is not supported.
    #[error("{path}: the tensor '{name}' is stored as {dtype}, which is not supported; supported are {supported}")]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How it is stored.
        dtype: String,
        /// What could be read.
        supported: &'static str,
    },
    /// The tokenizer is missing or not supported.
    #[error("{path}: {problem}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl LoadError {
    /// A tensor that could not be read.
    pub(crate) fn tensor_io(path: &Path, name: &str, error: &std::io::Error) -> Self {
        let source = std::io::Error::new(error.kind(), format!("the tensor '{name}': {error}"));
        Self::Io { path: path.to_owned(), source }
    }
}

/// Opens a GGUF file or a Hugging Face folder.
///
/// # Errors
/// Whatever keeps it from being a model that can be run; nothing is allocated beyond what the file
/// itself holds.
pub fn open(path: &Path) -> Result<Box<dyn WeightSource>, LoadError> {
    let meta = std::fs::metadata(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
    if meta.is_dir() {
        return Ok(Box::new(HfModel::open(path)?));
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")) {
        return Ok(Box::new(GgufModel::open(path)?));
    }
    Err(LoadError::NotAModel(path.to_owned()))
}

/// Refuses biases that the model would leave out without a word. `known` are the names of those it has,
/// as they stand before `.bias`.
pub(crate) fn refuse_biases<'a>(
    names: impl IntoIterator<Item = &'a String>,
    known: &[&str],
) -> Result<(), ConfigFault> {
    let unknown = names.into_iter().find(|name| {
        let stem = name.strip_suffix(".bias");
        stem.is_some_and(|stem| !known.contains(&stem.rsplit('.').next().unwrap_or_default()))
    });
    unknown.map_or(Ok(()), |name| Err(ConfigFault::new(name, "is in the file: only q, k and v may have a bias")))
}

#[cfg(test)]
mod tests;
