//! The coordinator's CPU time per request, in its own code and in the kernel's, as the system counts it.
//!
//! Requests follow one another on a few connections that stay open: how much CPU time a request takes does not
//! depend on when it comes. Nodes that take no time give a stream's tokens in few pieces; nodes that pace them
//! give each token in a piece of its own, and that is how real ones do it.

use std::time::Duration;

use actors::mock::{MockOptions, Timing};
use protocol::config::Policy;

use super::{Setting, progress};
use crate::bed::{Bed, Plan};
use crate::drive::{Singles, in_turn};
use crate::error::BenchError;
use crate::report::{Bound, Report, Table};
use crate::stats::micros;

const NODES: u64 = 4;
const TOKENS: u32 = 32;
const PACE: Timing = Timing {
    prefill_per_token: Duration::ZERO,
    decode_per_step: Duration::from_millis(15),
    decode_per_sequence: Duration::ZERO,
    ..Timing::ZERO
};

pub(crate) async fn measure(setting: &Setting, report: &mut Report) -> Result<(), BenchError> {
    let count = if setting.quick { 1000 } else { 6000 };
    report.head(&format!("cpu: {count} requests over connections that are kept alive, {NODES} nodes"))?;
    let mut table = Table::new("cpu", ["CPU µs/request", "requests/s"]);
    let mut free = Meter::start(setting, Timing::default(), count).await?;
    let one = free.take(&mut table, "whole, 1 token", 1, false, 8).await?;
    let whole = free.take(&mut table, "whole, 32 tokens", TOKENS, false, 8).await?;
    let streamed = free.take(&mut table, "streamed, 32 tokens", TOKENS, true, 8).await?;
    drop(free);
    let mut paced = Meter::start(setting, PACE, count).await?;
    paced.take(&mut table, "whole, 32 tokens, 15 ms each", TOKENS, false, 64).await?;
    paced.take(&mut table, "streamed, 32 tokens, 15 ms each", TOKENS, true, 64).await?;
    report.table(&table)?;
    report.target("cpu", "CPU time of a whole answer of 1 token, in µs", one, Bound::AtMost(160.0))?;
    report.target("cpu", "CPU time of a whole answer of 32 tokens, in µs", whole, Bound::AtMost(160.0))?;
    report.target("cpu", "CPU time of a streamed answer of 32 tokens, in µs", streamed, Bound::AtMost(400.0))?;
    Ok(())
}

struct Meter {
    bed: Bed,
    count: usize,
    seed: u64,
}

impl Meter {
    async fn start(setting: &Setting, timing: Timing, count: usize) -> Result<Self, BenchError> {
        let mock = MockOptions { timing, ..MockOptions::default() };
        let bed = Bed::start(&setting.program, &Plan { nodes: NODES, mock, policy: Policy::Prefix }).await?;
        Ok(Self { bed, count, seed: 0 })
    }

    async fn take(
        &mut self,
        table: &mut Table,
        name: &str,
        tokens: u32,
        streams: bool,
        connections: usize,
    ) -> Result<f64, BenchError> {
        progress(&format!("cpu: {name}"));
        self.seed += 2;
        let singles = Singles { count: self.count, prompt: 256, tokens, streams, seed: self.seed };
        let warm = Singles { count: self.count / 10, seed: self.seed + 1, ..singles };
        in_turn(&self.bed.http, warm, connections).await?.sound()?;
        let (before, begun) = (self.bed.coordinator.cpu()?, tokio::time::Instant::now());
        in_turn(&self.bed.http, singles, connections).await?.sound()?;
        let (used, took) = (self.bed.coordinator.cpu()?.saturating_sub(before), begun.elapsed());
        let each = micros(used) / self.count as f64;
        table.row(name, [each, self.count as f64 / took.as_secs_f64()]);
        Ok(each)
    }
}
