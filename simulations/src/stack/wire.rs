//! Connections inside one process over lines with faults: what QUIC makes of a bad network, without QUIC.
//!
//! Rules: a line carries one direction between two machines. Inside a stream bytes are ordered and never lost, as
//! in QUIC; what a line does is delay them, by a fixed time, a random one and its bandwidth; streams overtake each
//! other. A line that does not pass keeps what is sent and delivers it when it passes again, as a retransmission
//! would. Who hears nothing for the idle timeout is [`Lost::Silent`]; who speaks to a machine that has forgotten the
//! connection is told so ([`Lost::Forgotten`]). Everything left to chance is drawn from one seed.
//!
//! Left to others: which faults come when (the scenarios), and what is said (`actors`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actors::guarded::Guarded;
use actors::watch;
use policy::restart::Jitter;
use protocol::ids::NodeId;
use tokio::time::{sleep, timeout};
use transport::connection::{Connection, Peer};

mod end;
mod line;
mod stream;

pub use end::SimulatedConnection;

/// Silence that ends a connection, as `wire.idle_timeout` has it.
pub const IDLE: Duration = Duration::from_secs(5);
/// How often a quiet connection speaks all the same, as `wire.keep_alive` has it.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// How long a handshake may take, as `wire.handshake` has it.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A coordinator.
    Coordinator(u64),
    /// A node.
    Node(u64),
}

/// How one direction between two machines is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// What every packet takes.
    pub delay: Duration,
    /// The most that it takes beyond that.
    pub jitter: Duration,
    /// Bytes a second; none: as many as there are.
    pub bandwidth: Option<u64>,
    /// Whether anything arrives.
    pub passes: bool,
}

impl Default for Line {
    /// A good network of one site.
    fn default() -> Self {
        Self { delay: Duration::from_micros(500), jitter: Duration::ZERO, bandwidth: None, passes: true }
    }
}

#[derive(Debug)]
struct State {
    /// Those that are not as the usual one.
    lines: BTreeMap<(Place, Place), Line>,
    usual: Line,
    /// Counts starts and ends of each machine: odd while it is up.
    lives: BTreeMap<Place, u64>,
    jitter: Jitter,
    /// Raised when connections of two machines shall break.
    breaks: BTreeMap<(Place, Place), u64>,
}

/// All machines and the lines between them.
#[derive(Debug)]
pub struct Network {
    state: Guarded<State>,
    /// Counts what has changed.
    changes: watch::Sender<u64>,
}

impl Network {
    /// Good lines between machines that are all down.
    pub fn new(seed: u64) -> Arc<Self> {
        let (lines, lives, breaks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let state = State { lines, usual: Line::default(), lives, jitter: Jitter::new(seed ^ 0x11fe), breaks };
        Arc::new(Self { state: Guarded::new(state), changes: watch::Sender::new(0) })
    }

    /// A machine is started, or started again: what it knew of connections is forgotten.
    pub fn up(&self, place: Place) {
        self.change(|state| {
            let life = state.lives.entry(place).or_default();
            *life += 1 + *life % 2;
        });
    }

    /// A machine is gone without a word.
    pub fn down(&self, place: Place) {
        self.change(|state| {
            let life = state.lives.entry(place).or_default();
            *life += *life % 2;
        });
    }

    /// Every line without a state of its own is so from now on.
    pub fn usual(&self, line: Line) {
        self.change(|state| state.usual = line);
    }

    /// The line from one to the other, changed.
    pub fn alter(&self, from: Place, to: Place, change: impl FnOnce(&mut Line)) {
        self.change(|state| {
            let usual = state.usual;
            change(state.lines.entry((from, to)).or_insert(usual));
        });
    }

    /// What one sends does not reach the other, or does again.
    pub fn pass(&self, from: Place, to: Place, passes: bool) {
        self.alter(from, to, |line| line.passes = passes);
    }

    /// All lines are good again.
    pub fn heal(&self) {
        self.change(|state| {
            state.lines.clear();
            state.usual = Line::default();
        });
    }

    /// All connections between two machines are lost at both ends, as when a middlebox forgets them.
    pub fn cut(&self, one: Place, other: Place) {
        self.change(|state| *state.breaks.entry(pair(one, other)).or_default() += 1);
    }

    /// A number in [0, 1).
    fn draw(&self) -> f64 {
        self.state.lock().jitter.draw()
    }

    fn line(&self, from: Place, to: Place) -> Line {
        let state = self.state.lock();
        state.lines.get(&(from, to)).copied().unwrap_or(state.usual)
    }

    fn life(&self, place: Place) -> u64 {
        self.state.lock().lives.get(&place).copied().unwrap_or_default()
    }

    fn breaks(&self, one: Place, other: Place) -> u64 {
        self.state.lock().breaks.get(&pair(one, other)).copied().unwrap_or_default()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Connects a node with a coordinator: the node's end and the coordinator's. It takes a round trip.
    ///
    /// # Errors
    /// Nothing came back in time.
    pub async fn connect(self: &Arc<Self>, node: NodeId, coordinator: u64) -> Result<[Arc<dyn Connection>; 2], String> {
        let (near, far) = (Place::Node(node.0), Place::Coordinator(coordinator));
        let handshake = async {
            let mut changes = self.changes.subscribe();
            loop {
                changes.mark_unchanged();
                let (there, back) = (self.line(near, far), self.line(far, near));
                if there.passes && back.passes && is_up(self.life(far)) {
                    sleep(there.delay + back.delay + there.jitter.mul_f64(self.draw())).await;
                    return;
                }
                // The network outlives its connections.
                let _ = changes.changed().await;
            }
        };
        timeout(HANDSHAKE, handshake).await.map_err(|_| "the coordinator does not answer".to_owned())?;
        let node_sees = Peer { address: format!("coordinator-{coordinator}"), node: None };
        let coordinator_sees = Peer { address: format!("node-{}", node.0), node: Some(node) };
        let [ours, theirs] = SimulatedConnection::pair(self, [near, far], [node_sees, coordinator_sees]);
        Ok([ours, theirs])
    }
}

fn is_up(life: u64) -> bool {
    life % 2 == 1
}

fn pair(one: Place, other: Place) -> (Place, Place) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests;
