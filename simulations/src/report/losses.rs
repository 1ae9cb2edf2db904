//! Where another rule does better, said by the results themselves.

use replay::Rule;

use super::OTHERS;
use crate::compare::{Comparison, Row, percent, seconds};

/// What is less than that apart is not told: other seeds move it as far.
const APART: f64 = 0.01;

/// A figure of a row.
struct Figure {
    name: &'static str,
    of: fn(&Row) -> f64,
    shown: fn(f64) -> String,
    /// More of it is better.
    more: bool,
}

const FIGURES: [Figure; 6] = [
    Figure { name: "TTFT mean", of: |row| row.summary.ttft.mean, shown: seconds, more: false },
    Figure { name: "TTFT p99", of: |row| row.summary.ttft.p99, shown: seconds, more: false },
    Figure { name: "latency mean", of: |row| row.summary.latency.mean, shown: seconds, more: false },
    Figure { name: "latency p99", of: |row| row.summary.latency.p99, shown: seconds, more: false },
    Figure { name: "hit tokens", of: Row::hits, shown: percent, more: true },
    Figure { name: "good", of: |row| row.summary.good, shown: percent, more: true },
];

impl Figure {
    /// Whether one is better than another by as much as is told.
    fn better(&self, one: f64, other: f64) -> bool {
        if self.more { one > other * (1.0 + APART) } else { one < other * (1.0 - APART) }
    }

    /// The best of several rows.
    fn best<'a>(&self, rows: impl Iterator<Item = &'a Row>) -> Option<&'a Row> {
        let order = |a: &&Row, b: &&Row| (self.of)(a).total_cmp(&(self.of)(b));
        if self.more { rows.max_by(order) } else { rows.min_by(order) }
    }
}

/// One line about a comparison; none if nobody was better.
pub(super) fn line(comparison: &Comparison) -> Option<String> {
    let ours = comparison.row(Rule::Prefix)?;
    let told = |figure: &Figure, row: &Row| {
        let (own, other) = ((figure.of)(ours), (figure.of)(row));
        figure.better(other, own).then(|| {
            format!("{} {}, {} {}", figure.name, (figure.shown)(own), row.rule.as_str(), (figure.shown)(other))
        })
    };
    let others = || comparison.rows.iter().filter(|row| OTHERS.contains(&row.rule));
    let mut lost: Vec<String> =
        FIGURES.iter().filter_map(|figure| figure.best(others()).and_then(|row| told(figure, row))).collect();
    if let Some(oracle) = comparison.row(Rule::Oracle) {
        lost.extend(FIGURES.iter().filter_map(|figure| told(figure, oracle)));
    }
    (!lost.is_empty()).then(|| format!("- {}: {}\n", comparison.setting(), lost.join("; ")))
}

/// All of them, with what is to be said before.
pub(super) fn section(lines: &str) -> String {
    if lines.is_empty() {
        return "**Where it loses**: nowhere by a hundredth or more.\n".to_owned();
    }
    format!(
        "**Where it loses**, by a hundredth of the figure or more: ours, then the best of the other rules; then those \
         of the oracle, which knows everything at once.\n\n{lines}"
    )
}

#[cfg(test)]
mod tests;
