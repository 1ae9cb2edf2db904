//! What a coordinator looks at several times a second: its nodes, what they have cached, who waits, how far each model is
//! degraded. Simulated coordinators look at the same.

use std::sync::Arc;
use std::time::Duration;

use super::degrading::Degrading;
use super::directory::Directory;
use super::index::PrefixIndex;
use super::waiting::Waiting;

/// How often.
pub const SWEEP: Duration = Duration::from_millis(100);

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Looks {
    /// Which nodes are there.
    pub directory: Arc<Directory>,
    /// What they have cached.
    pub index: Arc<PrefixIndex>,
    /// Who waits for them.
    pub waiting: Arc<Waiting>,
    /// How far each model is degraded.
    pub degrading: Arc<Degrading>,
}

impl Looks {
    /// Looks at health first, then sets gauges and checks promises, then decides how far to degrade.
    pub fn look(&self) {
        self.directory.sweep();
        self.directory.measure();
        self.index.measure();
        self.waiting.measure();
        self.degrading.tick(&self.directory, &self.waiting);
    }
}
