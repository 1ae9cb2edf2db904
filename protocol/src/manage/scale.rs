//! How many nodes a model needs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::Rates;
use crate::request::Fault;
use crate::units::{Nanos, Percent, Percentile, Tokens};

/// The most nodes that are weighed.
pub const MOST_NODES: u32 = 512;

/// What is to be met. At least one of the times is given; what is left out is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleQuery {
    /// Which model; may be left out if there is one.
    pub model: Option<String>,
    /// The longest time to the first token.
    pub ttft: Option<Duration>,
    /// The longest time to the whole answer.
    pub latency: Option<Duration>,
    /// The longest time between two tokens.
    pub inter_token: Option<Duration>,
    /// For this share of requests.
    pub percentile: Percentile,
    /// Even if so much more is asked.
    pub headroom: Percent,
    /// With no more nodes than that.
    pub most: u32,
}

impl ScaleQuery {
    /// What is wrong with it. Fields are named as over HTTP.
    pub fn faults(&self) -> Vec<Fault> {
        let fault = |field: &str, problem: String| Fault { field: field.to_owned(), problem };
        let mut faults = Vec::new();
        let times = [("ttft", self.ttft), ("latency", self.latency), ("inter_token", self.inter_token)];
        if times.iter().all(|(_, time)| time.is_none()) {
            faults
                .push(fault("ttft", "is left out, and so are latency and inter_token: give one, as ttft=500ms".into()));
        }
        for (field, _) in times.iter().filter(|(_, time)| *time == Some(Duration::ZERO)) {
            faults.push(fault(field, "is 0, which nothing can meet: give a time such as 500ms".into()));
        }
        if let (Some(ttft), Some(latency)) = (self.ttft, self.latency)
            && latency < ttft
        {
            let problem =
                format!("is {latency:?}, below ttft, {ttft:?}: the answer ends after its first token, so give more");
            faults.push(fault("latency", problem));
        }
        if !(1..=MOST_NODES).contains(&self.most) {
            faults.push(fault("max_nodes", format!("is {}: give 1 to {MOST_NODES}", self.most)));
        }
        faults
    }
}

/// How much an advice can be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sure {
    /// Too little was asked to tell.
    #[default]
    Little,
    /// Enough for a first idea.
    Fairly,
    /// As much as recent requests can tell of those to come.
    Well,
}

/// What a number of nodes would have done with the recent requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleRow {
    /// How many.
    pub nodes: u32,
    /// The target would have been met.
    pub meets: bool,
    /// Time to the first token at the percentile; none if it falls among refused requests.
    pub ttft: Option<Duration>,
    /// Likewise to the whole answer.
    pub latency: Option<Duration>,
    /// Likewise between two tokens.
    pub inter_token: Option<Duration>,
    /// Requests that no node would have taken.
    pub refused: u64,
    /// The share of time for which nodes would have computed.
    pub busy: Percent,
    /// The share of prompt tokens that would have been cached.
    pub hits: Percent,
}

/// How many nodes would meet a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleAdvice {
    /// The model.
    pub model: String,
    /// What was to be met.
    pub target: ScaleQuery,
    /// Nodes that serve it now.
    pub nodes: u32,
    /// Requests that were replayed.
    pub requests: u64,
    /// From the first of them to now.
    pub over: Duration,
    /// Of these, requests that no node took.
    pub unserved: u64,
    /// Time to the first token at the percentile, as it was.
    pub measured: Option<Duration>,
    /// What numbers of nodes would have done, by number.
    pub rows: Vec<ScaleRow>,
    /// The least number of these that meets the target.
    pub advised: Option<u32>,
    /// Why there is none.
    pub because: Option<String>,
    /// What a node costs for an hour, if `gpu_hour` says so.
    pub hour: Option<Nanos>,
    /// The currency of it.
    pub currency: String,
    /// How fast a node is taken to be.
    pub speed: Rates,
    /// The tokens that a node has room for.
    pub room: Tokens,
    /// How much it can be relied on.
    pub sure: Sure,
    /// What else should be known.
    pub notes: Vec<String>,
}

impl ScaleAdvice {
    /// What so many nodes would have done.
    pub fn row(&self, nodes: u32) -> Option<&ScaleRow> {
        self.rows.iter().find(|row| row.nodes == nodes)
    }
}

#[cfg(test)]
mod tests;
