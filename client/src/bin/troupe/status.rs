//! `troupe status`: the nodes, their models and their load, as a table or as JSON; and who runs in them, as a tree.

use std::time::Duration;

use client::{Client, ClusterStatus};
use protocol::answer::{ModelStatus, NodeState, NodeStatus};
use protocol::tree::ActorState;

use crate::failure::Failure;
use crate::out::Out;

mod tree;

/// Show the cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Who runs in every process, under whom, and how often it was started again.
    #[arg(long, conflicts_with = "json")]
    tree: bool,
}

/// Runs it.
///
/// # Errors
/// The cluster does not say.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    let status = client.status().await?;
    if options.json {
        let text = serde_json::to_string_pretty(&status).map_err(|error| Failure::Output(error.into()))?;
        return out.write(&format!("{text}\n"));
    }
    out.write(&if options.tree { tree::tree(&status) } else { table(&status) })
}

const HEADS: [&str; 10] =
    ["NODE", "STATE", "MODEL", "DTYPE", "DEVICE", "RUNNING", "WAITING", "KV BLOCKS", "SILENT", "ADDRESS"];
/// Columns of numbers stand to the right.
const NUMBERS: [usize; 4] = [5, 6, 7, 8];

fn table(status: &ClusterStatus) -> String {
    let head = format!(
        "{}: {}, {} in hand\n",
        status.cluster,
        counted(status.nodes.len() as u64, "node"),
        counted(status.requests, "request")
    );
    if status.nodes.is_empty() {
        return format!("{head}no node is connected: start one with troupe-node\n");
    }
    let mut rows: Vec<[String; 10]> = vec![HEADS.map(str::to_owned)];
    for node in &status.nodes {
        if node.models.is_empty() {
            rows.push(row(node, None));
        }
        rows.extend(node.models.iter().map(|model| row(node, Some(model))));
    }
    let mut widths = [0; 10];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter().fold(head, |text, row| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if NUMBERS.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{text}{}\n", line.trim_end())
    }) + &faults(status)
}

/// What does not run on the nodes and should.
fn faults(status: &ClusterStatus) -> String {
    let dead = |node: &NodeStatus| {
        let lines = node.tree.iter().filter(|line| line.state == ActorState::Dead);
        lines.fold(String::new(), |text, line| {
            let why = line.failure.as_deref().unwrap_or("it failed too often");
            format!("{text}{}: {} does not run: {}\n", printable(&node.name), printable(&line.name), printable(why))
        })
    };
    status.nodes.iter().map(dead).collect()
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn row(node: &NodeStatus, model: Option<&ModelStatus>) -> [String; 10] {
    let of = |show: &dyn Fn(&ModelStatus) -> String| model.map_or_else(|| "-".to_owned(), show);
    [
        printable(&node.name),
        state(node.state).to_owned(),
        of(&|model| printable(&model.model)),
        of(&|model| printable(&model.dtype)),
        of(&|model| printable(&model.device)),
        of(&|model| model.running.to_string()),
        of(&|model| model.waiting.to_string()),
        of(&kv),
        silence(node.silent),
        printable(&node.address),
    ]
}

/// A node names itself: its name must not move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn kv(model: &ModelStatus) -> String {
    let (used, total) = (model.blocks_used.0, model.blocks_total.0);
    let percent = used.saturating_mul(100).checked_div(total).unwrap_or(0);
    format!("{used}/{total} {percent:>3}%")
}

fn silence(silent: Duration) -> String {
    if silent < Duration::from_secs(1) {
        format!("{} ms", silent.as_millis())
    } else {
        format!("{:.1} s", silent.as_secs_f64())
    }
}

fn state(state: NodeState) -> &'static str {
    match state {
        NodeState::Ready => "ready",
        NodeState::Starting => "starting",
        NodeState::Idle => "idle",
        NodeState::Suspect => "suspect",
        NodeState::Draining => "draining",
    }
}

#[cfg(test)]
mod tests;
