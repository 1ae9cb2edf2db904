//! Which model and which engine: the one place that names them.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use engine::source::random::RandomModel;
use engine::source::{self, WeightSource};
use engine::{EngineOptions, LocalEngine};
use protocol::ids::TokenId;

use crate::error::BenchError;
use crate::format::Format;

/// The model with random weights, on command lines.
const RANDOM_1B: &str = "random-1b";

/// Which model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelChoice {
    /// A GGUF file or a Hugging Face folder.
    File(PathBuf),
    /// A Llama of a billion parameters with random weights.
    Random1b,
}

impl FromStr for ModelChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == RANDOM_1B { Self::Random1b } else { Self::File(text.into()) })
    }
}

impl fmt::Display for ModelChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(out),
            Self::Random1b => RANDOM_1B.fmt(out),
        }
    }
}

/// Opens a model, from which any number of engines can be started.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn open(choice: &ModelChoice, seed: u64) -> Result<Box<dyn WeightSource>, BenchError> {
    match choice {
        ModelChoice::File(path) => Ok(source::open(path)?),
        ModelChoice::Random1b => Ok(Box::new(RandomModel::llama_1b(seed))),
    }
}

/// Starts an engine.
///
/// # Errors
/// What is wrong with the model, the options or the device.
pub(crate) fn start(source: &dyn WeightSource, options: &EngineOptions) -> Result<Box<LocalEngine>, BenchError> {
    Ok(Box::new(LocalEngine::from_source(source, options)?))
}

/// Tells how likely given tokens are.
pub(crate) trait Scorer {
    /// The natural log-probability of each token but the first, after all those before it.
    ///
    /// # Errors
    /// The engine fails.
    fn score(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>, BenchError>;
}

/// Starts an engine that scores.
///
/// # Errors
/// What is wrong with the model, the options or the device.
pub(crate) fn scorer(source: &dyn WeightSource, options: &EngineOptions) -> Result<Box<dyn Scorer>, BenchError> {
    Ok(Box::new(LocalEngine::from_source(source, options)?))
}

impl Scorer for LocalEngine {
    fn score(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>, BenchError> {
        Ok(self.score(tokens)?)
    }
}

/// Bytes that the keys and values of one token take, without scales.
pub(crate) fn kv_bytes(source: &dyn WeightSource, format: Format) -> usize {
    let config = source.config();
    2 * config.layers * config.kv_heads * config.head_dim * format.kv_bytes()
}
