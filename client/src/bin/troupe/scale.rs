//! `troupe scale`: how many nodes a model needs.

use client::{Client, Manage, Managed};
use protocol::manage::{ScaleAdvice, ScaleQuery, ScaleRow};
use protocol::money::Money;
use protocol::units::{Percent, Percentile, Span};
use views::scale::{AdviceView, sentence, target, times};

use crate::failure::{Failure, unexpected};
use crate::out::Out;
use crate::table::{json, or_dash, printable, table};

/// See how many nodes a model needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Say how many nodes would meet a target with what was asked lately, and what they cost. Nothing is changed.
    Advise(Wanted),
    /// Write what was asked lately as a trace in Mooncake's format, to plan with it elsewhere.
    Trace {
        /// Of this model; may be left out if there is one.
        #[arg(long)]
        model: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).multiple(true))]
struct Wanted {
    /// The longest time to the first token, as 500ms.
    #[arg(long, value_name = "TIME", group = "target")]
    ttft: Option<Span>,
    /// The longest time to the whole answer.
    #[arg(long, value_name = "TIME", group = "target")]
    latency: Option<Span>,
    /// The longest time between two tokens.
    #[arg(long, value_name = "TIME", group = "target")]
    inter_token: Option<Span>,
    /// For this share of requests, as 0.95 or p95 [default: 0.99].
    #[arg(long, value_name = "SHARE")]
    percentile: Option<Percentile>,
    /// For 99 of a hundred requests: the same as --percentile 0.99.
    #[arg(long, conflicts_with = "percentile")]
    p99: bool,
    /// Even if so much more is asked, as 20%.
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    headroom: Percent,
    /// Weigh no more nodes than that.
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_nodes: u32,
    /// Of this model; may be left out if there is one.
    #[arg(long)]
    model: Option<String>,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl Wanted {
    fn query(&self) -> Result<ScaleQuery, Failure> {
        let time = |span: Option<Span>| span.map(|span| span.0);
        let query = ScaleQuery {
            model: self.model.clone(),
            ttft: time(self.ttft),
            latency: time(self.latency),
            inter_token: time(self.inter_token),
            percentile: self.percentile.unwrap_or_default(),
            headroom: self.headroom,
            most: self.max_nodes,
        };
        match query.faults().first() {
            // Fields are options here.
            Some(fault) => Err(Failure::Usage(format!("--{} {}", fault.field.replace('_', "-"), fault.problem))),
            None => Ok(query),
        }
    }
}

/// Runs it.
///
/// # Errors
/// The command line is wrong, nothing is known yet, or the cluster does not answer.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    match &options.verb {
        Verb::Advise(wanted) => match client.manage(Manage::Scale(wanted.query()?)).await? {
            Managed::Scale(advice) if wanted.json => out.write(&json(&AdviceView::from(&*advice))?),
            Managed::Scale(advice) => out.write(&told(&advice)),
            other => Err(unexpected(&other)),
        },
        Verb::Trace { model } => match client.manage(Manage::ScaleTrace { model: model.clone() }).await? {
            Managed::ScaleTrace { lines, .. } => out.write(&lines),
            other => Err(unexpected(&other)),
        },
    }
}

fn told(advice: &ScaleAdvice) -> String {
    let time =
        |time: Option<std::time::Duration>| or_dash(time.map(|time| format!("{:.0} ms", time.as_secs_f64() * 1e3)));
    let minutes = advice.over.as_secs_f64() / 60.0;
    let mut text = format!(
        "{}: {} now; {} requests of the last {minutes:.1} minutes; {}\n",
        printable(&advice.model),
        if advice.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", advice.nodes) },
        advice.requests,
        target(&advice.target),
    );
    if let Some(measured) = advice.measured {
        text += &format!("measured: {} of TTFT {}\n", advice.target.percentile, time(Some(measured)));
    }
    let row = |row: &ScaleRow| {
        let mark = match (row.nodes == advice.nodes, Some(row.nodes) == advice.advised) {
            (true, true) => "now, advised",
            (true, false) => "now",
            (false, true) => "advised",
            (false, false) => "",
        };
        [
            row.nodes.to_string(),
            time(row.ttft),
            time(row.latency),
            time(row.inter_token),
            row.refused.to_string(),
            row.busy.to_string(),
            row.hits.to_string(),
            or_dash(advice.hour.map(|hour| Money(times(hour, row.nodes)))),
            if row.meets { "yes" } else { "no" }.to_owned(),
            mark.to_owned(),
        ]
    };
    let rows: Vec<_> = advice.rows.iter().map(row).collect();
    if !rows.is_empty() {
        let heads = ["NODES", "TTFT", "LATENCY", "INTER-TOKEN", "REFUSED", "BUSY", "HITS", "HOUR", "MEETS", ""];
        text += &table(heads, &[0, 1, 2, 3, 4, 5, 6, 7], &rows);
    }
    text += &format!("{}\n", printable(&sentence(advice)));
    advice.notes.iter().fold(text, |text, note| format!("{text}note: {}\n", printable(note)))
}

#[cfg(test)]
mod tests;
