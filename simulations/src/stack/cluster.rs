//! Coordinators, nodes, clients and the network between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actors::guarded::Guarded;
use actors::mock::bundle;
use actors::node::{Among, DIAL, Dialer};
use actors::simulated::{Coordinator, Host, HostOptions, question};
use policy::invariants::Invariant;
use policy::restart::Jitter;
use protocol::answer::NodeState;
use protocol::config::Config;
use protocol::ids::{Incarnation, NodeId, RequestId};
use protocol::message::OrderAction;
use protocol::units::Tokens;
use text::Text;
use tokio::time::{sleep, timeout};
use transport::BoxFuture;
use transport::connection::Connection;

use super::client::{Client, Question};
use super::engine::{Machine, Switch};
use super::journal::Journal;
use super::money::Purse;
use super::oracle::Breach;
use super::wire::{Network, Place};

/// Tokens in a block.
pub const BLOCK: usize = 16;
/// How often a state that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Coordinators that are there, by number.
type Seats = Arc<Guarded<BTreeMap<u64, Arc<Coordinator>>>>;

/// The way from a node to whoever is the coordinator of this number now.
struct Road {
    network: Arc<Network>,
    seats: Seats,
    node: NodeId,
    coordinator: u64,
    address: String,
}

impl Dialer for Road {
    fn address(&self) -> &str {
        &self.address
    }

    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async {
            let connecting = timeout(DIAL, self.network.connect(self.node, self.coordinator)).await;
            let [near, far] = connecting.map_err(|_| "the coordinator does not answer".to_owned())??;
            let there = self.seats.lock().get(&self.coordinator).cloned();
            there.ok_or("nobody is there")?.serve(far, self.node);
            Ok(near)
        })
    }
}

/// A node, running or not.
#[derive(Debug)]
struct Seat {
    machine: Machine,
    dials: Vec<u64>,
    starts: u64,
    host: Option<Host>,
}

