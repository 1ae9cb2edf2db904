//! What placement makes of traces: the part of docs/simulations.md that a command writes.
//!
//! Rules: the same traces give the same text. Every row stands in it, the unfavourable ones too. A target that is
//! missed is said in the text and is the command's failure.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use replay::Rule;
use replay::profile::{Profile, ProfileError};
use replay::run::{Setup, SetupError};
use replay::trace::synthetic::{Kind, Plan as Synthetic};
use replay::trace::{self, Cut, Trace, TraceError};

use crate::compare::{Comparison, Plan, compare, of_oracle, percent, plot, seconds};
use crate::plot::PlotError;

mod losses;

/// Nodes in all comparisons.
const NODES: u32 = 8;
/// The rules that promise to stand where the cluster's own does.
const OTHERS: [Rule; 6] =
    [Rule::Dynamo, Rule::Approximate, Rule::LeastLoad, Rule::PowerOfTwo, Rule::RoundRobin, Rule::Random];
/// Hit tokens that ours must find of those that one finds who knows everything.
const OF_ORACLE: f64 = 0.95;
/// How much longer than under least load first tokens may take where nothing is shared.
const OF_LEAST_LOAD: f64 = 1.03;
const A100: &str = "a100-80g-llama-3.1-8b";
const H100: &str = "h100-80g-llama-3.1-8b";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A trace cannot be read or made.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A synthetic trace cannot be made.
    #[error(transparent)]
    Synthetic(#[from] trace::synthetic::PlanError),
    /// A part of a trace cannot be taken.
    #[error(transparent)]
    Cut(#[from] trace::CutError),
    /// A profile is missing.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] SetupError),
    /// A plot cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// The text, the plots, and what was missed.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Markdown.
    pub text: String,
    /// Plots, by the names of their files.
    pub plots: Vec<(String, String)>,
    /// Targets that were missed, one line each.
    pub missed: Vec<String>,
}

/// One comparison, and what it must show.
struct Case<'a> {
    trace: &'a Trace,
    profile: &'static str,
    coordinators: u32,
    delay: Duration,
    /// Ours is to be as good as all others.
    first: bool,
    /// Ours is to be about as good as least load.
    alike: bool,
    plot: Option<&'static str>,
}

impl<'a> Case<'a> {
    fn of(trace: &'a Trace, profile: &'static str) -> Self {
        let delay = Duration::from_millis(1);
        Self { trace, profile, coordinators: 1, delay, first: false, alike: false, plot: None }
    }

    fn compare(&self) -> Result<Comparison, ReportError> {
        let base = Setup::new(Profile::by_name(self.profile)?, NODES, Rule::Prefix);
        let plan = Plan {
            setup: Setup { coordinators: self.coordinators, delay: self.delay, ..base },
            rules: Rule::ALL.to_vec(),
            seeds: vec![1, 2, 3],
            ttft: Duration::from_secs(2),
            deadline: Duration::from_secs(60),
        };
        Ok(compare(&plan, self.trace)?)
    }
}

