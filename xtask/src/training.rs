//! `cargo xtask train` and `cargo xtask eval`: builds what learns, as it is meant to run, and hands all words on.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use crate::checkout::Checkout;
use crate::orphan;

/// Beside the folder of this program, which is a debug build.
const PROGRAM: &str = "../release/troupe-training";

/// What to learn or to look at; `--help` after it is answered by the program that does it.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// complexity, then files of labelled prompts, and options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WHAT")]
    words: Vec<OsString>,
}

/// Whether weights are learned or looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Train,
    Eval,
}

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrainingError {
    #[error("cargo build failed: see its messages above")]
    Build,
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("it failed ({0}): see its message above")]
    Failed(ExitStatus),
}

/// Runs it.
///
/// # Errors
/// The build or the program fails.
pub(crate) fn run(checkout: &Checkout, verb: Verb, options: &Options) -> Result<(), TrainingError> {
    let status = checkout.cargo().args(["build", "--release", "--package", "training"]).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(TrainingError::Build);
    }
    let start = |source| TrainingError::Start { program: PROGRAM.into(), source };
    let program = checkout.program(PROGRAM).map_err(start)?;
    let mut command = Command::new(&program);
    command.current_dir(checkout.root()).args(words(verb, options));
    orphan::end_with_parent(&mut command);
    let status = command.status().map_err(|source| TrainingError::Start { program, source })?;
    if status.success() { Ok(()) } else { Err(TrainingError::Failed(status)) }
}

fn words(verb: Verb, options: &Options) -> Vec<OsString> {
    let verb = match verb {
        Verb::Train => "train",
        Verb::Eval => "eval",
    };
    std::iter::once(verb.into()).chain(options.words.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Verb, words};
    use crate::{Cli, Command};

    #[test]
    fn all_words_are_handed_on_after_the_verb() {
        for (verb, line) in [(Verb::Train, "train complexity a.jsonl --seed 3"), (Verb::Eval, "eval complexity --help")]
        {
            let cli = Cli::try_parse_from(["xtask"].into_iter().chain(line.split(' '))).unwrap();
            let options = match (verb, cli.command) {
                (Verb::Train, Command::Train(options)) | (Verb::Eval, Command::Eval(options)) => options,
                (_, other) => panic!("{line}: {other:?}"),
            };
            assert_eq!(words(verb, &options).join(" ".as_ref()), line);
        }
    }
}
