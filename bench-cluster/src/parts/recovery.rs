//! A coordinator that is killed and started again, while its nodes hold many cached blocks.

use std::time::Duration;

use actors::mock::MockOptions;
use protocol::config::Policy;
use tokio::time::{Instant, sleep};

use super::{Setting, progress};
use crate::bed::{Bed, Plan};
use crate::drive::{Singles, chat, in_turn, says};
use crate::error::BenchError;
use crate::report::{Bound, Report, Table};
use crate::stats::millis;

const NODES: u64 = 8;
const BLOCK: u32 = 32;
/// Blocks that every prompt leaves in a cache.
const EACH: usize = 250;
/// How many blocks the coordinator knows of.
const INDEXED: &str = "troupe_index_blocks";
const LOOK_AGAIN: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(setting: &Setting, report: &mut Report) -> Result<(), BenchError> {
    let blocks = if setting.quick { 20_000 } else { 100_000 };
    report.head(&format!(
        "recovery: {NODES} nodes with {blocks} cached blocks, the coordinator is killed and started again"
    ))?;
    let mock = MockOptions { blocks: 1 << 15, block: BLOCK, context: 16_384, ..MockOptions::default() };
    let mut bed = Bed::start(&setting.program, &Plan { nodes: NODES, mock, policy: Policy::Prefix }).await?;
    progress("recovery: filling the caches");
    let prompt = EACH * BLOCK as usize;
    let singles = Singles { count: blocks / EACH, prompt, tokens: 1, streams: false, seed: 1 };
    in_turn(&bed.http, singles, 4).await?.sound()?;
    wait_for_index(&bed, blocks as f64).await?;
    let known = bed.http.metric(INDEXED).await?;

    let rounds = if setting.quick { 1 } else { 3 };
    let mut table =
        Table::new("recovery", ["blocks", "ready ms", "first answer ms", "refused before", "whole index ms"]);
    let (mut answer, mut index) = (0.0_f64, 0.0_f64);
    for round in 1..=rounds {
        progress(&format!("recovery: round {round}"));
        bed.coordinator.kill()?;
        let begun = Instant::now();
        bed.restart_coordinator().await?;
        let listens = Instant::now();
        let ready = listens - begun;
        let (first, whole) = tokio::try_join!(first_answer(&bed), wait_for_index(&bed, known))?;
        let (answered, refused) = first;
        let (answered, whole) = (millis(answered - listens), millis(whole - listens));
        table.row(format!("round {round}"), [known, millis(ready), answered, refused, whole]);
        (answer, index) = (answer.max(answered), index.max(whole));
        bed.connected().await;
    }
    report.table(&table)?;
    report.target("recovery", "the slowest first answer, in ms", answer, Bound::AtMost(500.0))?;
    report.target("recovery", "the slowest whole index, in ms", index, Bound::AtMost(1000.0))?;
    Ok(())
}

/// Asks until somebody answers; says how often nobody did.
async fn first_answer(bed: &Bed) -> Result<(Instant, f64), BenchError> {
    let body = chat(&[says("user", "are you there?")], 1, false);
    let begun = Instant::now();
    let mut refused = 0.0;
    loop {
        match bed.http.chat(&body, false).await {
            Ok(_) => return Ok((Instant::now(), refused)),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => refused += 1.0,
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits until the coordinator knows of so many blocks.
async fn wait_for_index(bed: &Bed, blocks: f64) -> Result<Instant, BenchError> {
    let begun = Instant::now();
    loop {
        // It is not there before the first node has told of its cache.
        let known = match bed.http.metric(INDEXED).await {
            Err(BenchError::Metric(_)) => 0.0,
            known => known?,
        };
        if known >= blocks {
            return Ok(Instant::now());
        }
        if begun.elapsed() > PATIENCE {
            let what = format!("knowing of {blocks} blocks (it knows of {known})");
            return Err(BenchError::TooLate { what, seconds: PATIENCE.as_secs() });
        }
        sleep(LOOK_AGAIN).await;
    }
}
