//! What was measured, for people or as lines of JSON, and whether the targets are met.

use std::io::{self, Write as _};

use serde_json::{Map, Value, json};

/// A part's rows, all with the same columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    part: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    /// The columns' names say their units.
    pub(crate) fn new(part: &'static str, columns: impl IntoIterator<Item = &'static str>) -> Self {
        Self { part, columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = f64>) {
        self.rows.push((name.into(), cells.into_iter().collect()));
    }

    fn lines(&self) -> Vec<String> {
        let head = std::iter::once(self.part.to_owned()).chain(self.columns.iter().map(|name| (*name).to_owned()));
        let body = self.rows.iter().map(|(name, cells)| {
            std::iter::once(name.clone()).chain(cells.iter().map(|cell| short(*cell))).collect::<Vec<_>>()
        });
        let all: Vec<Vec<String>> = std::iter::once(head.collect()).chain(body).collect();
        let width = |place: usize| all.iter().filter_map(|row| row.get(place)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..=self.columns.len()).map(|place| width(place).unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(place, (cell, width))| {
                if place == 0 { format!("| {cell:<width$} |") } else { format!(" {cell:>width$} |") }
            });
            cells.collect::<String>()
        };
        let mut lines: Vec<String> = all.iter().map(line).collect();
        let rule = widths.iter().enumerate().map(|(place, width)| match place {
            0 => format!("| {} |", "-".repeat(*width)),
            _ => format!(" {}: |", "-".repeat(width.saturating_sub(1))),
        });
        lines.insert(1.min(lines.len()), rule.collect());
        lines
    }

    fn json(&self) -> Vec<Value> {
        let one = |(name, cells): &(String, Vec<f64>)| {
            let mut line = Map::new();
            line.insert("part".to_owned(), self.part.into());
            line.insert("row".to_owned(), name.clone().into());
            for (column, cell) in self.columns.iter().zip(cells) {
                line.insert((*column).to_owned(), rounded(*cell).into());
            }
            Value::Object(line)
        };
        self.rows.iter().map(one).collect()
    }
}

/// Says what is measured.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    missed: usize,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, missed: 0 }
    }

    /// Whether every target so far is met.
    pub(crate) fn holds(&self) -> bool {
        self.missed == 0
    }

    /// What a part does, for people.
    pub(crate) fn head(&self, text: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(io::stdout(), "\n{text}") }
    }

    pub(crate) fn table(&self, table: &Table) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            for line in table.json() {
                writeln!(out, "{line}")?;
            }
        } else {
            writeln!(out)?;
            for line in table.lines() {
                writeln!(out, "{line}")?;
            }
        }
        out.flush()
    }

    /// A target: at least, or at most, so much.
    pub(crate) fn target(&mut self, part: &str, what: &str, value: f64, bound: Bound) -> io::Result<()> {
        let holds = bound.holds(value);
        self.missed += usize::from(!holds);
        let mut out = io::stdout().lock();
        if self.json {
            let line = json!({
                "part": part, "target": what, "bound": bound.text(), "value": rounded(value), "holds": holds
            });
            writeln!(out, "{line}")?;
        } else {
            let verdict = if holds { "met" } else { "MISSED" };
            writeln!(out, "{verdict}: {what} is {}, wanted {}", short(value), bound.text())?;
        }
        out.flush()
    }
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {}", short(least)),
            Self::AtMost(most) => format!("at most {}", short(most)),
        }
    }
}

/// Three digits after the point: more would claim a precision that no run has.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// As people read it: no digits after the point where there are enough before it.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1e3 || large.fract() == 0.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_its_json_has_a_line_per_row() {
        let mut table = Table::new("shared", ["hits", "TTFT ms"]);
        table.row("prefix", [123_456.0, 12.345]);
        table.row("round-robin", [7.0, 1234.5]);
        let lines = table.lines();
        assert_eq!(lines[0], "| shared      |   hits | TTFT ms |");
        assert_eq!(lines[1], "| ----------- | -----: | ------: |");
        assert_eq!(lines[2], "| prefix      | 123456 |    12.3 |");
        assert_eq!(lines[3], "| round-robin |      7 |    1234 |");
        assert_eq!(table.json()[1].to_string(), r#"{"TTFT ms":1234.5,"hits":7.0,"part":"shared","row":"round-robin"}"#);
    }

    #[test]
    fn a_missed_target_is_remembered() {
        let mut report = Report::new(true);
        report.target("cpu", "CPU per request", 159.0, Bound::AtMost(160.0)).unwrap();
        assert!(report.holds());
        report.target("shared", "hit tokens", 1.8, Bound::AtLeast(1.9)).unwrap();
        assert!(!report.holds());
    }
}
