//! `troupe status --tree`: who runs, under whom, and how it is. Pure.

use client::ClusterStatus;
use protocol::answer::NodeStatus;
use protocol::tree::{ActorState, TreeLine};

use super::{counted, printable, state};

/// The coordinator's tree, then those of the nodes.
pub(super) fn tree(status: &ClusterStatus) -> String {
    let mut text = drawn(&format!("coordinator of {}", printable(&status.cluster)), &status.tree);
    for node in &status.nodes {
        text.push_str(&drawn(&title(node), &node.tree));
    }
    text
}

fn title(node: &NodeStatus) -> String {
    let untold = if node.tree.is_empty() { ": it tells nothing of its actors" } else { "" };
    format!("{} ({}){untold}", printable(&node.name), state(node.state))
}

fn drawn(title: &str, lines: &[TreeLine]) -> String {
    // Whoever tells it may lie about depths: a line is at most one deeper than the one above.
    let mut depths: Vec<usize> = Vec::with_capacity(lines.len());
    for line in lines {
        let deepest = depths.last().map_or(0, |depth| depth + 1);
        depths.push(usize::from(line.depth).min(deepest));
    }
    let drawn: Vec<(String, String)> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| (format!("{}{}", rails(&depths, at), printable(&line.name)), told(line)))
        .collect();
    let width = drawn.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    drawn.iter().fold(format!("{title}\n"), |text, (name, told)| format!("{text}{name:<width$}  {told}\n"))
}

/// What stands in front of a name: `│  ├─ `.
fn rails(depths: &[usize], at: usize) -> String {
    let depth = depths.get(at).copied().unwrap_or(0);
    let rest = depths.get(at + 1..).unwrap_or_default();
    // Whether another of this depth follows under the same supervisor.
    let goes_on = |depth: usize| rest.iter().take_while(|other| **other >= depth).any(|other| *other == depth);
    let outer: String = (0..depth).map(|depth| if goes_on(depth) { "│  " } else { "   " }).collect();
    format!("{outer}{}", if goes_on(depth) { "├─ " } else { "└─ " })
}

fn told(line: &TreeLine) -> String {
    let state = match line.state {
        ActorState::Running => "running",
        ActorState::Restarting => "restarting",
        ActorState::Dead => "dead",
        ActorState::Done => "done",
    };
    let restarts = match line.restarts {
        0 => String::new(),
        restarts => format!(", {}", counted(restarts.into(), "restart")),
    };
    let failure = line.failure.as_ref().map(|failure| format!("; {}", printable(failure)));
    format!("{state}{restarts}{}", failure.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supervisors_stand_above_their_children() {
        let lines = [
            TreeLine::running(0, "supervisor of a"),
            TreeLine {
                state: ActorState::Restarting,
                restarts: 2,
                failure: Some("it\nbroke".into()),
                ..TreeLine::running(1, "worker a")
            },
            TreeLine { state: ActorState::Dead, ..TreeLine::running(0, "supervisor of b") },
            TreeLine::running(0, "links"),
            TreeLine::running(1, "link to x"),
            TreeLine { restarts: 1, ..TreeLine::running(1, "link to y") },
        ];
        let expected = "\
node-1
├─ supervisor of a  running
│  └─ worker a      restarting, 2 restarts; it?broke
├─ supervisor of b  dead
└─ links            running
   ├─ link to x     running
   └─ link to y     running, 1 restart
";
        assert_eq!(drawn("node-1", &lines), expected);
    }

    #[test]
    fn a_depth_that_cannot_be_is_mended() {
        let lines = [TreeLine::running(255, "a"), TreeLine::running(255, "b"), TreeLine::running(0, "c")];
        assert_eq!(drawn("t", &lines), "t\n├─ a     running\n│  └─ b  running\n└─ c     running\n");
    }
}
