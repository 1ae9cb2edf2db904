//! `simulations replay`: a trace over several placement rules, side by side.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use protocol::units::{Span, Tokens};
use replay::Rule;
use replay::profile::Profile;
use replay::run::{Kind, Setup};
use simulations::compare::{Plan, compare, of_oracle, plot};

use super::input::{DAY, Input, between, within};
use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    cluster: Cluster,
    /// Rules to compare, with commas between: prefix (ours), dynamo, approximate (SGLang's), least-load, power-of-two,
    /// round-robin, random, oracle
    #[arg(long, value_delimiter = ',', default_values_t = Rule::ALL.map(Named))]
    policies: Vec<Named>,
    /// Seeds: one run with each, whose figures' means are shown
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    seed: Vec<u64>,
    /// A good request has its first token within this
    #[arg(long, default_value = "2s")]
    ttft: Span,
    /// And its last within this
    #[arg(long, default_value = "60s")]
    deadline: Span,
    /// Write the results to a file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw plots into a folder, as SVG
    #[arg(long)]
    plots: Option<PathBuf>,
}

/// What serves.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    /// Nodes, where --profile names one kind without its number [default: 8]
    #[arg(long)]
    nodes: Option<u32>,
    /// Kinds of nodes: a profile's name or file; several as NAME=COUNT with commas between
    #[arg(long, value_delimiter = ',', default_value = "a100-80g-llama-3.1-8b")]
    profile: Vec<String>,
    /// Coordinators, between which requests are divided
    #[arg(long, default_value_t = 1)]
    coordinators: u32,
    /// How late reports and cache events reach a coordinator
    #[arg(long, default_value = "1ms")]
    delay: Span,
    /// How often nodes report
    #[arg(long, default_value = "200ms")]
    report_every: Span,
    /// Tokens in a block of the nodes; that of the trace if it names blocks
    #[arg(long)]
    block: Option<u64>,
}

/// Nodes of a run.
const MOST: u32 = 20_000;

impl Cluster {
    /// The setup.
    ///
    /// # Errors
    /// What is wrong with the options, in one line.
    pub(crate) fn setup(&self) -> Result<Setup, Failure> {
        if let Some(nodes) =
            self.nodes.filter(|_| self.profile.len() > 1 || self.profile.iter().any(|p| p.contains('=')))
        {
            return Err(format!("--nodes {nodes} says nothing where --profile has the numbers: leave it out").into());
        }
        within("coordinators", self.coordinators, 1..=64)?;
        between("delay", self.delay, Duration::ZERO, DAY)?;
        between("report-every", self.report_every, Duration::from_millis(1), DAY)?;
        self.block.map_or(Ok(()), |block| within("block", block, 1..=65_536))?;
        let nodes = self.nodes.unwrap_or(8);
        within("nodes", nodes, 1..=MOST)?;
        let kinds = self.profile.iter().map(|text| kind(text, self.profile.len(), nodes));
        let kinds: Vec<Kind> = kinds.collect::<Result<_, Failure>>()?;
        let Some(first) = kinds.first() else {
            return Err("--profile names nobody: give the name of a profile".into());
        };
        let base = Setup::new(first.profile.clone(), first.count, Rule::Prefix);
        Ok(Setup {
            kinds,
            coordinators: self.coordinators,
            delay: self.delay.0,
            report_every: self.report_every.0,
            block: self.block.map(Tokens),
            ..base
        })
    }
}

fn kind(text: &str, kinds: usize, nodes: u32) -> Result<Kind, Failure> {
    let (name, count) = match text.rsplit_once('=') {
        Some((name, count)) => {
            let wrong = |_| format!("--profile {text}: '{count}' is no number of nodes; write NAME=COUNT");
            let count = count.parse().map_err(wrong)?;
            within(&format!("profile {text}:"), count, 1..=MOST)?;
            (name, count)
        }
        None if kinds == 1 => (text, nodes),
        None => return Err(format!("--profile {text}: of several kinds each needs its number, as {text}=4").into()),
    };
    Ok(Kind { profile: Profile::by_name(name)?, count })
}

/// A rule by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named(pub(crate) Rule);

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Rule::ALL.map(Rule::as_str).join(", ");
        Rule::by_name(text).map(Named).ok_or_else(|| format!("'{text}' is no policy: one of {}", names()))
    }
}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let plan = plan(options)?;
    let trace = options.input.read()?;
    let begun = super::Wall::start();
    let comparison = compare(&plan, &trace)?;
    super::tell(&format!("{} runs in {:.1} s", plan.rules.len() * plan.seeds.len(), begun.seconds()));
    if let Some(path) = &options.json {
        super::write(path, &(serde_json::to_string_pretty(&comparison)? + "\n"))?;
    }
    if let Some(folder) = &options.plots {
        super::write(&folder.join("ttft.svg"), &plot::ttft(&comparison)?)?;
    }
    super::print(&comparison.table())?;
    match of_oracle(&comparison, Rule::Prefix) {
        Some(share) => say!("prefix found {:.1} % of the oracle's hit tokens", 100.0 * share),
        None => Ok(()),
    }
}

fn plan(options: &Options) -> Result<Plan, Failure> {
    let (ttft, deadline) = (options.ttft.0, options.deadline.0);
    let setup = options.cluster.setup()?;
    if ttft.is_zero() || deadline < ttft {
        let (ttft, deadline) = (options.ttft, options.deadline);
        return Err(format!(
            "--ttft {ttft} with --deadline {deadline}: the first token must be allowed some time, and the last at \
             least as much"
        )
        .into());
    }
    let rules: Vec<Rule> = options.policies.iter().map(|named| named.0).collect();
    if let Some(twice) = rules.iter().enumerate().find(|(at, rule)| rules.iter().take(*at).any(|other| other == *rule))
    {
        return Err(format!("--policies names {} twice", twice.1.as_str()).into());
    }
    Ok(Plan { setup, rules, seeds: options.seed.clone(), ttft, deadline })
}
