//! Best figures, ratios and goals.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::figure::{Figure, TROUPE, rounded};
use crate::measure::PEER_PREFILL;
use crate::table::{NONE, Table};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Column {
    /// So many sequences at once.
    Decode(u32),
    /// 512 tokens.
    Prefill,
}

impl Column {
    fn of(figure: &Figure) -> Option<Self> {
        match figure.what.as_str() {
            "decode" => figure.batch.map(Self::Decode),
            "prefill" if figure.tokens.is_some_and(|tokens| tokens as usize == PEER_PREFILL) => Some(Self::Prefill),
            _ => None,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Decode(batch) => format!("decode {batch}"),
            Self::Prefill => format!("prefill {PEER_PREFILL}"),
        }
    }

    /// Ours over the better peer's, as promised.
    fn goal(self) -> Option<f64> {
        match self {
            Self::Decode(1) => Some(1.3),
            Self::Decode(8) | Self::Prefill => Some(1.5),
            Self::Decode(32) => Some(2.0),
            Self::Decode(_) => None,
        }
    }
}

/// A ratio, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    peer: &'static str,
    format: String,
    what: &'static str,
    of: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    /// Whose figure ours is divided by.
    better_peer: String,
    ratio: f64,
    goal: Option<f64>,
    met: Option<bool>,
}

/// The best of all rounds.
#[derive(Debug)]
pub(super) struct Comparison {
    columns: Vec<Column>,
    /// By peer, format and column.
    best: BTreeMap<(String, String, Column), Figure>,
    /// Peers with their formats, in the order in which they were measured.
    seen: Vec<(String, String)>,
}

impl Comparison {
    pub(super) fn of(figures: &[Figure], columns: &[Column]) -> Self {
        let mut all = Self { columns: columns.to_vec(), best: BTreeMap::new(), seen: Vec::new() };
        for figure in figures {
            let Some(column) = Column::of(figure) else { continue };
            let who = (figure.peer.clone(), figure.format.clone());
            if !all.seen.contains(&who) {
                all.seen.push(who.clone());
            }
            let best = all.best.entry((who.0, who.1, column)).or_insert_with(|| figure.clone());
            if best.tok_s < figure.tok_s {
                *best = figure.clone();
            }
        }
        all
    }

    /// Every best figure, in the order of the table.
    pub(super) fn best(&self) -> impl Iterator<Item = &Figure> {
        self.seen.iter().flat_map(move |(peer, format)| {
            self.columns.iter().filter_map(move |column| self.figure(peer, format, *column))
        })
    }

    /// Ours over the better peer's, for each column where both are there.
    pub(super) fn ratios(&self) -> Vec<Ratio> {
        self.columns.iter().filter_map(|column| self.ratio(*column)).collect()
    }

    fn figure(&self, peer: &str, format: &str, column: Column) -> Option<&Figure> {
        self.best.get(&(peer.to_owned(), format.to_owned(), column))
    }

    /// The best figure of a column among those whose peer passes.
    fn best_of(&self, column: Column, passes: impl Fn(&str) -> bool) -> Option<&Figure> {
        let here = self.best.iter().filter(|((peer, _, at), _)| *at == column && passes(peer));
        here.map(|(_, figure)| figure)
            .max_by(|one, other| one.tok_s.unwrap_or(0.0).total_cmp(&other.tok_s.unwrap_or(0.0)))
    }

    fn ratio(&self, column: Column) -> Option<Ratio> {
        let ours = self.best_of(column, |peer| peer == TROUPE)?;
        let theirs = self.best_of(column, |peer| peer != TROUPE)?;
        let ratio = ours.tok_s? / theirs.tok_s.filter(|tok_s| *tok_s > 0.0)?;
        let (of, batch, tokens) = match column {
            Column::Decode(batch) => ("decode", Some(batch), None),
            Column::Prefill => ("prefill", None, Some(PEER_PREFILL)),
        };
        Some(Ratio {
            peer: TROUPE,
            format: ours.format.clone(),
            what: "ratio",
            of,
            batch,
            tokens,
            better_peer: format!("{} {}", theirs.peer, theirs.format),
            ratio: rounded(ratio),
            goal: column.goal(),
            met: column.goal().map(|goal| ratio >= goal),
        })
    }

    pub(super) fn table(&self) -> Table {
        let names = self.columns.iter().map(|column| column.name());
        let mut table = Table::new(std::iter::once(String::new()).chain(names));
        let mut line = |name: &str, cell: &dyn Fn(Column) -> Option<String>| {
            let cells = self.columns.iter().map(|column| cell(*column).unwrap_or_else(|| NONE.to_owned()));
            table.row(std::iter::once(name.to_owned()).chain(cells));
        };
        let tok_s = |figure: &Figure| format!("{:.1}", figure.tok_s.unwrap_or(0.0));
        if self.seen.iter().any(|(peer, _)| peer == "llama.cpp") {
            line("llama.cpp, best format", &|column| {
                let best = self.best_of(column, |peer| peer == "llama.cpp")?;
                Some(format!("{} ({})", tok_s(best), best.format))
            });
        }
        for (peer, format) in self.seen.iter().filter(|(peer, _)| peer != "llama.cpp") {
            line(&format!("{peer} {format}"), &|column| Some(tok_s(self.figure(peer, format, column)?)));
        }
        if self.ratios().is_empty() {
            return table;
        }
        line("troupe's best / better peer", &|column| {
            self.ratio(column).map(|ratio| format!("{:.2} ({})", ratio.ratio, ratio.format))
        });
        line("goal", &|column| Some(format!("{:.1}", column.goal()?)));
        line("", &|column| Some(if self.ratio(column)?.met? { "met" } else { "missed" }.to_owned()));
        table
    }
}

#[cfg(test)]
mod tests;
