//! The supervisor: restarts with waits, escalation, and order.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use actors::supervisor::{ChildSpec, Supervisor, SupervisorArgs};
use actors::tree::{Branch, look};
use policy::restart::{Backoff, Intensity};
use protocol::tree::{ActorState, TreeLine};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// What a child can be told.
enum Tell {
    Fail,
    Panic,
    Stop,
}

/// What a child says: its name, and what it does.
#[derive(Debug, PartialEq)]
enum Said {
    Started(&'static str),
    Stopped(&'static str),
}

struct Child {
    name: &'static str,
    said: mpsc::Sender<(Said, Option<ActorRef<Tell>>)>,
}

impl Actor for Child {
    type Msg = Tell;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Tell>, (): ()) -> Result<(), ActorProcessingErr> {
        self.said.try_send((Said::Started(self.name), Some(myself)))?;
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Tell>, message: Tell, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match message {
            Tell::Fail => Err("told to fail".into()),
            Tell::Panic => panic!("told to panic"),
            Tell::Stop => {
                myself.stop(None);
                Ok(())
            }
        }
    }

    async fn post_stop(&self, _: ActorRef<Tell>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.said.try_send((Said::Stopped(self.name), None))?;
        Ok(())
    }
}

type Hearing = mpsc::Receiver<(Said, Option<ActorRef<Tell>>)>;

fn children(names: &[&'static str]) -> (Vec<ChildSpec>, Hearing) {
    let (said, hearing) = mpsc::channel(100);
    let specs = names.iter().map(|&name| {
        let said = said.clone();
        ChildSpec::new(name, move |parent| {
            let child = Child { name, said: said.clone() };
            async move { Child::spawn_linked(None, child, (), parent).await.map(|(child, _)| child.get_cell()) }
        })
    });
    (specs.collect(), hearing)
}

fn args(children: Vec<ChildSpec>) -> SupervisorArgs {
    let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(4) };
    let intensity = Intensity { max_restarts: 3, within: Duration::from_secs(60), backoff };
    SupervisorArgs { intensity, children, seed: 1, grace: Duration::from_secs(5) }
}

async fn started(hearing: &mut Hearing) -> (&'static str, ActorRef<Tell>) {
    match hearing.recv().await.unwrap() {
        (Said::Started(name), Some(child)) => (name, child),
        (said, _) => panic!("{said:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_child_starts_again_after_growing_waits() {
    let (specs, mut hearing) = children(&["a", "b"]);
    let (_supervisor, _) = Supervisor::spawn(None, Supervisor, args(specs)).await.unwrap();
    let (_, mut child) = started(&mut hearing).await;
    let (_, other) = started(&mut hearing).await;
    for (tell, least, most) in [(Tell::Fail, 500, 1_000), (Tell::Panic, 1_000, 2_000), (Tell::Fail, 2_000, 4_000)] {
        let begun = Instant::now();
        child.send_message(tell).unwrap();
        let (name, again) = started(&mut hearing).await;
        let waited = begun.elapsed().as_millis();
        assert_eq!(name, "a", "one for one");
        assert!((least..=most + 1).contains(&waited), "waited {waited} ms, expected {least} to {most}");
        child = again;
    }
    assert_eq!(other.get_status(), ractor::ActorStatus::Running, "its sibling is left alone");
}

#[tokio::test(start_paused = true)]
async fn one_failure_too_many_ends_the_supervisor_and_the_siblings_in_order() {
    let (specs, mut hearing) = children(&["a", "b", "c"]);
    let (watch, mut fate) = mpsc::channel(10);
    let (watcher, _) = Watcher::spawn(None, Watcher, watch).await.unwrap();
    let (_supervisor, _) = Supervisor::spawn_linked(None, Supervisor, args(specs), watcher.get_cell()).await.unwrap();
    let (_, mut child) = started(&mut hearing).await;
    started(&mut hearing).await;
    started(&mut hearing).await;
    for _ in 0..3 {
        child.send_message(Tell::Fail).unwrap();
        child = started(&mut hearing).await.1;
    }
    child.send_message(Tell::Fail).unwrap();
    let reason = fate.recv().await.unwrap();
    assert!(reason.contains("a has failed 4 times"), "{reason}");
    assert!(reason.contains("told to fail"), "{reason}");
    assert_eq!(hearing.recv().await.unwrap().0, Said::Stopped("c"));
    assert_eq!(hearing.recv().await.unwrap().0, Said::Stopped("b"));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_stops_by_itself_is_done() {
    let (specs, mut hearing) = children(&["a"]);
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args(specs)).await.unwrap();
    started(&mut hearing).await.1.send_message(Tell::Stop).unwrap();
    assert_eq!(hearing.recv().await.unwrap().0, Said::Stopped("a"));
    sleep(Duration::from_secs(30)).await;
    assert!(hearing.try_recv().is_err(), "it was started again");
    assert_eq!(supervisor.get_status(), ractor::ActorStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn children_stop_in_reverse_order() {
    let (specs, mut hearing) = children(&["a", "b", "c"]);
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args(specs)).await.unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(started(&mut hearing).await.0, name);
    }
    supervisor.stop_and_wait(None, None).await.unwrap();
    for name in ["c", "b", "a"] {
        assert_eq!(hearing.recv().await.unwrap().0, Said::Stopped(name));
    }
}

/// Reports how its child failed.
struct Watcher;

impl Actor for Watcher {
    type Msg = ();
    type State = mpsc::Sender<String>;
    type Arguments = mpsc::Sender<String>;

    async fn pre_start(&self, _: ActorRef<()>, fate: Self::Arguments) -> Result<Self::State, ActorProcessingErr> {
        Ok(fate)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        fate: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, reason) = event {
            fate.try_send(reason.to_string())?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn it_says_who_its_children_are_and_what_they_went_through() {
    let (specs, mut hearing) = children(&["a", "b", "c"]);
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args(specs)).await.unwrap();
    let [(_, a), (_, b), _c] = [started(&mut hearing).await, started(&mut hearing).await, started(&mut hearing).await];
    let branch = Branch { name: "top".to_owned(), supervisor: supervisor.clone() };
    a.send_message(Tell::Fail).unwrap();
    b.send_message(Tell::Stop).unwrap();
    assert_eq!(hearing.recv().await.unwrap().0, Said::Stopped("b"));
    sleep(Duration::from_millis(10)).await;
    let failed = Some("told to fail".to_owned());
    let line = |name: &str, state, failure| TreeLine { state, failure, ..TreeLine::running(1, name) };
    let expected =
        |a| vec![TreeLine::running(0, "top"), a, line("b", ActorState::Done, None), TreeLine::running(1, "c")];
    let branches = [branch];
    assert_eq!(look(&branches).await, expected(line("a", ActorState::Restarting, failed.clone())));
    started(&mut hearing).await;
    let again = TreeLine { restarts: 1, ..line("a", ActorState::Running, failed) };
    assert_eq!(look(&branches).await, expected(again));

    supervisor.stop_and_wait(None, None).await.unwrap();
    let dead = TreeLine { state: ActorState::Dead, ..TreeLine::running(0, "top") };
    assert_eq!(look(&branches).await, [dead], "what has given up is shown as such");
}
