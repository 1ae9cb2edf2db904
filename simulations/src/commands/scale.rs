//! `simulations scale`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use protocol::units::Span;
use replay::profile::Profile;
use serde::Serialize;
use simulations::scale::decisions::{self, Measured, Taken, Times};
use simulations::scale::loss::{Loss, Lost, Phase, lose};
use simulations::scale::plot;
use simulations::scale::sweep::{Load, Point, Row, row};

use super::input::{DAY, between, within};
use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sizes of the cluster, with commas between
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000])]
    nodes: Vec<u32>,
    /// Numbers of coordinators; --lose-coordinator has four
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16], conflicts_with_all = ["measure", "lose_coordinator"])]
    coordinators: Vec<u32>,
    /// How late reports and cache events reach a coordinator; 5ms with --lose-coordinator
    #[arg(long, value_delimiter = ',', default_values = ["1ms", "200ms", "1s"])]
    #[arg(conflicts_with_all = ["measure", "lose_coordinator"])]
    delays: Vec<Span>,
    /// Requests for each node
    #[arg(long, default_value_t = 20, conflicts_with = "measure")]
    requests: u32,
    /// Requests a second for each node
    #[arg(long, default_value_t = 2.0, conflicts_with = "measure", allow_negative_numbers = true)]
    rate: f64,
    /// The nodes: a profile's name or file
    #[arg(long, default_value = "a100-80g-llama-3.1-8b", conflicts_with = "measure")]
    profile: String,
    /// Only measure decisions and events on this machine, with each size of --nodes
    #[arg(long)]
    measure: bool,
    /// For --measure: blocks that each node holds
    #[arg(long, default_value_t = 1_200, requires = "measure")]
    blocks: usize,
    /// For --measure: placements that are timed
    #[arg(long, default_value_t = 20_000, requires = "measure")]
    placements: usize,
    /// For --measure: operations on blocks that come in a second
    #[arg(long, default_value_t = 1_000_000, requires = "measure")]
    events: u64,
    /// Only lose a coordinator in the middle, with each size of --nodes
    #[arg(long, conflicts_with = "measure")]
    lose_coordinator: bool,
    /// For --lose-coordinator: how long it is away
    #[arg(long, default_value = "2s", requires = "lose_coordinator")]
    away: Span,
    /// For --lose-coordinator: the longest until a node's next try reaches it; 600ms with the defaults of cluster.toml
    #[arg(long, value_delimiter = ',', default_values = ["600ms", "10s"], requires = "lose_coordinator")]
    redial: Vec<Span>,
    /// For all that is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the results to a file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Plot hit rate and tail over nodes and coordinators, as SVG
    #[arg(long, value_name = "FILE", conflicts_with_all = ["measure", "lose_coordinator"])]
    plot: Option<PathBuf>,
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

/// Blocks that a fleet may hold: three copies of them fit into the memory of a usual machine.
const BLOCKS: u64 = 25_000_000;

fn check(options: &Options) -> Result<(), Failure> {
    let Options { nodes, coordinators, delays, requests, rate, blocks, placements, events, away, redial, .. } = options;
    for nodes in nodes {
        within("nodes", *nodes, 1..=20_000)?;
        within("requests", *requests, 1..=10_000_000 / nodes)?;
        within("blocks", *blocks as u64, 1..=BLOCKS / u64::from(*nodes))?;
    }
    coordinators.iter().try_for_each(|count| within("coordinators", *count, 1..=64))?;
    delays.iter().try_for_each(|delay| between("delays", *delay, Duration::ZERO, DAY))?;
    // That of all nodes is at most a million, as for a trace.
    let most = 1e6 / f64::from(nodes.iter().copied().max().unwrap_or(1));
    within("rate", *rate, 1e-6..=most)?;
    within("placements", *placements as u64, 1..=100_000_000)?;
    within("events", *events, 10_000..=1_000_000_000)?;
    between("away", *away, Duration::from_millis(1), DAY)?;
    redial.iter().try_for_each(|redial| between("redial", *redial, Duration::ZERO, DAY))
}

/// Writes the file that was asked for, and then to the screen.
fn done(options: &Options, rows: &impl Serialize, text: &str) -> Result<(), Failure> {
    if let Some(path) = &options.json {
        super::write(path, &(serde_json::to_string_pretty(rows)? + "\n"))?;
    }
    super::print(text)
}

