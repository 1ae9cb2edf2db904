//! What all benchmarks can be told about the model and the engine.

use std::ffi::OsString;

use clap::ValueEnum;
use engine::EngineOptions;
use engine::options::{Backend, KvSize};
use protocol::config::Model;
use protocol::units::Blocks;

use crate::format::Format;
use crate::model::ModelChoice;

/// What jobs call the model.
pub(crate) const NAME: &str = "bench";
/// Jobs that may wait or run: more than any benchmark admits at once.
const QUEUE: u32 = 4096;

/// The model and the engine under test.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setting {
    /// A GGUF file, a Hugging Face folder, or `random-1b` for random weights of a billion parameters.
    #[arg(long, default_value = ".models/SmolLM2-135M-Instruct.Q4_1.gguf")]
    pub(crate) model: ModelChoice,
    /// Threads of the engine.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: u32,
    /// The seed of prompts and random weights.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Who computes.
    #[arg(long, value_enum, default_value_t = Computer::Kernels)]
    pub(crate) backend: Computer,
    /// Let libtorch take over where it is faster, at the price of batch invariance.
    #[arg(long)]
    pub(crate) batch_variant: bool,
    /// Tokens in a KV block.
    #[arg(long, default_value_t = Model::default().block)]
    pub(crate) block: u32,
    /// Tokens in a step.
    #[arg(long, default_value_t = Model::default().step_tokens)]
    pub(crate) step_tokens: u32,
    /// Tokens of one prompt in a step.
    #[arg(long, default_value_t = Model::default().prefill_chunk)]
    pub(crate) prefill_chunk: u32,
    /// One JSON line per figure instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Computer {
    /// Our own kernels.
    Kernels,
    /// libtorch.
    Libtorch,
}

impl Setting {
    /// An engine in this format with room for so many tokens of context in all and so many sequences.
    pub(crate) fn options(&self, format: Format, tokens: usize, sequences: u32) -> EngineOptions {
        EngineOptions {
            name: NAME.to_owned(),
            dtype: format.dtype(),
            quantization: format.quantization(),
            kv_quantization: format.kv_quantization(),
            batch_invariant: !self.batch_variant,
            backend: match self.backend {
                Computer::Kernels => Backend::Kernels,
                Computer::Libtorch => Backend::Libtorch,
            },
            device: "cpu".to_owned(),
            kv: KvSize::Blocks(Blocks::of(tokens.div_ceil(self.block.max(1) as usize))),
            block: self.block,
            context: None,
            step_tokens: self.step_tokens.max(sequences),
            prefill_chunk: self.prefill_chunk,
            max_batch: sequences.max(Model::default().max_batch),
            queue: QUEUE,
            threads: Some(self.threads),
            isa: None,
        }
    }

    /// The command line that gives another process the same setting; without `--json`.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut all: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: String| all.extend([OsString::from(name), value.into()]);
        option("--model", self.model.to_string());
        option("--threads", self.threads.to_string());
        option("--seed", self.seed.to_string());
        option("--block", self.block.to_string());
        option("--step-tokens", self.step_tokens.to_string());
        option("--prefill-chunk", self.prefill_chunk.to_string());
        if let Some(value) = self.backend.to_possible_value() {
            option("--backend", value.get_name().to_owned());
        }
        if self.batch_variant {
            all.push("--batch-variant".into());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        setting: Setting,
    }

    #[test]
    fn another_process_gets_the_same_setting() {
        let line = ["x", "--model", "random-1b", "--backend", "libtorch", "--batch-variant", "--step-tokens", "99"];
        let first = Only::parse_from(line).setting;
        let words = std::iter::once("x".into()).chain(first.arguments());
        let second = Only::parse_from(words).setting;
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert_eq!(second.options(Format::INT4, 65, 8).kv, KvSize::Blocks(Blocks(3)));
    }
}
