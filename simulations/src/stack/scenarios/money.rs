//! A budget that runs out, on a disk that is full for a while.

use std::time::Duration;

use futures_util::FutureExt;
use protocol::units::Nanos;
use tokio::time::sleep;

use super::{HEALED, start};
use crate::stack::client::Question;
use crate::stack::engine::Machine;
use crate::stack::money::Purse;
use crate::stack::oracle::Breach;
use crate::stack::{Cluster, Scenario};

pub(super) const BUDGET_RUNS_OUT: Scenario = Scenario {
    name: "budget-runs-out",
    what: "a budget runs out under steady load; meanwhile the disk is full for a while, a node dies, clients leave",
    holds: "settled and reserved stay within the budget; nobody is taken in who cannot be recorded; records add up",
    run: |cluster| budget_runs_out(cluster).boxed(),
};

/// Prompt and answer.
const TOKENS: (usize, u64) = (40, 40);

async fn budget_runs_out(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 2, &Machine::of(512)).await?;
    // Room for some fifty of them: 40 x 1 + 40 x 4 nanos at most.
    cluster.purse = Some(Purse::of(Nanos(10_000)).await?);
    let (full, works) = (10 + (cluster.draw() * 10.0) as u64, 30 + (cluster.draw() * 10.0) as u64);
    let dies = 5 + (cluster.draw() * 40.0) as u64;
    let (mut taken, mut refused) = (0, 0);
    for number in 0..120 {
        if number == full || number == works {
            cluster.journal.note(if number == full { "the disk is full" } else { "the disk has room again" });
            cluster.purse.as_ref().into_iter().for_each(|purse| purse.full(number == full));
        }
        if number == dies {
            cluster.kill_node(1);
        }
        if number == dies + 15 {
            cluster.start_node(1).await?;
        }
        match cluster.pay_and_ask(1, Question::drawn(number, TOKENS.0, TOKENS.1))? {
            Some(_) => taken += 1,
            None => refused += 1,
        }
        if cluster.draw() < 0.1 && cluster.asked() > 2 {
            cluster.leave(cluster.asked() - 2);
        }
        check(cluster)?;
        let pause = cluster.draw_time(Duration::from_millis(20), Duration::from_millis(200));
        sleep(pause).await;
        check(cluster)?;
    }
    cluster.over(HEALED).await?;
    sleep(Duration::from_secs(5)).await;
    check(cluster)?;
    let Some((settled, reserved)) = cluster.purse.as_ref().map(Purse::stands).transpose()? else { return Ok(()) };
    cluster.journal.note(format!("{taken} were taken in and {refused} not; {settled} is spent, {reserved} reserved"));
    Breach::unless(taken > 40 && refused > 10, "a budget is used and ends", || {
        format!("{taken} were taken in and {refused} not; {settled} is spent")
    })
}

fn check(cluster: &Cluster) -> Result<(), Breach> {
    cluster.purse.as_ref().map_or(Ok(()), Purse::check)
}
