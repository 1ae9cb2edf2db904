//! `cargo xtask bench`: builds the benchmarks as they are meant to run, and hands all words on to them.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use crate::checkout::Checkout;
use crate::orphan;
use crate::setup::{self, SetupError, Talk};

/// What to measure; `cargo xtask bench --help` is answered by the benchmarks themselves.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// engine, techniques, peers, perplexity, calibrate or cluster, and their options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WHAT")]
    words: Vec<OsString>,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("cargo build failed: see its messages above")]
    Build,
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the benchmark failed ({0}): see its message above")]
    Failed(ExitStatus),
}

/// Runs it.
///
/// # Errors
/// Setup, build or benchmark fails.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<(), BenchError> {
    let (bench, words) = Bench::of(&options.words);
    if bench == Bench::Engine {
        setup::run(checkout, &setup::Options::default(), Talk::Quiet)?;
    }
    let packages = bench.packages().iter().flat_map(|package| ["--package", package]);
    let status = checkout.cargo().args(["build", "--release"]).args(packages).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(BenchError::Build);
    }
    let program = program(checkout, bench)?;
    let mut command = Command::new(&program);
    command.current_dir(checkout.root()).args(words);
    orphan::end_with_parent(&mut command);
    let status = command.status().map_err(|source| BenchError::Start { program, source })?;
    if status.success() { Ok(()) } else { Err(BenchError::Failed(status)) }
}

/// Who measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bench {
    /// The engine, with libtorch and a model.
    Engine,
    /// The coordinator, with imitated nodes.
    Cluster,
}

impl Bench {
    /// By the first word; the cluster's benchmark gets the words after it.
    fn of(words: &[OsString]) -> (Self, &[OsString]) {
        match words {
            [first, rest @ ..] if first == "cluster" => (Self::Cluster, rest),
            all => (Self::Engine, all),
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Engine => &["bench"],
            Self::Cluster => &["coordinator", "bench-cluster"],
        }
    }
}

/// Beside the folder of this program, which is a debug build.
fn program(checkout: &Checkout, bench: Bench) -> Result<PathBuf, BenchError> {
    let name = match bench {
        Bench::Engine => "../release/troupe-bench",
        Bench::Cluster => "../release/troupe-bench-cluster",
    };
    checkout.program(name).map_err(|source| BenchError::Start { program: name.into(), source })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Bench;
    use crate::{Cli, Command};

    #[test]
    fn all_words_are_handed_on() {
        for line in ["engine --json --formats int4,int8 --help", "--help", "peers --rounds 1 --quick"] {
            let words = ["xtask", "bench"].into_iter().chain(line.split(' '));
            let Command::Bench(options) = Cli::try_parse_from(words).unwrap().command else { panic!("{line}") };
            assert_eq!(options.words.join(" ".as_ref()), line);
        }
    }

    #[test]
    fn the_cluster_is_measured_by_a_program_of_its_own() {
        let words = ["cluster", "--only", "cpu"].map(Into::into);
        let (bench, rest) = Bench::of(&words);
        assert_eq!((bench, rest), (Bench::Cluster, &words[1..]));
        assert_eq!(Bench::of(&words[1..]), (Bench::Engine, &words[1..]));
    }
}
