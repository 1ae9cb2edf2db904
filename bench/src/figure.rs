//! One measured figure, and the JSON line that stands for it: the shape that the scripts in
//! `../shared/peers` print, with more fields where the engine tells more.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// Who measured, in Troupe's own lines.
pub(crate) const TROUPE: &str = "troupe";

/// One figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Figure {
    /// `troupe`, `llama.cpp`, `vllm`.
    pub(crate) peer: String,
    /// As `int4`, or `Q4_0` and `native` of llama.cpp.
    pub(crate) format: String,
    /// `decode`, `prefill`, and of Troupe alone `ttft`, `waste`, `load`, `split`.
    pub(crate) what: String,
    /// The part of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<String>,
    /// Sequences at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<u32>,
    /// Prompt tokens, where the prompt is what is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<u32>,
    /// Prompt tokens of every sequence, where the answers are what is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<u32>,
    /// Tokens of the prompt that were cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached: Option<u32>,
    /// Tokens per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tok_s: Option<f64>,
    /// A time, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ms: Option<f64>,
    /// Half of the steps took at most so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ms: Option<f64>,
    /// 99 of 100 steps took at most so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_ms: Option<f64>,
    /// A share, in hundredths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percent: Option<f64>,
    /// Memory held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mib: Option<f64>,
    /// The most memory that was held on the way there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_mib: Option<f64>,
}

impl Figure {
    /// A figure of ours.
    pub(crate) fn ours(format: impl ToString, what: &str) -> Self {
        Self { peer: TROUPE.to_owned(), format: format.to_string(), what: what.to_owned(), ..Self::default() }
    }
}

/// Two digits after the point: more would claim a precision that no run has.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The figures among what a script printed; other lines are its own talk.
pub(crate) fn parse(output: &str) -> Vec<Figure> {
    let figures = output.lines().filter_map(|line| serde_json::from_str::<Figure>(line.trim()).ok());
    figures.filter(|figure| !figure.peer.is_empty() && !figure.what.is_empty()).collect()
}

/// Prints one line of JSON.
pub(crate) fn say(line: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_lines_are_read_and_ours_look_like_them() {
        let output = "INFO 11-23 starting\n\
            {\"peer\":\"llama.cpp\",\"format\":\"Q8_0\",\"what\":\"decode\",\"batch\":8,\"tok_s\":231.5}\n\
            {\"level\":\"warning\"}\n[1, 2]\n\
            {\"peer\": \"vllm\", \"format\": \"BF16\", \"what\": \"prefill\", \"tokens\": 512, \"tok_s\": 988.1}\n";
        let figures = parse(output);
        assert_eq!(figures.len(), 2);
        assert_eq!((figures[0].batch, figures[0].tok_s), (Some(8), Some(231.5)));
        assert_eq!((figures[1].tokens, figures[1].batch), (Some(512), None));
        let ours = Figure { batch: Some(8), tok_s: Some(812.4), ..Figure::ours("int4", "decode") };
        let line = serde_json::to_string(&ours).unwrap();
        assert_eq!(line, r#"{"peer":"troupe","format":"int4","what":"decode","batch":8,"tok_s":812.4}"#);
    }
}
