//! `simulations scale`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use protocol::units::Span;
use replay::profile::Profile;
use serde::Serialize;
use simulations::scale::decisions::{self, Measured};
use simulations::scale::loss::{Loss, Lost, Phase, lose};
use simulations::scale::sweep::{Load, Point, Row, row};

use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sizes of the cluster, with commas between
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000])]
    nodes: Vec<u32>,
    /// Numbers of coordinators
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16])]
    coordinators: Vec<u32>,
    /// How late reports and cache events reach a coordinator
    #[arg(long, value_delimiter = ',', default_values = ["1ms", "200ms", "1s"])]
    delays: Vec<Span>,
    /// Requests for each node
    #[arg(long, default_value_t = 20)]
    requests: u32,
    /// Requests a second for each node
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// The nodes: a profile's name or file
    #[arg(long, default_value = "a100-80g-llama-3.1-8b")]
    profile: String,
    /// Only measure decisions and events on this machine, with each size of --nodes
    #[arg(long)]
    measure: bool,
    /// For --measure: blocks that each node holds
    #[arg(long, default_value_t = 1_000)]
    blocks: usize,
    /// For --measure: placements that are timed
    #[arg(long, default_value_t = 20_000)]
    placements: usize,
    /// For --measure: operations on blocks that come in a second
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Only lose a coordinator in the middle, with each size of --nodes
    #[arg(long, conflicts_with = "measure")]
    lose_coordinator: bool,
    /// For --lose-coordinator: how long it is away
    #[arg(long, default_value = "2s")]
    away: Span,
    /// For --lose-coordinator: the longest until a node's next try reaches it; 600ms with the defaults of cluster.toml
    #[arg(long, value_delimiter = ',', default_values = ["600ms", "10s"])]
    redial: Vec<Span>,
    /// For all that is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the results to a file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    check(options)?;
    if options.measure {
        return measure(options);
    }
    let profile = Profile::by_name(&options.profile)?;
    let load = Load { requests: options.requests, rate: options.rate, seed: options.seed };
    if options.lose_coordinator { loss(options, &profile, &load) } else { sweep(options, &profile, &load) }
}

fn check(options: &Options) -> Result<(), Failure> {
    if let Some(nodes) = options.nodes.iter().find(|nodes| !(1..=20_000).contains(*nodes)) {
        return Err(format!("--nodes {nodes}: give sizes between 1 and 20000").into());
    }
    if !(options.rate > 0.0 && options.rate.is_finite()) {
        return Err(format!("--rate {}: it must be above 0 requests a second", options.rate).into());
    }
    if options.requests == 0 {
        return Err("--requests 0: each node needs one at least".into());
    }
    if options.blocks == 0 || options.blocks > 1_000_000 {
        return Err(format!("--blocks {}: give between 1 and 1000000", options.blocks).into());
    }
    if options.placements == 0 || options.events == 0 {
        return Err("--placements and --events must be above 0".into());
    }
    Ok(())
}

fn save(options: &Options, rows: &impl Serialize) -> Result<(), Failure> {
    match &options.json {
        Some(path) => super::write(path, &(serde_json::to_string_pretty(rows)? + "\n")),
        None => Ok(()),
    }
}

fn measure(options: &Options) -> Result<(), Failure> {
    println!("measured on this machine, one core; times in µs, p50 / p99 / longest");
    let mut all: Vec<Measured> = Vec::new();
    for nodes in &options.nodes {
        let measured = decisions::measure(&decisions::Load {
            nodes: *nodes as usize,
            blocks: options.blocks,
            placements: options.placements,
            operations: 2_000_000,
            rate: options.events,
            seed: options.seed,
        });
        let times = |t: &decisions::Times| format!("{:.1} / {:.1} / {:.1}", t.p50, t.p99, t.longest);
        let bytes = |b: Option<f64>| b.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes:.0}"));
        println!("{nodes} nodes, {} blocks held", measured.held);
        println!("  hashing        {}", times(&measured.hashing));
        println!("  look-up        {}", times(&measured.lookup));
        println!("  placement      {}", times(&measured.placement));
        println!("  with events    {} ({} placements)", times(&measured.under_events), measured.meanwhile);
        println!(
            "  events         {:.0} block operations/s of {} offered, drained {:.1} ms after the last came",
            measured.applied, measured.offered, measured.drain
        );
        println!(
            "  memory         {} bytes a held block, {} bytes a node in the roster",
            bytes(measured.bytes_per_block),
            bytes(measured.bytes_per_node)
        );
        all.push(measured);
    }
    save(options, &all)
}

fn sweep(options: &Options, profile: &Profile, load: &Load) -> Result<(), Failure> {
    let mut rows: Vec<Row> = Vec::new();
    println!("nodes of {}: {} requests each, {} a second", profile.name, load.requests, load.rate);
    println!(" nodes coord delay  requests refused  hits believed  ttft p50  ttft p99 imbalance asked");
    for &nodes in &options.nodes {
        for &coordinators in &options.coordinators {
            for &delay in &options.delays {
                let row = row(&Point { nodes, coordinators, delay: delay.0 }, profile, load)?;
                println!(
                    "{nodes:6} {coordinators:5} {:>5} {:9} {:7} {:4.1}% {:7.1}% {:7.0}ms {:7.0}ms {:9.3} {:5.3}",
                    delay.to_string(),
                    row.requests,
                    row.refused,
                    100.0 * row.hits,
                    100.0 * row.predicted,
                    1e3 * row.ttft_p50,
                    1e3 * row.ttft_p99,
                    row.imbalance,
                    row.asked,
                );
                rows.push(row);
            }
        }
    }
    save(options, &rows)
}

fn loss(options: &Options, profile: &Profile, load: &Load) -> Result<(), Failure> {
    let mut all: Vec<Lost> = Vec::new();
    let at = Duration::from_secs_f64(f64::from(load.requests) / load.rate / 3.0);
    for &nodes in &options.nodes {
        for &redial in &options.redial {
            let point = Point { nodes, coordinators: 4, delay: Duration::from_millis(5) };
            let lost = lose(&point, profile, load, &Loss { at, away: options.away.0, redial: redial.0 })?;
            println!(
                "{nodes} nodes, 4 coordinators, one lost at {} and back after {}; nodes dial within {redial}",
                Span(at),
                options.away
            );
            for (name, phase) in [("before", &lost.before), ("while away", &lost.during), ("after", &lost.after)] {
                print_phase(name, phase);
            }
            println!(
                "  blind decisions {} of {} ({:.2} %), the longest span {}",
                lost.blind,
                lost.decisions,
                100.0 * lost.blind as f64 / lost.decisions.max(1) as f64,
                lost.longest
            );
            all.push(lost);
        }
    }
    save(options, &all)
}

fn print_phase(name: &str, phase: &Phase) {
    let Phase { done, came, hits, ttft_p99 } = phase;
    println!("  {name:10} {done} of {came} answered, hits {:.1} %, TTFT p99 {:.0} ms", 100.0 * hits, 1e3 * ttft_p99);
}
