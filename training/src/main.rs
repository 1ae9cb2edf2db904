//! `cargo xtask train` and `cargo xtask eval`: the command line of [`training`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use policy::complexity::{BadWeights, LinearScorer, Weights};
use training::{bill, data, eval, learn, transfer};

/// Learn how hard requests are, and see how well that went.
#[derive(Debug, Parser)]
#[command(name = "troupe-training", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Learn weights.
    Train {
        #[command(subcommand)]
        what: Train,
    },
    /// See how good weights are.
    Eval {
        #[command(subcommand)]
        what: Eval,
    },
}

#[derive(Debug, Subcommand)]
enum Train {
    /// Of complexity routing: writes policy/src/complexity/weights.bin.
    Complexity {
        /// Files of labelled prompts, a JSON object a line.
        #[arg(required = true)]
        data: Vec<PathBuf>,
        /// Where the weights go.
        #[arg(long, default_value = "policy/src/complexity/weights.bin")]
        out: PathBuf,
        /// Write nothing: learn five times from four fifths of what is not held out, and measure on the rest. To
        /// choose a penalty by.
        #[arg(long)]
        cross: bool,
        #[command(flatten)]
        recipe: learn::Recipe,
    },
}

#[derive(Debug, Subcommand)]
enum Eval {
    /// Of complexity routing, on the fifth that training did not see.
    Complexity {
        /// Files of labelled prompts, a JSON object a line; the same as in training.
        #[arg(required = true)]
        data: Vec<PathBuf>,
        /// Other weights than those built in.
        #[arg(long)]
        weights: Option<PathBuf>,
        /// Also learn anew without each task in turn, to see what is left on a kind of prompt never seen.
        #[arg(long)]
        transfer: bool,
        #[command(flatten)]
        workload: bill::Workload,
        #[command(flatten)]
        recipe: learn::Recipe,
    },
}

/// Why there are no weights or no figures.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Data(#[from] data::DataError),
    #[error(transparent)]
    Weights(#[from] BadWeights),
    #[error(transparent)]
    Costly(#[from] protocol::money::TooCostly),
    #[error(transparent)]
    Recipe(#[from] learn::BadRecipe),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(text) => {
            // Whoever closes the pipe has read enough.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<String, Failure> {
    match cli.command {
        Command::Train { what: Train::Complexity { data, out, cross, recipe } } => {
            recipe.check()?;
            let (learned, held) = data::split(data::read(&data)?);
            if cross {
                return Ok(transfer::cross(&learned, &recipe));
            }
            let bytes = learn::weights(&learned, &recipe).bytes();
            std::fs::write(&out, &bytes).map_err(|source| Failure::File { path: out.clone(), source })?;
            Ok(format!(
                "learned from {} prompts, held out {}: {} bytes in {}\n",
                learned.len(),
                held.len(),
                bytes.len(),
                out.display()
            ))
        }
        Command::Eval { what: Eval::Complexity { data, weights, transfer, workload, recipe } } => {
            workload.check()?;
            recipe.check()?;
            let (learned, held) = data::split(data::read(&data)?);
            let scorer = match weights {
                None => LinearScorer::built_in()?,
                Some(path) => {
                    let bytes = std::fs::read(&path).map_err(|source| Failure::File { path, source })?;
                    LinearScorer::new(Weights::parse(&bytes)?)
                }
            };
            let mut text = eval::report(&eval::figures(&scorer, &held, &workload), held.len(), &workload);
            if transfer {
                text.push_str(&transfer::without_task(&learned, &held, &recipe));
            }
            Ok(text)
        }
    }
}

#[cfg(test)]
mod tests;
