//! A world: its machines, and what happens to them until all is well again, or something did not hold.

use policy::invariants::{Breach, Invariant};
use policy::planted::Planted;

use super::client::Clients;
use super::coordinator::{Coordinator, Settings};
use super::disk::WATCH;
use super::events::{Due, Machine, Packet, Timer};
use super::ground::Ground;
use super::heal;
use super::node::Node;
use super::plan::{Kind, Plan};
use super::report::Outcome;
use super::{check, client};

/// How a world is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Mistakes on purpose.
    pub planted: Planted,
    /// Keep the history.
    pub keep: bool,
}

/// All machines.
#[derive(Debug)]
pub struct World {
    /// What it stands on.
    pub ground: Ground,
    /// All coordinators.
    pub coordinators: Vec<Coordinator>,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// What goes wrong in it.
    pub plan: Plan,
    /// No fault happens any more.
    pub calm: bool,
    /// How often nodes were given something to do.
    pub stirred: u32,
    /// The last requests have come.
    pub last: bool,
}

/// Runs a plan to its end.
pub fn run(plan: &Plan, options: Options) -> Outcome {
    let mut world = World::new(plan.clone(), options);
    let breach = world.go().err();
    world.outcome(breach)
}

impl World {
    fn new(plan: Plan, options: Options) -> Self {
        let settings = Settings::of(&plan, options.planted);
        let clients = Clients::new(plan.seed, &plan.work);
        let ground = Ground::new(plan.seed, clients, options.keep);
        let coordinators = (0..plan.coordinators).map(|number| Coordinator::new(number, settings.clone())).collect();
        let shapes = plan.nodes.iter().cloned().enumerate();
        let nodes = shapes.map(|(number, shape)| Node::new(number, shape, plan.coordinators)).collect();
        Self { ground, coordinators, nodes, plan, calm: false, stirred: 0, last: false }
    }

