//! `troupe model`: which node has which model, and what an operator wants of that.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Client, ClusterStatus, OrderAction};
use protocol::answer::NodeStatus;
use protocol::serving::LoadState;
use protocol::units::Span;

use crate::failure::Failure;
use crate::out::Out;

/// How often it is looked how far a node is.
const LOOK: Duration = Duration::from_millis(250);
/// How long a node may take to say that it does what it was told.
const HEARD: Duration = Duration::from_secs(5);

/// See which node has which model, load models and unload them.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show every model of every node, and how far it is.
    List {
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Load a model of a node's settings; its files are fetched if they are not there.
    Load {
        /// Its name.
        model: String,
        /// On which node, by name or id; the one with the fewest models, if left out.
        #[arg(long)]
        node: Option<String>,
        /// Say that it is on its way, and end.
        #[arg(long)]
        no_wait: bool,
    },
    /// Let go of a model; what still runs after the limit goes on on other nodes that have it, without a break.
    Unload {
        /// Its name.
        model: String,
        /// On which node, by name or id; on all that have it, if left out.
        #[arg(long)]
        node: Option<String>,
        /// How long running answers may go on there.
        #[arg(long, value_name = "TIME", default_value = "30s")]
        limit: Span,
        /// Say that it is on its way, and end.
        #[arg(long)]
        no_wait: bool,
    },
}

/// Runs it.
///
/// # Errors
/// There is no such model or node, it could not be loaded, or the cluster does not answer.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    match &options.verb {
        Verb::List { json } => {
            let status = client.status().await?;
            if !*json {
                return out.write(&table(&status));
            }
            let places: BTreeMap<&str, _> =
                status.nodes.iter().map(|node| (node.name.as_str(), &node.places)).collect();
            let text = serde_json::to_string_pretty(&places).map_err(|error| Failure::Output(error.into()))?;
            out.write(&format!("{text}\n"))
        }
        Verb::Load { model, node, no_wait } => {
            let before = client.status().await?;
            let node = match node {
                Some(node) => node.clone(),
                None => best(&before, model)?,
            };
            let before = find(&before, &node).and_then(|node| state(node, model)).cloned();
            let said = client.order(&node, OrderAction::Load { model: model.clone() }).await?;
            out.write(&format!("{said}\n"))?;
            if *no_wait { Ok(()) } else { follow(client, &node, model, Goal::Loaded { before }, out).await }
        }
        Verb::Unload { model, node, limit, no_wait } => {
            let nodes = match node {
                Some(node) => vec![node.clone()],
                None => having(&client.status().await?, model)?,
            };
            for node in &nodes {
                let said = client.order(node, OrderAction::Unload { model: model.clone(), limit: limit.0 }).await?;
                out.write(&format!("{said}\n"))?;
            }
            for node in nodes.iter().filter(|_| !*no_wait) {
                follow(client, node, model, Goal::Unloaded, out).await?;
            }
            Ok(())
        }
    }
}

fn table(status: &ClusterStatus) -> String {
    let mut rows = vec![["MODEL", "NODE", "STATE"].map(str::to_owned)];
    let of = |node: &NodeStatus| {
        let row = |place: &protocol::serving::ModelPlace| [place.model.clone(), node.name.clone(), words(&place.state)];
        node.places.iter().map(row).collect::<Vec<_>>()
    };
    let mut places: Vec<[String; 3]> = status.nodes.iter().flat_map(of).collect();
    if places.is_empty() {
        return "no node has told of a model: start one with troupe-node\n".to_owned();
    }
    places.sort();
    rows.extend(places);
    let width = |column: usize| rows.iter().map(|row| row.get(column).map_or(0, |cell| cell.chars().count())).max();
    let (model, node) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    let line = |row: &[String; 3]| format!("{:<model$}  {:<node$}  {}\n", row[0], row[1], row[2]);
    rows.iter()
        .map(line)
        .map(|line| line.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect::<String>())
        .collect()
}

fn words(state: &LoadState) -> String {
    match state {
        LoadState::Idle => "not loaded".to_owned(),
        LoadState::Loading { fetched: None } => "loading".to_owned(),
        LoadState::Loading { fetched: Some(percent) } => format!("fetching its files, {percent} %"),
        LoadState::Loaded => "loaded".to_owned(),
        LoadState::Unloading => "unloading".to_owned(),
        LoadState::Failed { reason } => format!("failed: {reason}"),
    }
}

