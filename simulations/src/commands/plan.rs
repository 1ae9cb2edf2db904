//! `simulations plan`: how many nodes of which kind meet a target, and what they cost.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use protocol::money::Money;
use protocol::units::{Nanos, Percent, Percentile, Span};
use replay::plan::run::on;
use replay::plan::target::shown;
use replay::plan::{Bounds, MONTH, Outcome, Plan, Target, cost, plan};
use replay::profile::{Profile, names};
use replay::trace::Trace;
use serde::Serialize;

use super::input::Part;
use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What is asked: Mooncake's jsonl, or Azure's or BurstGPT's csv
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    #[command(flatten)]
    part: Part,
    /// Kinds of nodes, by name or as files; all that are built in, if left out
    #[arg(long = "profile", value_name = "A,B", value_delimiter = ',')]
    profiles: Vec<String>,
    /// The longest time to the first token, as 500ms
    #[arg(long, value_name = "TIME")]
    ttft: Option<Span>,
    /// The longest time to the whole answer
    #[arg(long, value_name = "TIME")]
    latency: Option<Span>,
    /// The longest time between two tokens, on average over an answer
    #[arg(long, value_name = "TIME")]
    inter_token: Option<Span>,
    /// The least tokens a second of answers that keep within these times
    #[arg(long, value_name = "TOKENS/S", allow_negative_numbers = true)]
    goodput: Option<f64>,
    /// For this share of requests the times hold, as 0.95 or p95 [default: 0.99]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    percentile: Option<Percentile>,
    /// For 99 of a hundred requests: the same as --percentile 0.99
    #[arg(long, conflicts_with = "percentile")]
    p99: bool,
    /// Even if so much more is asked, as 20%
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    headroom: Percent,
    /// Weigh no more nodes than that
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_nodes: u32,
    /// Decides all that is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

impl Options {
    fn target(&self) -> Result<Target, Failure> {
        let time = |span: Option<Span>| span.map(|span| span.0);
        let target = Target {
            ttft: time(self.ttft),
            latency: time(self.latency),
            inter_token: time(self.inter_token),
            goodput: self.goodput,
            percentile: self.percentile.unwrap_or_default(),
            headroom: self.headroom,
        };
        target.check()?;
        Ok(target)
    }

    fn kinds(&self) -> Result<Vec<Profile>, Failure> {
        let all: Vec<&str> = names().collect();
        let wanted = if self.profiles.is_empty() { all } else { self.profiles.iter().map(String::as_str).collect() };
        let mut kinds: Vec<Profile> = Vec::with_capacity(wanted.len());
        for name in wanted {
            let kind = Profile::by_name(name)?;
            if kinds.iter().any(|known| known.name == kind.name) {
                return Err(format!("--profile names {} twice: name it once", kind.name).into());
            }
            kinds.push(kind);
        }
        Ok(kinds)
    }
}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (target, kinds) = (options.target()?, options.kinds()?);
    let trace = options.part.read(&options.trace)?;
    let bounds = Bounds { first: 1, most: options.max_nodes };
    let mut plans = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let planned = plan(&kind, &trace, &target, bounds, on(&kind, options.seed))?;
        plans.push((kind, planned));
    }
    // The cheapest first; those that do not meet it last.
    plans.sort_by_key(|(kind, plan)| {
        let cost = plan.nodes.map(|nodes| cost(kind.hour, nodes, 1));
        (cost.is_none(), cost, kind.name.clone())
    });
    let text = if options.json { json(&trace, &target, &plans)? } else { told(&trace, &target, &plans) };
    super::print(&text)
}

fn time(of: Option<std::time::Duration>) -> String {
    of.map_or_else(|| "-".to_owned(), shown)
}

fn told(trace: &Trace, target: &Target, plans: &[(Profile, Plan)]) -> String {
    let mut text = format!(
        "{}: {} requests in {}; {}\n",
        trace.name,
        trace.requests.len(),
        shown(trace.span()),
        target_words(target)
    );
    let mut rows = vec![HEADS.map(str::to_owned)];
    for (kind, plan) in plans {
        if let (Some(nodes), Some(outcome)) = (plan.nodes, plan.met()) {
            rows.push(row(kind, nodes, outcome, target));
        }
    }
    if rows.len() > 1 {
        text += &table(&rows);
    }
    for (kind, plan) in plans {
        // Writing to text does not fail.
        if let Some(why) = &plan.why {
            let _ = writeln!(text, "{}: {why}", kind.name);
        }
    }
    text
}