/// Runs all comparisons. `told` hears of each when it is done.
///
/// # Errors
/// The first thing that failed.
pub fn report(traces: &Path, mut told: impl FnMut(&str)) -> Result<Report, ReportError> {
    let mooncake = trace::read(&traces.join("mooncake_synthetic_trace.jsonl"), None)?;
    let thousand = trace::read(&traces.join("dynamo_mooncake_trace_1000.jsonl"), None)?;
    let azure = trace::read(&traces.join("AzureLLMInferenceTrace_conv_2023.csv"), None)?;
    let azure = Cut { limit: Some(5_000), speed: 4.0, ..Cut::default() }.apply(azure)?;
    let azure = Trace { name: format!("{}, its first 5,000 requests at 4 times its speed", azure.name), ..azure };
    let slow = Cut { speed: 0.5, ..Cut::default() }.apply(mooncake.clone())?;
    let slow = Trace { name: format!("{} at half speed", mooncake.name), ..slow };
    let made = |kind, rate, name: &str| -> Result<Trace, ReportError> {
        let made = Synthetic { rate, requests: 3_000, ..Synthetic::new(kind) }.generate()?;
        Ok(Trace { name: format!("{name} at {rate} a second"), ..made })
    };
    let (calm, busy) = (made(Kind::NoSharing, 6.0, "no sharing")?, made(Kind::NoSharing, 18.0, "no sharing")?);
    let decode = made(Kind::DecodeHeavy, 4.0, "decode-heavy")?;
    let shared = made(Kind::SharedPrefix, 20.0, "shared prefix")?;
    let (bursts, agents) = (made(Kind::Bursts, 10.0, "bursts")?, made(Kind::Agents, 8.0, "agents")?);
    let delayed =
        |trace, millis| Case { coordinators: 4, delay: Duration::from_millis(millis), ..Case::of(trace, H100) };
    let first = |trace, profile| Case { first: true, ..Case::of(trace, profile) };
    let alike = |trace| Case { alike: true, ..Case::of(trace, A100) };
    let cases = [
        Case { plot: Some("ttft-mooncake.svg"), ..first(&mooncake, H100) },
        first(&slow, A100),
        first(&mooncake, A100),
        Case { plot: Some("ttft-thousand.svg"), ..first(&thousand, A100) },
        first(&thousand, H100),
        alike(&calm),
        alike(&busy),
        Case::of(&shared, A100),
        Case::of(&agents, A100),
        Case::of(&bursts, A100),
        Case::of(&decode, A100),
        Case::of(&azure, A100),
        delayed(&mooncake, 50),
        delayed(&mooncake, 1_000),
    ];
    let mut report = Report { text: String::new(), plots: Vec::new(), missed: Vec::new() };
    let (mut targets, mut lost, mut tables) = (String::from(TARGETS), String::new(), String::new());
    for case in &cases {
        let comparison = case.compare()?;
        told(&comparison.trace);
        judge(case, &comparison, &mut targets, &mut report.missed);
        lost += &losses::line(&comparison).unwrap_or_default();
        if let Some(name) = case.plot {
            report.plots.push((name.to_owned(), plot::ttft(&comparison)?));
            tables += &format!("![first token within a time, by rule](simulations/{name})\n\n");
        }
        tables += &comparison.markdown();
        tables.push('\n');
    }
    report.text = format!("{targets}\n{}\n{tables}", losses::section(&lost));
    Ok(report)
}

const TARGETS: &str = "| trace, nodes | ours, mean TTFT | the best other | hit tokens, of the oracle's | |\n\
                       |---|--:|--:|--:|---|\n";

/// One line of the table of targets.
fn judge(case: &Case<'_>, comparison: &Comparison, table: &mut String, missed: &mut Vec<String>) {
    let mean = |rule| comparison.row(rule).map(|row| row.summary.ttft.mean);
    let Some(ours) = mean(Rule::Prefix) else { return };
    let best = OTHERS.into_iter().filter_map(|rule| Some((mean(rule)?, rule))).min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((other, rule)) = best else { return };
    let hits = of_oracle(comparison, Rule::Prefix);
    let mut verdicts = Vec::new();
    let mut verdict = |met: bool, text: String| {
        verdicts.push(format!("{text}: {}", if met { "met" } else { "**missed**" }));
        if !met {
            missed.push(format!("{} on {}: {text}", comparison.trace, comparison.nodes));
        }
    };
    if case.first {
        verdict(ours <= other, "no worse than every other".to_owned());
        // Where there is nothing to find nothing is missed.
        verdict(hits.is_none_or(|hits| hits >= OF_ORACLE), format!("at least {:.0} % of the hits", 100.0 * OF_ORACLE));
    }
    if case.alike {
        let least = mean(Rule::LeastLoad).unwrap_or(0.0);
        let more = 100.0 * (ours / least - 1.0);
        verdict(ours <= OF_LEAST_LOAD * least, format!("{more:+.1} % to least load, within 3 %"));
    }
    let verdicts = if verdicts.is_empty() { "no target".to_owned() } else { verdicts.join("; ") };
    let hits = hits.map_or_else(|| "-".to_owned(), percent);
    let _ = writeln!(
        table,
        "| {} | {} | {} ({}) | {hits} | {verdicts} |",
        comparison.setting(),
        seconds(ours),
        seconds(other),
        rule.as_str()
    );
}

/// Puts a text between the two lines of a document that mark its place. None if they are not there.
pub fn between(document: &str, text: &str) -> Option<String> {
    let (begin, end) = (document.find(BEGIN)? + BEGIN.len(), document.find(END)?);
    let (before, after) = (document.get(..begin)?, document.get(end..)?);
    (begin <= end).then(|| format!("{before}\n\n{}\n\n{after}", text.trim()))
}

/// Marks where the text begins.
pub const BEGIN: &str = "<!-- written by `simulations report`: begin -->";
/// Marks where it ends.
pub const END: &str = "<!-- written by `simulations report`: end -->";

#[cfg(test)]
mod tests;