fn state<'a>(node: &'a NodeStatus, model: &str) -> Option<&'a LoadState> {
    node.places.iter().find(|place| place.model == model).map(|place| &place.state)
}

/// The node that can load a model and has the fewest loaded; of those the one whose name comes first.
fn best(status: &ClusterStatus, model: &str) -> Result<String, Failure> {
    let can = |node: &&NodeStatus| matches!(state(node, model), Some(LoadState::Idle | LoadState::Failed { .. }));
    let nodes = status.nodes.iter().filter(can);
    let found = nodes.min_by_key(|node| (node.models.len(), &node.name, &node.id));
    found.map(|node| node.id.clone()).ok_or_else(|| {
        let knows = status.nodes.iter().any(|node| state(node, model).is_some());
        Failure::Model(if knows {
            format!("'{model}' is loaded, or on its way, on every node that has it in its settings")
        } else {
            format!("no node has '{model}' in its settings; `troupe model list` shows what they have")
        })
    })
}

/// The nodes that have it loaded, or are about to.
fn having(status: &ClusterStatus, model: &str) -> Result<Vec<String>, Failure> {
    let has = |node: &&NodeStatus| matches!(state(node, model), Some(LoadState::Loaded | LoadState::Loading { .. }));
    let nodes: Vec<String> = status.nodes.iter().filter(has).map(|node| node.id.clone()).collect();
    if nodes.is_empty() {
        return Err(Failure::Model(format!("no node has '{model}' loaded; `troupe model list` shows what they have")));
    }
    Ok(nodes)
}

fn find<'a>(status: &'a ClusterStatus, node: &str) -> Option<&'a NodeStatus> {
    status.nodes.iter().find(|known| known.name == node || known.id == node)
}

/// What a node was told to reach.
#[derive(Clone, Debug)]
enum Goal {
    /// Until it has begun, it shows what was before.
    Loaded {
        before: Option<LoadState>,
    },
    Unloaded,
}

/// How a node stands to what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Course {
    Done,
    /// It is about it.
    Under,
    /// It has not begun.
    Before,
    /// It will not.
    Failed(String),
}

impl Goal {
    /// `begun`: whether it was seen to be about it; `late`: whether it had the time to begin.
    fn course(&self, now: &LoadState, begun: bool, late: bool) -> Course {
        match (self, now) {
            (Self::Loaded { .. }, LoadState::Loaded) | (Self::Unloaded, LoadState::Idle) => Course::Done,
            (Self::Loaded { .. }, LoadState::Loading { .. }) | (Self::Unloaded, LoadState::Unloading) => Course::Under,
            (Self::Loaded { before }, now) if before.as_ref() == Some(now) && !begun && !late => Course::Before,
            (Self::Loaded { .. }, LoadState::Failed { reason }) => Course::Failed(reason.clone()),
            (Self::Loaded { .. }, LoadState::Idle) => Course::Failed("it was told not to, or is busy".to_owned()),
            (Self::Unloaded, LoadState::Failed { reason }) => Course::Failed(reason.clone()),
            _ => Course::Before,
        }
    }
}

/// Says how far it is until the node has done it, or cannot.
async fn follow(client: &Client, node: &str, model: &str, goal: Goal, out: &mut Out) -> Result<(), Failure> {
    let (mut told, mut begun) = (String::new(), false);
    let started = tokio::time::Instant::now();
    loop {
        let status = client.status().await?;
        let Some(found) = find(&status, node) else { return Err(Failure::Model(format!("node '{node}' is gone"))) };
        let name = &found.name;
        let Some(now) = state(found, model) else {
            return Err(Failure::Model(format!("node '{name}' does not have '{model}' any more")));
        };
        match goal.course(now, begun, started.elapsed() > HEARD) {
            Course::Done => {
                let how = if matches!(goal, Goal::Unloaded) { "is not loaded" } else { "is loaded" };
                let rest = if matches!(goal, Goal::Unloaded) { " any more" } else { "" };
                return out.write(&format!("{model} {how} on {name}{rest}\n"));
            }
            Course::Failed(reason) => return Err(Failure::Model(format!("{name} does not load '{model}': {reason}"))),
            Course::Under => {
                begun = true;
                let line = format!("{name}: {}\n", words(now));
                if line != told {
                    out.write(&line)?;
                    told = line;
                }
            }
            Course::Before => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests;
