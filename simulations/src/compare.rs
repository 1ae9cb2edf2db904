//! Placement rules beside each other: the same trace, the same nodes, the same seed.
//!
//! Rules: what is compared differs in the rule alone; rows stand in the order in which rules were asked for; wall time
//! is no part of the result.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::units::{Nanos, Span, Tokens};
use replay::Rule;
use replay::results::{Results, Summary};
use replay::run::{Setup, SetupError, simulate};
use replay::trace::Trace;
use serde::Serialize;

pub mod plot;

/// What is compared.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The nodes and all else; its rule and seed do not matter.
    pub setup: Setup,
    /// Which rules.
    pub rules: Vec<Rule>,
    /// Each rule is run once with each of these; figures are the means of these runs.
    pub seeds: Vec<u64>,
    /// A good request has its first token within this,
    pub ttft: Duration,
    /// and its last within this.
    pub deadline: Duration,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which.
    pub rule: Rule,
    /// What came of it; means over the seeds.
    pub summary: Summary,
    /// Nodes that were asked for each request, in the mean.
    pub asked: f64,
    /// Times to the first token in seconds at each hundredth of the requests of all runs, as far as they had one: the
    /// list ends where requests were refused. For plots.
    pub ttft: Vec<f64>,
}

impl Row {
    /// Prompt tokens that were cached, as a share.
    pub fn hits(&self) -> f64 {
        self.summary.hits.0 as f64 / self.summary.prompt.0.max(1) as f64
    }
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The trace.
    pub trace: String,
    /// Its requests.
    pub requests: usize,
    /// What served.
    pub nodes: String,
    /// Coordinators.
    pub coordinators: u32,
    /// How late they heard, in seconds.
    pub delay: f64,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Good is within so many seconds to the first token,
    pub within_ttft: f64,
    /// and so many to the last.
    pub within: f64,
    /// One for each rule.
    pub rows: Vec<Row>,
}

/// Compares. Two runs go at once.
///
/// # Errors
/// The setup cannot be.
pub fn compare(plan: &Plan, trace: &Trace) -> Result<Comparison, SetupError> {
    let runs: Vec<(Rule, u64)> =
        plan.rules.iter().flat_map(|rule| plan.seeds.iter().map(|seed| (*rule, *seed))).collect();
    let results =
        side_by_side(&runs, |(rule, seed)| simulate(&Setup { rule: *rule, seed: *seed, ..plan.setup.clone() }, trace))?;
    let rows = plan.rules.iter().zip(results.chunks(plan.seeds.len().max(1)));
    let rows = rows.map(|(rule, results)| row(*rule, results, plan)).collect();
    let kinds = plan.setup.kinds.iter().map(|kind| format!("{} x {}", kind.count, kind.profile.name));
    Ok(Comparison {
        trace: trace.name.clone(),
        requests: trace.requests.len(),
        nodes: kinds.collect::<Vec<_>>().join(", "),
        coordinators: plan.setup.coordinators,
        delay: plan.setup.delay.as_secs_f64(),
        seeds: plan.seeds.clone(),
        within_ttft: plan.ttft.as_secs_f64(),
        within: plan.deadline.as_secs_f64(),
        rows,
    })
}

/// Does something with each, two at a time; in order.
fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    run: impl Fn(&T) -> Result<R, SetupError> + Sync,
) -> Result<Vec<R>, SetupError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(at) else { return done };
            done.push((at, run(one)));
        }
    };
    let (mut done, other) = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        (work(), other.join())
    });
    done.extend(other.map_err(|_| SetupError::Engine("a run panicked".to_owned()))?);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn row(rule: Rule, results: &[Results], plan: &Plan) -> Row {
    let summaries: Vec<Summary> = results.iter().map(|results| results.summary(plan.ttft, plan.deadline)).collect();
    let records = || results.iter().flat_map(|results| &results.records);
    let mut firsts: Vec<f64> = records().filter_map(|record| Some(record.first?.as_secs_f64())).collect();
    firsts.sort_by(f64::total_cmp);
    let last = records().count().saturating_sub(1);
    let at = |hundredth: usize| firsts.get(last * hundredth / 100).copied();
    let asked = records().map(|record| f64::from(record.asked)).sum::<f64>() / (records().count().max(1) as f64);
    Row { rule, summary: Summary::mean(&summaries), asked, ttft: (0..=100).filter_map(at).collect() }
}

