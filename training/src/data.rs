//! Prompts with the scores that models got for them.
//!
//! A line is `{"task": .., "question": .., "scores": {model: 0..1, ..}}`, as the nine-model set of LLMRouter has
//! it. Which fifth is held out depends on a fixed seed alone, so that training and evaluation agree about it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Deserialize;

/// Small models that chat: what 'the small models' means. Two more up to 9B are left out, as they are made for
/// code and for reading documents and fail nearly everything else.
pub const SMALL: [&str; 4] =
    ["qwen2.5-7b-instruct", "llama-3.1-8b-instruct", "gemma-2-9b-it", "mistral-7b-instruct-v0.3"];
/// Large models that chat.
pub const LARGE: [&str; 2] = ["llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1"];
/// The small models fail where their mean score is below this.
pub const PASS: f64 = 0.5;
/// Decides what is held out. To change it is to throw away every figure.
const SPLIT: u64 = 20_240_817;

/// A prompt and how models did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// Its kind, as the data calls it.
    pub task: String,
    /// What is asked.
    pub text: String,
    /// What each model got, in 0..1.
    pub scores: BTreeMap<String, f64>,
    /// The mean score of [`SMALL`], in 0..1.
    pub small: f64,
    /// The mean score of [`LARGE`].
    pub large: f64,
}

impl Example {
    /// Whether the small models fail.
    pub fn fails(&self) -> bool {
        self.small < PASS
    }

    /// What the large models get right and the small ones do not, in 0..1.
    pub fn adds(&self) -> f64 {
        (self.large - self.small).clamp(0.0, 1.0)
    }
}

/// Why there is no data.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("name at least one file of labelled prompts, as ../shared/routing/llmrouter_9models_train.jsonl")]
    None,
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} line {line}: {source}: give {{\"task\", \"question\", \"scores\"}}", path.display())]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("{} line {line}: the score of {model} is {value}: give a number in 0..1", path.display())]
    Range { path: PathBuf, line: usize, model: String, value: f64 },
    #[error("{} line {line}: there is no score of {model}", path.display())]
    Model { path: PathBuf, line: usize, model: &'static str },
    #[error("there are {0} labelled prompts: at least 100 are needed, on which the small models both fail and do not")]
    Few(usize),
}

#[derive(Deserialize)]
struct Line {
    task: String,
    question: String,
    scores: BTreeMap<String, f64>,
}

/// All prompts of the files.
///
/// # Errors
/// A file cannot be read, a line is not as it should be, or there are too few.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Example>, DataError> {
    if paths.is_empty() {
        return Err(DataError::None);
    }
    let mut examples = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        parse(path, &text, &mut examples)?;
    }
    let fails = examples.iter().filter(|example| example.fails()).count();
    if examples.len() < 100 || fails == 0 || fails == examples.len() {
        return Err(DataError::Few(examples.len()));
    }
    Ok(examples)
}

fn parse(path: &Path, text: &str, examples: &mut Vec<Example>) -> Result<(), DataError> {
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (path, line_number) = (path.to_owned(), n + 1);
        let line: Line = serde_json::from_str(line).map_err(|source| DataError::Line {
            path: path.clone(),
            line: line_number,
            source,
        })?;
        if let Some((model, value)) = line.scores.iter().find(|(_, value)| !(0.0..=1.0).contains(*value)) {
            return Err(DataError::Range { path, line: line_number, model: model.clone(), value: *value });
        }
        let mean = |models: &[&'static str]| {
            let scores = models.iter().map(|model| line.scores.get(*model).ok_or(*model));
            scores.sum::<Result<f64, _>>().map(|sum| sum / models.len() as f64)
        };
        let (small, large) = match (mean(&SMALL), mean(&LARGE)) {
            (Ok(small), Ok(large)) => (small, large),
            (Err(model), _) | (_, Err(model)) => return Err(DataError::Model { path, line: line_number, model }),
        };
        examples.push(Example { task: line.task, text: line.question, scores: line.scores, small, large });
    }
    Ok(())
}

/// What to learn from, and the fifth that is held out.
pub fn split(examples: Vec<Example>) -> (Vec<Example>, Vec<Example>) {
    let mut examples = examples;
    // Whatever the order of the files.
    examples.sort_by(|a, b| (&a.text, &a.task).cmp(&(&b.text, &b.task)));
    shuffle(&mut examples, &mut ChaCha8Rng::seed_from_u64(SPLIT));
    let learned = examples.split_off(examples.len() / 5);
    (learned, examples)
}

/// A uniform index below `bound`; 0 if that is 0.
pub(crate) fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    // The bias is below one in 2^32 for what is counted here.
    (random.next_u64() % (bound.max(1) as u64)) as usize
}

/// A random order.
fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(random, last + 1));
    }
}

#[cfg(test)]
mod tests;