/// All of it.
pub struct Cluster {
    /// The network.
    pub network: Arc<Network>,
    /// What happens.
    pub journal: Journal,
    /// The money, if there is any.
    pub purse: Option<Purse>,
    seed: u64,
    random: Jitter,
    text: Option<Arc<Text>>,
    configs: BTreeMap<u64, Config>,
    seats: Seats,
    nodes: BTreeMap<u64, Seat>,
    clients: Vec<Client>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Nobody is there yet.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            network: Network::new(seed),
            journal: Journal::start(),
            purse: None,
            seed,
            random: Jitter::new(seed ^ 0xc1a5),
            text: Text::new(bundle()).ok().map(Arc::new),
            configs: BTreeMap::new(),
            seats: Seats::default(),
            nodes: BTreeMap::new(),
            clients: Vec::new(),
        }
    }

    /// A number in [0, 1).
    pub fn draw(&mut self) -> f64 {
        self.random.draw()
    }

    /// A time between two.
    pub fn draw_time(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.random.draw())
    }

    /// Starts a coordinator with these settings.
    ///
    /// # Errors
    /// Its actors cannot be started.
    pub async fn coordinator(&mut self, number: u64, config: Config) -> Result<(), Breach> {
        self.configs.insert(number, config);
        self.start_coordinator(number).await
    }

    /// Starts a coordinator again: it knows nothing of before.
    ///
    /// # Errors
    /// Its actors cannot be started.
    pub async fn start_coordinator(&mut self, number: u64) -> Result<(), Breach> {
        let config = self.configs.get(&number).cloned().unwrap_or_default();
        let coordinator = Coordinator::start(&config).await.map_err(Breach::harness)?;
        self.seats.lock().insert(number, coordinator);
        self.network.up(Place::Coordinator(number));
        self.journal.note(format!("coordinator-{number} starts"));
        Ok(())
    }

    /// Ends a coordinator without a word.
    pub fn kill_coordinator(&mut self, number: u64) {
        self.journal.note(format!("coordinator-{number} is killed"));
        self.network.down(Place::Coordinator(number));
        // What the dying process would say to them does not arrive.
        let orphans = self.clients.iter_mut().filter(|client| client.coordinator == number);
        orphans.for_each(Client::orphan);
        let killed = self.seats.lock().remove(&number);
        if let Some(coordinator) = killed {
            coordinator.kill();
        }
    }

    /// A node that dials these coordinators.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn node(&mut self, number: u64, machine: Machine, dials: &[u64]) -> Result<(), Breach> {
        self.nodes.insert(number, Seat { machine, dials: dials.to_vec(), starts: 0, host: None });
        self.start_node(number).await
    }

    /// Starts a node again, with an empty cache.
    ///
    /// # Errors
    /// It cannot be started, or is not known.
    pub async fn start_node(&mut self, number: u64) -> Result<(), Breach> {
        let seat = self.nodes.get_mut(&number).ok_or_else(|| Breach::harness(format!("no node {number}")))?;
        seat.starts += 1;
        self.network.up(Place::Node(number));
        let road = |coordinator: &u64| -> Arc<dyn Dialer> {
            Arc::new(Road {
                network: Arc::clone(&self.network),
                seats: Arc::clone(&self.seats),
                node: NodeId(number),
                coordinator: *coordinator,
                address: format!("coordinator-{coordinator}"),
            })
        };
        let roads = seat.dials.iter().map(road).collect();
        let (id, incarnation) = (NodeId(number), Incarnation(seat.starts));
        let options = HostOptions { id, incarnation, seed: self.seed ^ number.rotate_left(32) ^ seat.starts };
        let machine = seat.machine.clone();
        let host = Host::start(options, move || machine.engine(), |_| Among::default(), roads).await;
        seat.host = Some(host.map_err(Breach::harness)?);
        self.journal.note(format!("node-{number} starts"));
        Ok(())
    }

    /// Ends a node without a word.
    pub fn kill_node(&mut self, number: u64) {
        self.journal.note(format!("node-{number} is killed"));
        self.network.down(Place::Node(number));
        if let Some(host) = self.nodes.get_mut(&number).and_then(|seat| seat.host.take()) {
            host.kill();
        }
    }

    /// Starts those nodes again whose supervisors have given up, as whoever started their processes would.
    ///
    /// # Errors
    /// One cannot be started.
    pub async fn start_failed(&mut self) -> Result<(), Breach> {
        let failed: Vec<u64> = self.hosts().filter(|(_, host)| !host.runs()).map(|(number, _)| number).collect();
        for number in failed {
            self.journal.note(format!("node-{number} has given up"));
            self.kill_node(number);
            self.start_node(number).await?;
        }
        Ok(())
    }

    /// The switch of a node's engine.
    pub fn switch(&self, number: u64) -> Switch {
        self.nodes.get(&number).map(|seat| seat.machine.switch.clone()).unwrap_or_default()
    }

    /// The coordinators that are there.
    pub fn coordinators(&self) -> Vec<(u64, Arc<Coordinator>)> {
        self.seats.lock().iter().map(|(number, coordinator)| (*number, Arc::clone(coordinator))).collect()
    }

    /// A coordinator.
    ///
    /// # Errors
    /// It is not there.
    pub fn at(&self, number: u64) -> Result<Arc<Coordinator>, Breach> {
        let found = self.seats.lock().get(&number).cloned();
        found.ok_or_else(|| Breach::harness(format!("coordinator-{number} is not there")))
    }

    /// The nodes that run.
    pub fn hosts(&self) -> impl Iterator<Item = (u64, &Host)> {
        self.nodes.iter().filter_map(|(number, seat)| seat.host.as_ref().map(|host| (*number, host)))
    }

    /// Passes an operator's wish on.
    ///
    /// # Errors
    /// The node is not there.
    pub fn order(&self, coordinator: u64, node: u64, action: OrderAction) -> Result<(), Breach> {
        self.journal.note(format!("node-{node} is told: {action:?}"));
        let told = self.at(coordinator)?.directory.order(&format!("node-{node}"), action);
        told.map(drop).map_err(Breach::harness)
    }

    /// How a coordinator sees its nodes.
    pub fn states(&self, coordinator: u64) -> BTreeMap<String, NodeState> {
        let Ok(coordinator) = self.at(coordinator) else { return BTreeMap::new() };
        let status = coordinator.directory.status("", 0, Vec::new());
        status.nodes.into_iter().map(|node| (node.name, node.state)).collect()
    }

    /// Waits until a coordinator sees so many nodes ready.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn ready(&self, coordinator: u64, nodes: usize, limit: Duration) -> Result<(), Breach> {
        let ready = || self.states(coordinator).values().filter(|state| **state == NodeState::Ready).count() == nodes;
        self.until("all must recover", limit, ready).await.map_err(|breach| {
            breach.with(format!(
                "coordinator-{coordinator} shall see {nodes} nodes, it sees {:?}",
                self.states(coordinator)
            ))
        })
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// It is not within `limit`.
    pub async fn until(&self, promise: &'static str, limit: Duration, is: impl Fn() -> bool) -> Result<(), Breach> {
        let waits = async {
            while !is() {
                sleep(LOOK).await;
            }
        };
        timeout(limit, waits).await.map_err(|_| Breach::scenario(promise, format!("not within {limit:?}")))
    }

    /// A client asks. Its number.
    ///
    /// # Errors
    /// The coordinator is not there, or there is no money for it.
    pub fn ask(&mut self, coordinator: u64, asked: Question) -> Result<usize, Breach> {
        self.pay_and_ask(coordinator, asked)?.ok_or_else(|| Breach::harness("there is no money for it"))
    }

    /// A client asks, if there is money for it. Its number.
    ///
    /// # Errors
    /// The coordinator is not there.
    pub fn pay_and_ask(&mut self, coordinator: u64, asked: Question) -> Result<Option<usize>, Breach> {
        let there = self.at(coordinator)?;
        let text = self.text.clone().ok_or_else(|| Breach::harness("the mock has no words"))?;
        let number = self.clients.len();
        let request = RequestId((u128::from(coordinator) << 64) + number as u128 + 1);
        let mut task = question(request, asked.prompt.clone(), BLOCK, text);
        task.sampling = asked.sampling();
        task.limits.max_tokens = Tokens(asked.answer);
        (task.class, task.again) = (asked.class, asked.again);
        task.tenant = asked.tenant.into();
        task.random = self.seed ^ (number as u64).rotate_left(40);
        if let Some(purse) = &self.purse {
            match purse.bill(&task) {
                Ok(bill) => task.bill = Some(bill),
                Err(refused) => {
                    self.journal.note(format!("somebody is not taken in: {refused}"));
                    return Ok(None);
                }
            }
        }
        let of = if asked.again { " again" } else { "" };
        self.journal.note(format!("client {number} asks coordinator-{coordinator}{of}: {} tokens", asked.prompt.len()));
        let pieces = there.ask(task);
        let (degrading, journal) = (Arc::clone(&there.degrading), self.journal.clone());
        self.clients.push(Client::start((number, coordinator), asked, pieces, degrading, journal));
        Ok(Some(number))
    }

    /// A client.
    ///
    /// # Errors
    /// There is none of that number.
    pub fn client(&self, number: usize) -> Result<&Client, Breach> {
        self.clients.get(number).ok_or_else(|| Breach::harness(format!("no client {number}")))
    }

    /// All clients so far.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// How many have asked.
    pub fn asked(&self) -> usize {
        self.clients.len()
    }

    /// A client vanishes.
    pub fn leave(&mut self, number: usize) {
        self.journal.note(format!("client {number} vanishes"));
        if let Some(client) = self.clients.get_mut(number) {
            client.leave();
        }
    }

    /// Waits until all answers have come to their end.
    ///
    /// # Errors
    /// They have not within `limit`.
    pub async fn over(&self, limit: Duration) -> Result<(), Breach> {
        let all = async {
            for client in &self.clients {
                client.over().await;
            }
        };
        timeout(limit, all).await.map_err(|_| {
            let open = self.clients.iter().filter(|client| client.is_open()).map(|client| client.number);
            let open: Vec<usize> = open.collect();
            let what = format!("after {limit:?} these have not ended: {open:?}");
            policy::invariants::Breach::new(Invariant::EndsOnce, what).into()
        })
    }

    /// The mock's words.
    pub(super) fn text(&self) -> Option<Arc<Text>> {
        self.text.clone()
    }
}