const HEADS: [&str; 10] =
    ["PROFILE", "NODES", "$/HOUR", "$/MONTH", "TTFT P50", "TTFT", "LATENCY", "INTER-TOKEN", "BUSY", "HITS"];

fn row(kind: &Profile, nodes: u32, outcome: &Outcome, target: &Target) -> [String; 10] {
    let dollars = |amount: Nanos| {
        // Cents are enough here.
        Money(Nanos(amount.0.saturating_add(5_000_000) / 10_000_000 * 10_000_000)).to_string()
    };
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    [
        kind.name.clone(),
        nodes.to_string(),
        dollars(cost(kind.hour, nodes, 1)),
        dollars(cost(kind.hour, nodes, MONTH)),
        time(outcome.ttft.at(Percentile::P50)),
        time(outcome.ttft.at(target.percentile)),
        time(outcome.latency.at(target.percentile)),
        time(outcome.inter_token.at(target.percentile)),
        percent(outcome.busy),
        percent(outcome.hits),
    ]
}

/// Columns of numbers stand to the right.
fn table(rows: &[[String; 10]]) -> String {
    let mut widths = [0; 10];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  "))
    };
    rows.iter().map(line).collect()
}

fn target_words(target: &Target) -> String {
    let times = [("TTFT", target.ttft), ("latency", target.latency), ("inter-token latency", target.inter_token)];
    let within = times.iter().filter_map(|(name, limit)| {
        limit.map(|limit| format!("{} of {name} within {}", target.percentile, Span(limit)))
    });
    let goodput = target.goodput.map(|goodput| format!("at least {goodput} tokens/s"));
    let headroom = (target.headroom.0 > 0).then(|| format!("with {} more asked", target.headroom));
    within.chain(goodput).chain(headroom).collect::<Vec<_>>().join(", ")
}

#[derive(Serialize)]
struct View<'a> {
    trace: &'a str,
    requests: usize,
    target: String,
    plans: Vec<PlanView<'a>>,
}

/// Times in milliseconds, shares from 0 to 1, money as text.
#[derive(Serialize)]
struct PlanView<'a> {
    profile: &'a str,
    price_source: &'a str,
    nodes: Option<u32>,
    hour: Option<String>,
    month: Option<String>,
    why: Option<String>,
    tried: Vec<Tried>,
}

#[derive(Serialize)]
struct Tried {
    nodes: u32,
    meets: bool,
    ttft_p50: Option<f64>,
    ttft: Option<f64>,
    latency: Option<f64>,
    inter_token: Option<f64>,
    goodput: f64,
    refused: u64,
    busy: f64,
    hits: f64,
}

fn json(trace: &Trace, target: &Target, plans: &[(Profile, Plan)]) -> Result<String, Failure> {
    let millis = |time: std::time::Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let tried = |nodes: u32, outcome: &Outcome| Tried {
        nodes,
        meets: target.met_by(outcome),
        ttft_p50: outcome.ttft.at(Percentile::P50).map(millis),
        ttft: outcome.ttft.at(target.percentile).map(millis),
        latency: outcome.latency.at(target.percentile).map(millis),
        inter_token: outcome.inter_token.at(target.percentile).map(millis),
        goodput: outcome.rate(|answer| target.good(answer)),
        refused: outcome.refused,
        busy: outcome.busy,
        hits: outcome.hits,
    };
    let view = |(kind, plan): &'_ (Profile, Plan)| -> (Option<String>, Option<String>, Vec<Tried>) {
        let money = |hours| plan.nodes.map(|nodes| Money(cost(kind.hour, nodes, hours)).to_string());
        let all = plan.tried.iter().map(|(nodes, outcome)| tried(*nodes, outcome)).collect();
        (money(1), money(MONTH), all)
    };
    let plans = plans.iter().map(|pair| {
        let (kind, plan) = pair;
        let (hour, month, tried) = view(pair);
        PlanView {
            profile: &kind.name,
            price_source: &kind.price_source,
            nodes: plan.nodes,
            hour,
            month,
            why: plan.why.as_ref().map(ToString::to_string),
            tried,
        }
    });
    let all = View {
        trace: &trace.name,
        requests: trace.requests.len(),
        target: target_words(target),
        plans: plans.collect(),
    };
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

#[cfg(test)]
mod tests;
