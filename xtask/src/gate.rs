//! `cargo xtask test`: everything that CI runs, in the order in which people can mend it.
//!
//! Rules: it stops at the first stage that fails and says which; it changes nothing in the checkout;
//! cargo's own output is left as it is.

mod layers;
mod lines;
mod sanitizer;

use std::process::{Command, Stdio};

use crate::checkout::Checkout;
use crate::clock::Stopwatch;
use crate::setup::{self, SetupError, Talk};
use crate::shell;

/// Why the tests did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("cargo {0} is missing: run `rustup component add {1}`")]
    Component(&'static str, &'static str),
    #[error("stage `{stage}` failed after {after}: {reason}")]
    Stage { stage: &'static str, after: String, reason: String },
}

type Check = fn(&Checkout) -> Result<(), String>;

enum Work {
    Cargo(&'static [&'static str]),
    Check(Check),
}

struct Stage {
    name: &'static str,
    work: Work,
}

const STAGES: &[Stage] = &[
    Stage { name: "format", work: Work::Cargo(&["fmt", "--all", "--check"]) },
    Stage { name: "file lengths", work: Work::Check(lines::check) },
    Stage { name: "layers", work: Work::Check(layers::check) },
    Stage { name: "lints", work: Work::Cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]) },
    Stage { name: "build", work: Work::Cargo(&["build", "--workspace", "--bins", "--examples"]) },
    Stage { name: "tests", work: Work::Cargo(&["test", "--workspace"]) },
    Stage {
        name: "mistakes that simulations must find",
        work: Work::Cargo(&["test", "-p", "simulations", "--features", "planted", "--test", "planted"]),
    },
    Stage { name: "kernels under AddressSanitizer", work: Work::Check(sanitizer::check) },
];

/// Sets up, then runs every stage.
///
/// # Errors
/// The first stage that fails.
pub(crate) fn run(checkout: &Checkout) -> Result<(), GateError> {
    let all = Stopwatch::start();
    setup::run(checkout, &setup::Options::default(), Talk::Quiet)?;
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let asked = checkout.cargo().args([tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !asked.is_ok_and(|status| status.success()) {
            return Err(GateError::Component(tool, component));
        }
    }
    let mut passed = Vec::new();
    for stage in STAGES {
        eprintln!("── {}", stage.name);
        let watch = Stopwatch::start();
        let outcome = match &stage.work {
            Work::Cargo(arguments) => cargo(checkout, arguments),
            Work::Check(check) => check(checkout),
        };
        if let Err(reason) = outcome {
            summary(&passed);
            return Err(GateError::Stage { stage: stage.name, after: watch.to_string(), reason });
        }
        eprintln!("── {}: passed in {watch}", stage.name);
        passed.push((stage.name, watch.to_string()));
    }
    summary(&passed);
    eprintln!("all {} stages passed in {all}", passed.len());
    Ok(())
}

fn summary(passed: &[(&str, String)]) {
    for (name, time) in passed {
        eprintln!("   passed  {name} ({time})");
    }
}

fn cargo(checkout: &Checkout, arguments: &[&str]) -> Result<(), String> {
    let mut command: Command = checkout.cargo();
    command.args(arguments);
    let line = shell::line(Command::new("cargo").args(arguments));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("`{line}` cannot be started: {error}")),
    }
}