fn measure(options: &Options) -> Result<(), Failure> {
    let mut text = "measured on this machine, one core; times in µs, p50 / p99 / longest\n".to_owned();
    let mut all: Vec<Measured> = Vec::new();
    for &nodes in &options.nodes {
        let measured = decisions::measure(&decisions::Load {
            nodes: nodes as usize,
            blocks: options.blocks,
            placements: options.placements,
            operations: 2_000_000,
            rate: options.events,
            seed: options.seed,
        });
        super::tell(&format!("{nodes} nodes are measured"));
        text += &told(&measured);
        all.push(measured);
    }
    done(options, &all, &text)
}

fn told(measured: &Measured) -> String {
    let times = |t: &Times| format!("{:.1} / {:.1} / {:.1}", t.p50, t.p99, t.longest);
    let unknown = || "unknown".to_owned();
    let block = measured.bytes_per_block.map_or_else(unknown, |bytes| format!("{bytes:.0}"));
    let roster = measured.bytes_of_roster.map_or_else(unknown, |bytes| (bytes / 1_000).to_string());
    let taken = |t: &Taken| {
        let refused = if t.refused > 0 { format!(", {} refused", t.refused) } else { String::new() };
        format!("{} of {} applied{refused} in {:.1} ms, {:.0} a second", t.applied, t.came, t.took, t.rate)
    };
    let mut text = format!("{} nodes, {} blocks held\n", measured.nodes, measured.held);
    let lines = [
        ("hashing", times(&measured.hashing)),
        ("look-up", times(&measured.lookup)),
        ("placement", times(&measured.placement)),
        ("held by all", format!("{} (placement of a prompt that every node has)", times(&measured.common))),
        ("with events", format!("{} ({} placements)", times(&measured.under_events), measured.meanwhile)),
        ("from arrival", format!("{} (the same, with what a request waits)", times(&measured.waited))),
        ("events", format!("{} (from arrival until applied)", times(&measured.events))),
        ("steady", format!("{} of {} offered", taken(&measured.steady), measured.offered)),
        ("drain", format!("{}, all there at once", taken(&measured.backlog))),
        ("memory", format!("{block} bytes a held block, {roster} kB the roster with two jobs a node")),
    ];
    for (name, line) in lines {
        let _ = writeln!(text, "  {name:<14} {line}");
    }
    text
}

fn sweep(options: &Options, profile: &Profile, load: &Load) -> Result<(), Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let wall = super::Wall::start();
    let mut text = format!(
        "nodes of {}: {} requests each, {} a second\n \
         nodes coord delay  requests refused  hits believed  ttft p50  ttft p99 imbalance asked\n",
        profile.name, load.requests, load.rate
    );
    for &nodes in &options.nodes {
        for &coordinators in &options.coordinators {
            for &delay in &options.delays {
                let row = row(&Point { nodes, coordinators, delay: delay.0 }, profile, load)?;
                let late = delay.to_string();
                super::tell(&format!("{:6.1} s  {nodes} nodes, {coordinators} coordinators, {late}", wall.seconds()));
                let _ = writeln!(
                    text,
                    "{nodes:6} {coordinators:5} {late:>5} {:9} {:7} {:4.1}% {:7.1}% {:7.0}ms {:7.0}ms {:9.3} {:5.3}",
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
    if let Some(path) = &options.plot {
        super::write(path, &plot::svg(&rows)?)?;
    }
    done(options, &rows, &text)
}

fn loss(options: &Options, profile: &Profile, load: &Load) -> Result<(), Failure> {
    let (mut all, mut text): (Vec<Lost>, _) = (Vec::new(), String::new());
    let at = Duration::from_secs_f64(f64::from(load.requests) / load.rate / 3.0);
    for &nodes in &options.nodes {
        for &redial in &options.redial {
            let point = Point { nodes, coordinators: 4, delay: Duration::from_millis(5) };
            let lost = lose(&point, profile, load, &Loss { at, away: options.away.0, redial: redial.0 })?;
            let _ = writeln!(
                text,
                "{nodes} nodes, 4 coordinators, one lost at {} and back after {}; nodes dial within {redial}",
                Span(at),
                options.away
            );
            for (name, phase) in [("before", &lost.before), ("while away", &lost.during), ("after", &lost.after)] {
                let Phase { done, came, hits, ttft_p99 } = phase;
                let (hits, ttft) = (100.0 * hits, 1e3 * ttft_p99);
                let _ =
                    writeln!(text, "  {name:10} {done} of {came} answered, hits {hits:.1} %, TTFT p99 {ttft:.0} ms");
            }
            let _ = writeln!(
                text,
                "  blind decisions {} of {} ({:.2} %), the longest span {}",
                lost.blind,
                lost.decisions,
                100.0 * lost.blind as f64 / lost.decisions.max(1) as f64,
                lost.longest
            );
            all.push(lost);
        }
    }
    done(options, &all, &text)
}
