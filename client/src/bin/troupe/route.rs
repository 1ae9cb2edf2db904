//! `troupe route`: how much goes to larger models, seen on prompts of one's own.
//!
//! Rules: works without a cluster. What it prints after the figures are lines for `cluster.toml`, so that a
//! person can paste them.

mod prompts;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use policy::complexity::calibrate::{CalibrateError, Calibrated, Target, calibrate};
use policy::complexity::tiers::{Cuts, Mode};
use policy::complexity::{LinearScorer, Score, Scorer};
use protocol::money::Money;

use crate::failure::Failure;
use crate::out::Out;

/// Set how much goes to larger models.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Find the thresholds for a wished share of requests, or a wished cost.
    Calibrate(Calibrate),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("wish").required(true).args(["share", "cost"]))]
struct Calibrate {
    /// The share that goes above the first tier; given again, above the second, and so on.
    #[arg(long, value_name = "PERCENT")]
    share: Vec<Share>,
    /// The mean cost of a request that is not to be passed.
    #[arg(long, value_name = "MONEY", requires = "small_cost", requires = "large_cost")]
    cost: Option<Money>,
    /// What a request costs on the lower tier.
    #[arg(long, value_name = "MONEY", requires = "cost")]
    small_cost: Option<Money>,
    /// What a request costs on the upper tier.
    #[arg(long, value_name = "MONEY", requires = "cost")]
    large_cost: Option<Money>,
    /// Prompts as they come here, a JSON object a line with `prompt`, `question` or `messages`; with `small` and
    /// `large`, how well both tiers did in 0..1, the quality is told too. Without it, the prompts of training count.
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Whose thresholds these are to be: cheap, balanced or best.
    #[arg(long, default_value_t = Mode::Balanced)]
    mode: Mode,
}

/// A part of all, as `30%`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share(f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        let share = number.filter(|percent| (0.0..=100.0).contains(percent));
        share
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| format!("'{text}' is no share: write it as 30%, from 0% to 100%"))
    }
}

/// Runs it.
///
/// # Errors
/// A file is not as it should be, or the wish cannot be fulfilled.
pub(crate) fn run(options: &Options, out: &mut Out) -> Result<(), Failure> {
    let Verb::Calibrate(options) = &options.verb;
    out.write(&told(options)?)
}

fn told(options: &Calibrate) -> Result<String, Failure> {
    let usage = |error: CalibrateError| Failure::Usage(error.to_string());
    let target = target(options);
    let (scores, labels, of) = match &options.prompts {
        Some(path) => {
            let scorer = LinearScorer::built_in().map_err(|error| Failure::Usage(error.to_string()))?;
            let read = prompts::read(path)?;
            let scores: Vec<Score> = read.prompts.iter().map(|prompt| scorer.score(&prompt.view())).collect();
            (scores, read.labels, format!("prompts of {}", shown(path)))
        }
        None => (reference(), Vec::new(), "steps of the prompts of training".to_owned()),
    };
    let exact = calibrate(&scores, &labels, &target).map_err(usage)?;
    // What is printed is what was counted.
    let calibrated = Calibrated::of(rounded(exact.cuts), &scores, &labels);
    let mut text = format!("{} {of}\n", scores.len());
    let cuts = calibrated.cuts.as_slice();
    for (tier, (cut, share)) in cuts.iter().zip(&calibrated.shares).enumerate() {
        // Writing into a string does not fail.
        let _ = writeln!(text, "above {cut:.4}, to tier {} or higher: {:.1} %", tier + 1, share * 100.0);
    }
    if let (Some(small), Some(large), Some(share)) = (options.small_cost, options.large_cost, calibrated.shares.first())
    {
        let mean = (1.0 - share) * small.0.0 as f64 + share * large.0.0 as f64;
        let _ = writeln!(text, "mean cost of a request: {:.9}", mean / 1e9);
    }
    if let Some(quality) = calibrated.quality {
        let _ = writeln!(text, "mean quality: {quality:.3}");
    }
    let list: Vec<String> = cuts.iter().map(|cut| format!("{cut:.4}")).collect();
    let _ = write!(text, "\n# cluster.toml\n[routing]\n{} = [{}]\n", options.mode, list.join(", "));
    Ok(text)
}

fn target(options: &Calibrate) -> Target {
    match (options.cost, options.small_cost, options.large_cost) {
        (Some(most), Some(small), Some(large)) => Target::Cost { small: small.0, large: large.0, most: most.0 },
        _ => Target::Shares(options.share.iter().map(|share| share.0).collect()),
    }
}

/// Needs are shares of the prompts of training: so these are they.
fn reference() -> Vec<Score> {
    (0..1000).map(|n| Score::new(0.5, (f64::from(n) + 0.5) / 1000.0)).collect()
}

/// To four places, upwards, so that no more goes up than was wished.
fn rounded(cuts: Cuts) -> Cuts {
    let up = |cut: &f64| (((cut * 1e4) - 1e-6).ceil() / 1e4).clamp(0.0, 1.0);
    Cuts::new(cuts.as_slice().iter().map(up).collect()).unwrap_or(cuts)
}

fn shown(path: &Path) -> String {
    path.display().to_string().chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