const HEAD: [&str; 13] = [
    "rule",
    "TTFT mean",
    "p50",
    "p90",
    "p99",
    "latency mean",
    "p99",
    "hit tokens",
    "good",
    "imbalance",
    "busy",
    "refused",
    "$/M tokens",
];

impl Comparison {
    /// The row of a rule.
    pub fn row(&self, rule: Rule) -> Option<&Row> {
        self.rows.iter().find(|row| row.rule == rule)
    }

    fn cells(&self) -> Vec<[String; 13]> {
        let cell = |row: &Row| {
            let Summary { ttft, latency, good, imbalance, utilisation, .. } = &row.summary;
            [
                row.rule.as_str().to_owned(),
                seconds(ttft.mean),
                seconds(ttft.p50),
                seconds(ttft.p90),
                seconds(ttft.p99),
                seconds(latency.mean),
                seconds(latency.p99),
                percent(row.hits()),
                percent(*good),
                format!("{imbalance:.2}"),
                format!("{:.0} %", 100.0 * utilisation),
                (row.summary.refused + row.summary.too_long).to_string(),
                money(row.summary.cost_per_million),
            ]
        };
        self.rows.iter().map(cell).collect()
    }

    /// For a screen.
    pub fn table(&self) -> String {
        let cells = self.cells();
        let widest = |at: usize| {
            let widths = cells.iter().filter_map(|line| Some(line.get(at)?.len()));
            widths.chain(HEAD.get(at).map(|head| head.len())).max().unwrap_or(0)
        };
        let line = |cells: &[String]| {
            let cells = cells.iter().enumerate().map(|(at, cell)| match at {
                0 => format!("{cell:<width$}", width = widest(at)),
                _ => format!("{cell:>width$}", width = widest(at)),
            });
            cells.collect::<Vec<_>>().join("  ") + "\n"
        };
        let head = line(&HEAD.map(str::to_owned));
        self.title() + "\n" + &head + &cells.iter().map(|cells| line(cells)).collect::<String>()
    }

    /// For a document.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|---|{}\n", "--:|".repeat(HEAD.len() - 1));
        let lines: String = self.cells().iter().map(|cells| line(cells)).collect();
        format!("{}:\n\n{}{rule}{lines}", self.title(), line(&HEAD.map(str::to_owned)))
    }

    /// The trace and what served it, in a few words.
    pub fn setting(&self) -> String {
        let (coordinators, delay) = (self.coordinators, Span(Duration::from_secs_f64(self.delay)));
        let late =
            if coordinators > 1 { format!(", {coordinators} coordinators {delay} behind") } else { String::new() };
        format!("{}, {}{late}", self.trace, self.nodes)
    }

    fn title(&self) -> String {
        let (one, many) = if self.coordinators == 1 { ("", "") } else { ("s", "each ") };
        format!(
            "{}, {} requests on {}; {} coordinator{one} {many}{:.0} ms behind; {} seed{}; good: first token within \
             {} s, all within {} s",
            self.trace,
            self.requests,
            self.nodes,
            self.coordinators,
            self.delay * 1e3,
            self.seeds.len(),
            if self.seeds.len() == 1 { "" } else { "s" },
            self.within_ttft,
            self.within,
        )
    }
}

/// A share that people can read.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A time that people can read.
pub fn seconds(time: f64) -> String {
    match time {
        time if time < 0.9995 => format!("{:.0} ms", time * 1e3),
        time if time < 99.95 => format!("{time:.2} s"),
        time => format!("{time:.0} s"),
    }
}

fn money(nanos: Nanos) -> String {
    format!("{:.3}", nanos.0 as f64 / 1e9)
}

/// The share of the oracle's hit tokens that a rule found; none where the oracle found nothing.
pub fn of_oracle(comparison: &Comparison, rule: Rule) -> Option<f64> {
    let hits = |rule| comparison.row(rule).map(|row| row.summary.hits);
    let (own, oracle): (Tokens, Tokens) = (hits(rule)?, hits(Rule::Oracle)?);
    (oracle > Tokens::ZERO).then(|| own.0 as f64 / oracle.0 as f64)
}

#[cfg(test)]
mod tests;
