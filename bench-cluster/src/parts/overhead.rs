//! The latency that the coordinator adds: all that a request takes where nodes take no time, so the client's
//! own share, QUIC's and HTTP's are in it.

use actors::mock::MockOptions;
use protocol::config::Policy;

use super::{Setting, progress};
use crate::bed::{Bed, Plan};
use crate::drive::{Singles, at_rate, in_turn};
use crate::error::BenchError;
use crate::report::{Bound, Report, Table};
use crate::stats::{millis, quantile};

const NODES: u64 = 4;
const RATE: f64 = 100.0;

pub(crate) async fn measure(setting: &Setting, report: &mut Report) -> Result<(), BenchError> {
    let count = if setting.quick { 500 } else { 3000 };
    report.head(&format!(
        "overhead: {count} requests of one token at {RATE} a second, {NODES} nodes that take no time: all of it counts"
    ))?;
    let plan = Plan { nodes: NODES, mock: MockOptions::default(), policy: Policy::Prefix };
    let bed = Bed::start(&setting.program, &plan).await?;
    let singles = Singles { count, prompt: 256, tokens: 1, streams: false, seed: 1 };
    in_turn(&bed.http, Singles { count: 200, seed: 9, ..singles }, 8).await?.sound()?;
    let mut table = Table::new("overhead", ["p50 ms", "p90 ms", "p99 ms", "max ms"]);
    progress("overhead: whole answers");
    let whole = at_rate(&bed.http, singles, RATE).await?.sound()?.wholes();
    progress("overhead: streams");
    let streamed = at_rate(&bed.http, Singles { streams: true, seed: 2, ..singles }, RATE).await?.sound()?.firsts();
    for (name, times) in [("whole answer", &whole), ("first token of a stream", &streamed)] {
        let at = |thousandths| millis(quantile(&times.0, thousandths));
        table.row(name, [at(500), at(900), at(990), at(1000)]);
    }
    report.table(&table)?;
    report.target("overhead", "p50 of a whole answer, in ms", millis(whole.p50()), Bound::AtMost(1.0))?;
    report.target("overhead", "p99 of a whole answer, in ms", millis(whole.p99()), Bound::AtMost(5.0))?;
    Ok(())
}
