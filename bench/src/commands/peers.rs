//! `bench peers`: llama.cpp, vLLM and Troupe on the same model, in turns.
//!
//! Rules: interleaved rounds, and the best of them, since a machine's speed drifts. Every measurement is
//! a process of its own, Troupe's too, so that no memory or thread of one lingers in another. What is
//! not installed is left out and named, with the remedy; what fails is named at the end, after the table.

mod compare;
mod installed;
mod run;

use std::path::PathBuf;

use crate::error::BenchError;
use crate::figure::{Figure, say};
use crate::format::Format;
use crate::model::ModelChoice;
use crate::setting::Setting;
use compare::{Column, Comparison};
use installed::Peer;

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setting: Setting,
    /// The folder with llama.sh, vllm_cpu.py and setup.sh.
    #[arg(long, default_value = "../shared/peers")]
    peers: PathBuf,
    /// Rounds; the best of them counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Troupe's formats: bf16, int8, int4, each with +kv8 for 8-bit keys and values.
    #[arg(long, value_delimiter = ',', default_values_t = [Format::BF16, Format::INT8, Format::INT4])]
    formats: Vec<Format>,
    /// Sequences at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    batches: Vec<u32>,
    /// llama.cpp with the file as it is, without its other formats.
    #[arg(long)]
    quick: bool,
}

/// Runs it.
///
/// # Errors
/// A model that the peers cannot read; whatever failed on the way, once the table is out.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let ModelChoice::File(model) = &options.setting.model else {
        return Err(BenchError::NotForPeers(options.setting.model.to_string()));
    };
    if model.extension().is_none_or(|ending| ending != "gguf") {
        return Err(BenchError::NotForPeers(model.display().to_string()));
    }
    let (present, missing) = installed::look(&options.peers);
    for peer in &missing {
        eprintln!("{}", peer.remedy(&options.peers));
    }
    let mut figures: Vec<Figure> = Vec::new();
    let mut failures: Vec<BenchError> = Vec::new();
    for round in 1..=options.rounds {
        let mut note = |name: &str, outcome: Result<Vec<Figure>, BenchError>| match outcome {
            Ok(more) => figures.extend(more),
            Err(error) => {
                eprintln!("{name}: {error}");
                failures.push(error);
            }
        };
        for peer in &present {
            eprintln!("round {round} of {}: {}", options.rounds, peer.name());
            note(peer.name(), run::peer(*peer, options, model));
        }
        for format in &options.formats {
            eprintln!("round {round} of {}: troupe {format}", options.rounds);
            note("troupe", run::troupe(options, *format));
        }
    }
    let columns: Vec<Column> = options.batches.iter().copied().map(Column::Decode).chain([Column::Prefill]).collect();
    let comparison = Comparison::of(&figures, &columns);
    if options.setting.json {
        for figure in comparison.best() {
            say(figure)?;
        }
        for ratio in comparison.ratios() {
            say(&ratio)?;
        }
    } else {
        println!(
            "Tokens per second; threads: {}, rounds: {}, of which the best counts\n",
            options.setting.threads, options.rounds
        );
        println!("{}", comparison.table());
        for peer in missing {
            println!("Without {}, which is not installed.", peer.name());
        }
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

impl Peer {
    /// As it calls itself in its figures.
    fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama.cpp",
            Self::Vllm => "vllm",
        }
    }
}
