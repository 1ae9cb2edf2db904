//! Full stack in simulated time: coordinators and nodes with all their actors ([`actors::simulated`]) over lines with
//! faults ([`wire`]), in paused time on one thread.
//!
//! Rules: a scenario is a name, what happens, and what must hold; all that is left to chance in it comes from one
//! seed. What clients saw is written down with its virtual time ([`journal`]): the same seed gives the same journal.
//! What must hold for every scenario is checked by [`oracle`], at its end and on the way. A breach names the
//! scenario, the seed, the invariant, the last events, and the line that reproduces it.
//!
//! Left to others: the front doors and the pipeline before a job (crate `coordinator`), and real QUIC.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub mod client;
pub mod cluster;
pub mod engine;
pub mod journal;
pub mod money;
pub mod oracle;
pub mod scenarios;
pub mod wire;

pub use cluster::Cluster;
use journal::Entry;
use oracle::Breach;

/// How many of the last events a failure shows.
const SHOWN: usize = 25;
/// A scenario that has not ended by then, in virtual time, hangs.
const LONGEST: Duration = Duration::from_secs(3600);

/// What happens to a cluster, and what must hold.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// What must hold, beside what must hold always.
    pub holds: &'static str,
    run: fn(&mut Cluster) -> BoxFuture<'_, Result<(), Breach>>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A scenario that came to a good end.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// What happened, in the order of virtual time.
    pub journal: Vec<Entry>,
    /// Virtual time from beginning to end.
    pub took: Duration,
    /// Requests that were asked.
    pub requests: usize,
}

/// A scenario in which something did not hold.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which.
    pub scenario: &'static str,
    /// Of which seed.
    pub seed: u64,
    /// What did not hold.
    pub breach: Breach,
    /// All that happened until then.
    pub journal: Vec<Entry>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario {}, seed {}: {}", self.scenario, self.seed, self.breach)?;
        let hidden = self.journal.len().saturating_sub(SHOWN);
        writeln!(f, "the last events ({hidden} before them):")?;
        for entry in self.journal.iter().skip(hidden) {
            writeln!(f, "  {entry}")?;
        }
        write!(f, "again: cargo run -p simulations -- stack {} --seed {}", self.scenario, self.seed)
    }
}

impl std::error::Error for Failed {}

/// Runs a scenario to its end, on this thread.
///
/// # Errors
/// Something did not hold.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Passed, Box<Failed>> {
    let failed = |breach, journal| Box::new(Failed { scenario: scenario.name, seed, breach, journal });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| failed(Breach::harness(error.to_string()), Vec::new()))?;
    runtime.block_on(async {
        let mut cluster = Cluster::new(seed);
        let outcome = match tokio::time::timeout(LONGEST, whole(scenario, &mut cluster).boxed()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Breach::scenario("progress", format!("it has not come to its end within {LONGEST:?}"))),
        };
        let (journal, took, requests) = (cluster.journal.entries(), cluster.journal.now(), cluster.asked());
        outcome.map(|()| Passed { journal: journal.clone(), took, requests }).map_err(|breach| failed(breach, journal))
    })
}

async fn whole(scenario: &Scenario, cluster: &mut Cluster) -> Result<(), Breach> {
    (scenario.run)(cluster).await?;
    oracle::at_the_end(cluster).await
}
