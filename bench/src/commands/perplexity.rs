//! `bench perplexity`: how true each format stays to f32, over the repository's own words.
//!
//! The same text for every format: the repository's Markdown and Rust files in the order of
//! `git ls-files`, in windows that know nothing of each other.

mod corpus;

use protocol::ids::TokenId;
use serde::Serialize;
use text::Text;

use crate::error::BenchError;
use crate::figure::{TROUPE, say};
use crate::format::Format;
use crate::model::{self, Scorer};
use crate::setting::Setting;
use crate::table::{NONE, Table};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setting: Setting,
    /// Formats beside f32, which is the measure.
    #[arg(long, value_delimiter = ',', default_values_t = [Format::BF16, Format::INT8, Format::INT4, Format::BF16_KV8])]
    formats: Vec<Format>,
    /// Tokens of text, at least.
    #[arg(long, default_value_t = 20_480)]
    tokens: usize,
    /// Tokens in a window.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(2..))]
    window: u32,
}

/// A format's figure, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Line {
    peer: &'static str,
    format: String,
    what: &'static str,
    /// Tokens that were scored.
    tokens: usize,
    ppl: f64,
    /// Above f32, in hundredths.
    percent: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// Runs it.
///
/// # Errors
/// The model or the text cannot be read, or the engine fails.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let source = model::open(&options.setting.model, options.setting.seed)?;
    let text = Text::new(source.bundle()?)?;
    let tokens = corpus::tokens(&text, options.tokens)?;
    let window = options.window as usize;
    let mut lines: Vec<Line> = Vec::new();
    let others = options.formats.iter().copied().filter(|format| *format != Format::F32);
    for format in std::iter::once(Format::F32).chain(others) {
        eprintln!("{format}: {} tokens in windows of {window}", tokens.len());
        let mut scorer = model::scorer(source.as_ref(), &options.setting.options(format, 2 * window, 1))?;
        let (ppl, scored) = perplexity(scorer.as_mut(), &tokens, window)?;
        let reference = lines.first().map_or(ppl, |first| first.ppl);
        let line = line(format, scored, ppl, reference);
        if options.setting.json {
            say(&line)?;
        }
        lines.push(line);
    }
    if !options.setting.json {
        let scored = lines.first().map_or(0, |line| line.tokens);
        println!("Perplexity over {scored} tokens of the repository's Markdown and Rust\n\n{}", table(&lines));
    }
    Ok(())
}

/// The perplexity and the number of tokens it is taken over: all but the first of each window.
fn perplexity(scorer: &mut dyn Scorer, tokens: &[TokenId], window: usize) -> Result<(f64, usize), BenchError> {
    let (mut sum, mut count) = (0.0_f64, 0);
    for part in tokens.chunks(window).filter(|part| part.len() > 1) {
        let scores = scorer.score(part)?;
        if scores.len() + 1 != part.len() {
            return Err(BenchError::Nothing(format!("{} scores came of {} tokens", scores.len(), part.len())));
        }
        sum += scores.iter().map(|score| f64::from(*score)).sum::<f64>();
        count += scores.len();
    }
    if count == 0 {
        return Err(BenchError::Nothing(format!("{} tokens give no window of two", tokens.len())));
    }
    Ok(((-sum / count as f64).exp(), count))
}

/// How far a format may stray from f32, in hundredths.
fn bound(format: Format) -> Option<f64> {
    match format {
        Format::INT8 | Format::BF16_KV8 => Some(0.5),
        Format::INT4 => Some(3.0),
        _ => None,
    }
}

fn line(format: Format, tokens: usize, ppl: f64, reference: f64) -> Line {
    let percent = (ppl / reference - 1.0) * 100.0;
    let wanted = bound(format);
    // Better than f32 by chance is as far astray.
    let met = wanted.map(|bound| percent.abs() <= bound);
    Line { peer: TROUPE, format: format.to_string(), what: "perplexity", tokens, ppl, percent, wanted, met }
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(["", "perplexity", "over f32, %", "wanted", "met"]);
    for line in lines {
        let met = line.met.map_or(NONE, |met| if met { "met" } else { "missed" });
        table.row([
            line.format.clone(),
            format!("{:.4}", line.ppl),
            format!("{:+.3}", line.percent),
            line.wanted.map_or(NONE.to_owned(), |bound| format!("within {bound} %")),
            met.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests;
