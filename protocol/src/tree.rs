//! Who runs in a process, as its supervisors say it.
//!
//! Rule: lines with a depth, not a tree of boxes: nobody who reads it can be led too deep.

use serde::{Deserialize, Serialize};

/// The most lines that a node tells.
pub const MAX_LINES: usize = 128;
/// The most characters of a name or a reason.
pub const MAX_TEXT: usize = 200;

/// A node's supervisors and their children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// From the top.
    pub lines: Vec<TreeLine>,
}

/// One actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeLine {
    /// 0 at the top; its supervisor is the nearest line above with one less.
    pub depth: u8,
    /// What it is called.
    pub name: String,
    /// How it is.
    pub state: ActorState,
    /// How often it was started again.
    pub restarts: u32,
    /// Why it failed the last time.
    pub failure: Option<String>,
}

/// How an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorState {
    /// It runs.
    Running,
    /// It has failed, and starts again after a wait.
    Restarting,
    /// It has failed too often, or will not come back.
    Dead,
    /// It came to its end by itself.
    Done,
}

impl Tree {
    /// As much as may be told.
    pub fn bounded(mut lines: Vec<TreeLine>) -> Self {
        lines.truncate(MAX_LINES);
        for line in &mut lines {
            for text in std::iter::once(&mut line.name).chain(&mut line.failure) {
                if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
                    text.truncate(end);
                }
            }
        }
        Self { lines }
    }
}

impl TreeLine {
    /// One that runs and has never failed.
    pub fn running(depth: u8, name: impl Into<String>) -> Self {
        Self { depth, name: name.into(), state: ActorState::Running, restarts: 0, failure: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_tree_fits_its_frame() {
        let long = "\u{1F3AD}".repeat(MAX_TEXT + 1);
        let line = TreeLine { failure: Some(long.clone()), ..TreeLine::running(1, long) };
        let tree = Tree::bounded(vec![line; MAX_LINES + 1]);
        assert_eq!((tree.lines.len(), tree.lines[0].name.chars().count()), (MAX_LINES, MAX_TEXT));
        let mut bytes = Vec::new();
        crate::frame::Frame::from(tree).write(&mut bytes).unwrap();
    }
}