    fn go(&mut self) -> Result<(), Breach> {
        for coordinator in &mut self.coordinators {
            coordinator.start(&mut self.ground).map_err(unusable)?;
        }
        for node in &mut self.nodes {
            node.start(&mut self.ground);
        }
        for (place, work) in self.plan.work.iter().enumerate() {
            self.ground.at(work.at, Due::Asks(place));
            if let Some(leaves) = work.leaves {
                self.ground.at(work.at + leaves, Due::Leaves(place));
            }
        }
        for (place, fault) in self.plan.faults.iter().enumerate() {
            self.ground.at(fault.at, Due::Fault(place));
            self.ground.at(fault.at + fault.lasts, Due::FaultEnds(place));
        }
        self.ground.at(self.plan.calm, Due::Calm);
        while let Some(due) = self.ground.advance() {
            self.ground.tally.events += 1;
            let touched = self.happens(due)?;
            check::after(self, touched)?;
            if self.calm && matches!(touched, Some(check::Touched::Calm)) && heal::is_healed(self)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Something happens. What it may have changed.
    fn happens(&mut self, due: Due) -> Result<Option<check::Touched>, Breach> {
        use check::Touched;
        Ok(match due {
            Due::Fault(place) => {
                self.fault(place);
                Some(Touched::All)
            }
            Due::FaultEnds(place) => {
                self.fault_ends(place)?;
                Some(Touched::All)
            }
            Due::Calm => {
                self.calm = true;
                heal::stir(self)?;
                Some(Touched::Calm)
            }
            Due::Asks(client) => {
                self.asks(client);
                Some(Touched::All)
            }
            Due::Leaves(client) => {
                if let Some((coordinator, ask)) = self.ground.leaves(client) {
                    self.ground.note(|| format!("ask {ask:x}: the client leaves"));
                    if let Some(coordinator) = self.coordinators.get_mut(coordinator) {
                        coordinator.leaves(&mut self.ground, ask);
                    }
                }
                Some(Touched::All)
            }
            Due::Notices(client, ask) => {
                self.ground.notices(client, ask);
                None
            }
            Due::Arrives(packet) => self.arrives(*packet),
            Due::Timer(machine, life, timer) => {
                if !self.ground.lives(machine, life) {
                    return Ok(None);
                }
                self.timer(machine, timer);
                // A coordinator may end requests, and settle them, at any of its times.
                let quick = matches!(machine, Machine::Node(_));
                Some(if quick { Touched::Lightly(machine) } else { Touched::Machine(machine) })
            }
        })
    }

    fn arrives(&mut self, packet: Packet) -> Option<check::Touched> {
        let to = packet.to;
        if !self.ground.is_up(to) {
            return None;
        }
        self.ground.note(|| format!("{} to {to}: {}", packet.from, packet.body.line()));
        let quick = matches!(packet.body, super::events::Body::Report(_) | super::events::Body::Cache(_));
        match to {
            Machine::Coordinator(number) => self.coordinators.get_mut(number)?.hear(&mut self.ground, packet),
            Machine::Node(number) => self.nodes.get_mut(number)?.hear(&mut self.ground, packet),
        }
        Some(if quick { check::Touched::Lightly(to) } else { check::Touched::Machine(to) })
    }

    fn timer(&mut self, machine: Machine, timer: Timer) {
        match machine {
            Machine::Coordinator(number) => {
                if let Some(coordinator) = self.coordinators.get_mut(number) {
                    coordinator.timer(&mut self.ground, timer);
                }
            }
            Machine::Node(number) => {
                let Some(node) = self.nodes.get_mut(number) else { return };
                match timer {
                    Timer::Report => node.tick(&mut self.ground),
                    Timer::Dial(coordinator) => node.dial(&mut self.ground, coordinator),
                    Timer::Step(number) => node.step_ends(&mut self.ground, number),
                    Timer::Gather(key) => node.gathered(&mut self.ground, key),
                    _ => {}
                }
            }
        }
    }

    /// A client asks the first coordinator that is there.
    fn asks(&mut self, client: usize) {
        let Some(choices) = self.ground.choices(client, self.coordinators.len()) else { return };
        let there = choices.iter().copied().find(|number| self.ground.is_up(Machine::Coordinator(*number)));
        let Some(number) = there else { return self.ground.searches(client) };
        let ask = self.ground.clients.ask(client, number);
        let work = self.ground.clients.all.get(client).map_or(0, |client| client.work.number);
        self.ground.note(|| format!("w{work} asks c{number} as {ask:x}"));
        if let Some(coordinator) = self.coordinators.get_mut(number) {
            coordinator.arrives(&mut self.ground, ask, client);
        }
    }

    fn fault(&mut self, place: usize) {
        let Some(fault) = self.plan.faults.get(place).copied() else { return };
        *self.ground.tally.faults.entry(fault.kind.as_str()).or_default() += 1;
        self.ground.note(|| format!("fault: {fault}"));
        let ground = &mut self.ground;
        match fault.kind {
            Kind::KillNode(node) => on(&mut self.nodes, node, |node| node.kill(ground)),
            Kind::KillCoordinator(number) => on(&mut self.coordinators, number, |it| it.kill(ground)),
            Kind::Stall(node) => on(&mut self.nodes, node, |node| node.stalls += 1),
            Kind::Slow(node, times) => on(&mut self.nodes, node, |node| node.slow.push(times)),
            Kind::EngineFails(node) => on(&mut self.nodes, node, |node| {
                node.broken += 1;
                node.lose_engine(ground);
            }),
            Kind::Cut(way, towards) => ground.cut(way, towards),
            Kind::Break(node, number) => {
                let conn = self
                    .coordinators
                    .get(number)
                    .and_then(|it| it.up.as_ref())
                    .and_then(|running| running.entries.get(&super::node::id(node)).map(|entry| entry.conn));
                if let Some(conn) = conn {
                    on(&mut self.nodes, node, |node| node.lose(ground, number, conn));
                }
            }
            Kind::Lose(way, share) => ground.net.trouble(way).lose.push(share),
            Kind::Double(way) => ground.net.trouble(way).double += 1,
            Kind::Late(way, by) => ground.net.trouble(way).late.push(by),
            Kind::Reorder(way) => ground.net.trouble(way).reorder += 1,
            Kind::LoseEvents(node, number, share) => {
                ground.net.trouble(super::plan::Way::Node(node, number)).lose_events.push(share);
            }
            Kind::Jump(machine, by) => ground.jump(machine, by),
            Kind::FullDisk(number) => on(&mut self.coordinators, number, |it| it.hard.full += 1),
        }
    }

    fn fault_ends(&mut self, place: usize) -> Result<(), Breach> {
        let Some(fault) = self.plan.faults.get(place).copied() else { return Ok(()) };
        self.ground.note(|| format!("over: {fault}"));
        let ground = &mut self.ground;
        match fault.kind {
            Kind::KillNode(node) => on(&mut self.nodes, node, |node| {
                if node.up.is_none() {
                    node.start(ground);
                }
            }),
            Kind::KillCoordinator(number) => {
                if let Some(coordinator) = self.coordinators.get_mut(number).filter(|it| it.up.is_none()) {
                    // It writes when it starts; whoever looks after it starts it until it can.
                    if coordinator.hard.full > 0 {
                        ground.at(ground.now + WATCH, Due::FaultEnds(place));
                        return Ok(());
                    }
                    coordinator.start(ground).map_err(unusable)?;
                }
            }
            Kind::Stall(node) => on(&mut self.nodes, node, |node| node.stalls = node.stalls.saturating_sub(1)),
            Kind::Slow(node, times) => on(&mut self.nodes, node, |node| take_out(&mut node.slow, &times)),
            Kind::EngineFails(node) => on(&mut self.nodes, node, |node| {
                node.broken = node.broken.saturating_sub(1);
                node.new_engine(ground);
            }),
            Kind::Cut(way, towards) => ground.join(way, towards),
            Kind::Lose(way, share) => take_out(&mut ground.net.trouble(way).lose, &share),
            Kind::Double(way) => ground.net.trouble(way).double -= 1,
            Kind::Late(way, by) => take_out(&mut ground.net.trouble(way).late, &by),
            Kind::Reorder(way) => ground.net.trouble(way).reorder -= 1,
            Kind::LoseEvents(node, number, share) => {
                take_out(&mut ground.net.trouble(super::plan::Way::Node(node, number)).lose_events, &share);
            }
            Kind::FullDisk(number) => on(&mut self.coordinators, number, |it| it.hard.full -= 1),
            Kind::Break(..) | Kind::Jump(..) => {}
        }
        Ok(())
    }

    fn outcome(mut self, breach: Option<Breach>) -> Outcome {
        let mut ends = std::collections::BTreeMap::<client::Outcome, u64>::new();
        let planned = self.plan.work.len();
        for outcome in self.ground.clients.all.iter().take(planned).filter_map(|client| client.outcome) {
            *ends.entry(outcome).or_default() += 1;
        }
        Outcome {
            seed: self.plan.seed,
            ends,
            took: self.ground.now,
            healed: self.ground.now.saturating_sub(self.plan.calm),
            hash: self.ground.log.hash(),
            breach,
            history: self.ground.log.take(),
            tally: self.ground.tally,
        }
    }
}

fn unusable(error: String) -> Breach {
    Breach::new(Invariant::AccountsAgree, format!("a store cannot be read any more: {error}"))
}

fn on<T>(all: &mut [T], place: usize, change: impl FnOnce(&mut T)) {
    if let Some(one) = all.get_mut(place) {
        change(one);
    }
}

/// Takes one of them out.
fn take_out<T: PartialEq>(all: &mut Vec<T>, one: &T) {
    if let Some(place) = all.iter().position(|other| other == one) {
        all.remove(place);
    }
}
