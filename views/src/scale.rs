//! How many nodes a model needs.

use std::time::Duration;

use protocol::manage::{ScaleAdvice, ScaleQuery, ScaleRow, Sure};
use protocol::units::{Nanos, Percentile, Span};
use serde::Serialize;

use crate::money::Amount;

/// The advice, as JSON. Times are in milliseconds, shares from 0 to 1, money by the hour.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdviceView {
    object: &'static str,
    model: String,
    target: TargetView,
    /// What to do, in a sentence.
    advice: String,
    nodes: u32,
    advised: Option<u32>,
    /// How many to add, or, below 0, to remove.
    change: Option<i64>,
    because: Option<String>,
    sure: &'static str,
    recent: RecentView,
    node: NodeView,
    replayed: Vec<RowView>,
    notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct TargetView {
    ttft: Option<f64>,
    latency: Option<f64>,
    inter_token: Option<f64>,
    percentile: Percentile,
    headroom: f64,
    max_nodes: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct RecentView {
    requests: u64,
    seconds: f64,
    unserved: u64,
    ttft: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct NodeView {
    prefill_tokens_per_second: u32,
    step: f64,
    sequence: f64,
    tokens: u64,
    hour: Option<Amount>,
    currency: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct RowView {
    nodes: u32,
    meets: bool,
    ttft: Option<f64>,
    latency: Option<f64>,
    inter_token: Option<f64>,
    refused: u64,
    busy: f64,
    hits: f64,
    hour: Option<Amount>,
}

fn millis(time: Duration) -> f64 {
    // To the microsecond: nobody reads more.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl From<&ScaleAdvice> for AdviceView {
    fn from(advice: &ScaleAdvice) -> Self {
        let ScaleQuery { ttft, latency, inter_token, percentile, headroom, most, .. } = &advice.target;
        let row = |row: &ScaleRow| RowView {
            nodes: row.nodes,
            meets: row.meets,
            ttft: row.ttft.map(millis),
            latency: row.latency.map(millis),
            inter_token: row.inter_token.map(millis),
            refused: row.refused,
            busy: f64::from(row.busy.0) / 100.0,
            hits: f64::from(row.hits.0) / 100.0,
            hour: advice.hour.map(|hour| Amount(times(hour, row.nodes))),
        };
        Self {
            object: "scale",
            model: advice.model.clone(),
            target: TargetView {
                ttft: ttft.map(millis),
                latency: latency.map(millis),
                inter_token: inter_token.map(millis),
                percentile: *percentile,
                headroom: f64::from(headroom.0) / 100.0,
                max_nodes: *most,
            },
            advice: sentence(advice),
            nodes: advice.nodes,
            advised: advice.advised,
            change: advice.advised.map(|advised| i64::from(advised) - i64::from(advice.nodes)),
            because: advice.because.clone(),
            sure: word(advice.sure),
            recent: RecentView {
                requests: advice.requests,
                seconds: (advice.over.as_secs_f64() * 1e3).round() / 1e3,
                unserved: advice.unserved,
                ttft: advice.measured.map(millis),
            },
            node: NodeView {
                prefill_tokens_per_second: advice.speed.prefill,
                step: millis(advice.speed.step),
                sequence: millis(advice.speed.sequence),
                tokens: advice.room.0,
                hour: advice.hour.map(Amount),
                currency: advice.currency.clone(),
            },
            replayed: advice.rows.iter().map(row).collect(),
            notes: advice.notes.clone(),
        }
    }
}

fn word(sure: Sure) -> &'static str {
    match sure {
        Sure::Little => "little",
        Sure::Fairly => "fairly",
        Sure::Well => "well",
    }
}

/// What so many nodes cost.
pub fn times(hour: Nanos, nodes: u32) -> Nanos {
    Nanos(hour.0.saturating_mul(nodes.into()))
}

/// The target in words, as `p99 of TTFT within 500ms`.
pub fn target(query: &ScaleQuery) -> String {
    let times = [("TTFT", query.ttft), ("latency", query.latency), ("inter-token latency", query.inter_token)];
    let all: Vec<String> =
        times.into_iter().filter_map(|(name, time)| time.map(|time| format!("{name} within {}", Span(time)))).collect();
    let headroom = if query.headroom.0 > 0 { format!(", with {} more asked", query.headroom) } else { String::new() };
    format!("{} of {}{headroom}", query.percentile, all.join(", of "))
}

/// What to do, in a sentence.
pub fn sentence(advice: &ScaleAdvice) -> String {
    let (now, target) = (advice.nodes, target(&advice.target));
    let plural = |count: u32| if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    let money = |count: u32| {
        advice
            .hour
            .map_or_else(String::new, |hour| format!(" ({} {} an hour)", Amount(times(hour, count)), advice.currency))
    };
    let unsure = match advice.sure {
        Sure::Little => {
            format!(
                "; {} are too few to rely on it",
                if advice.requests == 1 { "1 request".to_owned() } else { format!("{} requests", advice.requests) }
            )
        }
        Sure::Fairly | Sure::Well => String::new(),
    };
    match (advice.advised, &advice.because) {
        (Some(advised), _) if advised > now => {
            let more = advised - now;
            format!("add {}{}: {} meet {target}{unsure}", plural(more), money(more), plural(advised))
        }
        (Some(advised), _) if advised < now => {
            let fewer = now - advised;
            let verb = if advised == 1 { "meets" } else { "meet" };
            format!("{} may go{}: {} still {verb} {target}{unsure}", plural(fewer), money(fewer), plural(advised))
        }
        (Some(advised), _) => {
            format!("keep {}{}: no fewer meet {target}{unsure}", plural(advised), money(advised))
        }
        (None, Some(because)) => match advice.rows.iter().filter(|row| row.meets).map(|row| row.nodes).min() {
            // The search was cut short: what it had found by then is good.
            Some(good) => {
                let verb = if good == 1 { "meets" } else { "meet" };
                format!("{} {verb} {target}, and fewer may: {because}{unsure}", plural(good))
            }
            None => format!("no number of nodes was found that meets {target}: {because}"),
        },
        (None, None) => format!("no number of nodes was found that meets {target}"),
    }
}

#[cfg(test)]
mod tests;
