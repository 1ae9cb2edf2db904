//! Tables for people: aligned in a terminal, and Markdown wherever they are pasted. Columns in which
//! nothing was measured are left out.

use std::fmt;

/// Where nothing was measured.
pub(crate) const NONE: &str = "–";

/// A table. The first column is words, the others are figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        Self { head: head.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let columns = 0..all().map(Vec::len).max().unwrap_or(0);
        let widest = |column| all().map(|row| cell(row, column).chars().count()).max().unwrap_or(0).max(3);
        let measured = |column: &usize| *column == 0 || self.rows.iter().any(|row| cell(row, *column) != NONE);
        let widths: Vec<_> = columns.filter(measured).map(|column| (column, widest(column))).collect();
        for (number, row) in all().enumerate() {
            for (column, width) in widths.iter().copied() {
                let text = cell(row, column);
                if column == 0 { write!(out, "| {text:<width$} |")? } else { write!(out, " {text:>width$} |")? }
            }
            writeln!(out)?;
            if number == 0 {
                for (column, width) in widths.iter().copied() {
                    let line = "-".repeat(width - usize::from(column > 0));
                    if column == 0 { write!(out, "| {line} |")? } else { write!(out, " {line}: |")? }
                }
                writeln!(out)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new(["tok/s", "decode 1", "decode 32"]);
        table.row(["llama.cpp, é", "142.0", "461.3"]);
        table.row(["vLLM", "30.0", NONE]);
        let text = table.to_string();
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
        assert_eq!(text.lines().next(), Some("| tok/s        | decode 1 | decode 32 |"));
        assert_eq!(text.lines().nth(1), Some("| ------------ | -------: | --------: |"));
    }

    #[test]
    fn a_column_without_figures_is_left_out() {
        let mut table = Table::new(["", "prefill", "decode"]);
        table.row(["bf16", NONE, "30.0"]);
        table.row(["int8", NONE, NONE]);
        let text = table.to_string();
        assert!(!text.contains("prefill") && text.contains("decode") && text.contains(NONE), "{text}");
    }
}
