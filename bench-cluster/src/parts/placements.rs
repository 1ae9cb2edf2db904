//! How evenly nodes that are all alike, and idle, are chosen.

use std::collections::BTreeMap;

use actors::mock::MockOptions;
use protocol::config::Policy;

use super::{Setting, progress};
use crate::bed::{Bed, Plan};
use crate::drive::{Singles, in_turn};
use crate::error::BenchError;
use crate::report::{Bound, Report, Table};

const NODES: u64 = 10;

pub(crate) async fn measure(setting: &Setting, report: &mut Report) -> Result<(), BenchError> {
    let count = if setting.quick { 2000 } else { 10_000 };
    report
        .head(&format!("placements: {NODES} identical idle nodes, {count} requests of one token, one after another"))?;
    progress("placements");
    let plan = Plan { nodes: NODES, mock: MockOptions::default(), policy: Policy::Prefix };
    let bed = Bed::start(&setting.program, &plan).await?;
    let singles = Singles { count, prompt: 40, tokens: 1, streams: false, seed: 1 };
    let outcome = in_turn(&bed.http, singles, 1).await?.sound()?;
    let mut shares: BTreeMap<String, usize> = (1..=NODES).map(|number| (format!("node-{number}"), 0)).collect();
    for told in &outcome.told {
        *shares.entry(told.answer.node.clone()).or_default() += 1;
    }
    let percent = |of: usize| of as f64 * 100.0 / count as f64;
    let mut table = Table::new("placements", ["requests", "%"]);
    for (node, of) in &shares {
        table.row(node.as_str(), [*of as f64, percent(*of)]);
    }
    report.table(&table)?;
    let (least, most) = (shares.values().min(), shares.values().max());
    let at = |share: Option<&usize>| percent(share.copied().unwrap_or(0));
    report.target("placements", "the most that a node gets, in %", at(most), Bound::AtMost(13.0))?;
    report.target("placements", "the least that a node gets, in %", at(least), Bound::AtLeast(7.0))?;
    Ok(())
}
