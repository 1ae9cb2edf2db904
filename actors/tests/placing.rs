//! Placement in the coordinator: what the directory knows of nodes, what was sent to them, and that all of it is
//! given back.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod placing {
    pub(crate) mod bed;
}

use std::sync::Arc;
use std::time::Duration;

use actors::cluster::placing::{Placed, Want};
use placing::bed::{Bed, chain, load, want};
use policy::restart::Jitter;
use protocol::config::{Placement, Policy};
use protocol::engine::Load;
use protocol::ids::{Incarnation, NodeId};
use protocol::message::{OrderAction, Refusal, Report, WorkerReport};
use protocol::serving::{LoadState, ModelPlace, Serving};
use protocol::units::{Blocks, Span, Tokens};

/// Longer than a report may have been under way.
const LATER: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn only_nodes_that_serve_the_model_and_may_be_asked_are() {
    let bed = Bed::new(Placement::default());
    let nodes = [bed.node(1), bed.node(2), bed.node(3), bed.serving(4, "other"), bed.node(5)];
    bed.starting(&nodes[2]);
    nodes[4].drain();
    let placed = bed.place(&want(1, 3));
    assert!([1, 2].contains(&placed.node.0));
    let mut rest = want(1, 3);
    rest.tried.push(placed.node);
    assert_eq!(bed.place(&rest).node.0, 3 - placed.node.0);
    rest.tried.push(NodeId(3 - placed.node.0));
    assert!(bed.try_place(&rest).is_none(), "everybody was tried");
    let mut unknown = want(1, 3);
    unknown.model = "nobody's".into();
    assert!(bed.try_place(&unknown).is_none());
    unknown.model = "other".into();
    unknown.words = [9; 32];
    assert!(bed.try_place(&unknown).is_none(), "its words are others");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(bed.try_place(&want(1, 3)).is_none(), "all are silent");
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_drain_gets_nothing_from_that_moment_on() {
    let bed = Bed::new(Placement::default());
    let node = bed.node(1);
    assert_eq!(bed.place(&want(1, 3)).node, NodeId(1));
    bed.directory.order("node-1", OrderAction::Drain { limit: LATER }).unwrap();
    assert!(bed.try_place(&want(1, 3)).is_none());
    bed.report(&node, Load::default());
    assert_eq!(bed.place(&want(1, 3)).node, NodeId(1), "its reports say when it takes work again");
}

#[tokio::test(start_paused = true)]
async fn what_is_cached_draws_and_what_waits_there_repels() {
    let bed = Bed::new(Placement::default());
    let nodes = [bed.node(1), bed.node(2), bed.node(3)];
    bed.prefixes.hold(2, 30);
    let placed = bed.place(&want(1, 32));
    assert_eq!((placed.node, placed.predicted), (NodeId(2), Tokens(30 * 32)));
    // 30 blocks are 0.48 s at the rate that is supposed.
    bed.report(&nodes[1], load(5_000));
    let placed = bed.place(&want(2, 32));
    assert!(placed.node != NodeId(2) && placed.predicted == Tokens::ZERO);
}

#[tokio::test(start_paused = true)]
async fn equal_prompts_that_come_together_go_together_until_another_node_is_sooner() {
    // 100 blocks take 1.6 s to compute: whoever follows waits for the first rather than compute them again, until
    // so many decode there that an idle node would be done sooner.
    let computed = |placed: &[Placed]| placed.iter().filter(|placed| placed.predicted == Tokens::ZERO).count();
    let bed = Bed::new(Placement::default());
    let _nodes: Vec<_> = (1..=4).map(|id| bed.node(id)).collect();
    let burst: Vec<Placed> = (0..12).map(|_| bed.place(&want(1, 100))).collect();
    assert!(burst[..3].iter().all(|placed| placed.node == burst[0].node));
    assert_eq!(burst[1].predicted, Tokens(99 * 32));
    assert!(computed(&burst) <= 4, "no node computes it twice");
    let blind = Bed::new(Placement { foresight: Span(Duration::ZERO), ..Placement::default() });
    let _nodes: Vec<_> = (1..=4).map(|id| blind.node(id)).collect();
    let burst: Vec<Placed> = (0..12).map(|_| blind.place(&want(1, 100))).collect();
    assert_eq!(computed(&burst), 12, "without foresight nobody is drawn anywhere");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_was_refused_is_not_believed_to_be_cached() {
    let bed = Bed::new(Placement::default());
    let _nodes = [bed.node(1), bed.node(2)];
    let first = bed.place(&want(1, 100));
    let refused = first.node;
    drop(first);
    let mut again = want(1, 100);
    again.tried.push(refused);
    let placed = bed.place(&again);
    assert_eq!(placed.predicted, Tokens::ZERO);
    // But one that ran there is, until the time is over.
    let Placed { mut reach, node, .. } = placed;
    reach.sent.granted(Tokens::ZERO);
    drop(reach);
    let follower = bed.place(&want(1, 100));
    assert_eq!((follower.node, follower.predicted), (node, Tokens(3_168)));
    tokio::time::advance(Duration::from_millis(600)).await;
    assert_eq!(bed.directory.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_counts_from_its_placement_to_its_end_whatever_is_reported() {
    let bed = Bed::new(Placement::default());
    let (one, _two) = (bed.node(1), bed.node(2));
    let mut first = bed.place(&want(1, 100));
    while first.node != NodeId(1) {
        let mut other = want(1, 100);
        other.tried.push(first.node);
        first = bed.place(&other);
    }
    let goes_to = |name: u32| bed.place(&want(name, 10)).node;
    assert_eq!(goes_to(2), NodeId(2), "the other waits");
    // A report that was made before the job came says nothing of it.
    bed.report(&one, Load::default());
    assert_eq!(goes_to(3), NodeId(2));
    first.reach.sent.granted(Tokens::ZERO);
    bed.report(&one, Load::default());
    assert_eq!(goes_to(4), NodeId(2));
    // One that was made after it does.
    tokio::time::advance(LATER).await;
    bed.report(&one, Load { running: 1, ..load(3_200) });
    assert_eq!(goes_to(5), NodeId(2));
    // Once its first token is there, the prompt is no load, without another report.
    bed.report(&_two, Load { running: 1, ..load(640) });
    first.reach.sent.computed();
    assert_eq!(goes_to(6), NodeId(1));
    drop(first);
    assert_eq!(bed.directory.sent(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_where_it_was_while_the_index_is_blind() {
    let bed = Bed::new(Placement { foresight: Span(Duration::ZERO), ..Placement::default() });
    let _nodes: Vec<_> = (1..=8).map(|id| bed.node(id)).collect();
    let mut conversation = want(1, 40);
    conversation.session = Some(7);
    let first = bed.place(&conversation).node;
    for _ in 0..10 {
        assert_eq!(bed.place(&conversation).node, first);
    }
    // An index that knows the nodes says that nothing is left there.
    bed.prefixes.know();
    assert!((0..30).any(|_| bed.place(&conversation).node != first));
    // After its time it is anybody's.
    let bed = Bed::new(Placement {
        session_ttl: Span(Duration::from_millis(100)),
        foresight: Span(Duration::ZERO),
        ..Placement::default()
    });
    let _nodes: Vec<_> = (1..=8).map(|id| bed.node(id)).collect();
    let mut places = Vec::new();
    for _ in 0..30 {
        places.push(bed.place(&conversation).node);
        tokio::time::advance(Duration::from_millis(101)).await;
        _nodes.iter().for_each(|node| bed.report(node, Load::default()));
    }
    places.dedup();
    assert!(places.len() > 10, "{places:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_carries_nothing_and_old_jobs_take_nothing_from_it() {
    let bed = Bed::new(Placement::default());
    let before = bed.node(1);
    let old = bed.place(&want(1, 10));
    let after = bed.node(1);
    assert_eq!(bed.directory.sent(), 0);
    let fresh = bed.place(&want(1, 10));
    assert_eq!(fresh.predicted, Tokens::ZERO, "what was on its way there is lost");
    drop(old);
    assert_eq!(bed.directory.sent(), 1);
    drop(before);
    assert_eq!(bed.directory.sent(), 1, "the older connection's end is not the node's");
    drop(after);
    assert!(bed.try_place(&want(1, 10)).is_none());
    drop(fresh);
}

#[tokio::test(start_paused = true)]
async fn ten_idle_nodes_get_equally_much() {
    for policy in [Policy::Prefix, Policy::LeastLoad, Policy::Random, Policy::RoundRobin] {
        let bed = Bed::new(Placement { policy, ..Placement::default() });
        let _nodes: Vec<_> = (0..10).map(|id| bed.node(id)).collect();
        let mut counts = [0; 10];
        for name in 0..10_000 {
            counts[bed.place(&want(name, 3)).node.0 as usize] += 1;
        }
        assert!(counts.iter().all(|count| (700..=1_300).contains(count)), "{policy:?}: {counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_at_once_nothing_stays_counted() {
    let bed = Arc::new(Bed::new(Placement::default()));
    let stays = bed.node(1);
    let tasks = (0..4u32).map(|task| {
        let bed = Arc::clone(&bed);
        tokio::spawn(async move {
            let mut jitter = Jitter::new(task.into());
            let mut held = Vec::new();
            let mut comes = None;
            for round in 0..2_000u32 {
                match (jitter.draw() * 6.0) as u32 {
                    0 => comes = (jitter.draw() < 0.5).then(|| bed.node(2 + u64::from(round % 3))),
                    1 => comes.iter().for_each(|node| bed.report(node, Load::default())),
                    2 => held.truncate(held.len() / 2),
                    _ => held.extend(bed.try_place(&want(round % 7, 20))),
                }
                for Placed { reach, .. } in &mut held {
                    if jitter.draw() < 0.2 {
                        reach.sent.granted(Tokens::ZERO);
                        reach.sent.computed();
                    }
                }
                held.truncate(20);
                tokio::task::yield_now().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    bed.report(&stays, Load::default());
    assert_eq!(bed.directory.sent(), 0);
    assert_eq!(bed.place(&want(1, 3)).node, NodeId(1));
}

#[test]
fn chains_with_one_name_begin_alike() {
    assert_eq!(chain(1, 5)[..], chain(1, 9)[..5]);
    assert_ne!(chain(1, 1), chain(2, 1));
    assert_eq!(Tokens(64).blocks(Tokens(32)), Blocks(2));
}

fn card_of(bed: &Bed, model: &str) -> protocol::engine::Card {
    protocol::engine::Card { model: model.to_owned(), ..bed.directory.card("mock").unwrap() }
}

fn said(bed: &Bed, models: &[&str], place: &str, state: LoadState) -> Serving {
    let cards = models.iter().map(|model| card_of(bed, model)).collect();
    Serving { cards, models: vec![ModelPlace { model: place.to_owned(), state }] }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_comes_gets_requests_and_one_that_goes_gets_none() {
    let bed = Bed::new(Placement::default());
    let (node, _other) = (bed.node(1), bed.node(2));
    let later = Want { model: "later".into(), ..want(1, 2) };
    assert!(bed.try_place(&later).is_none());
    let running = bed.place(&Want { tried: vec![NodeId(2)], ..want(1, 2) });
    node.serving(said(&bed, &["later", "mock"], "later", LoadState::Loaded)).unwrap();
    assert!(bed.try_place(&later).is_none(), "its worker has not reported yet");
    let worker = WorkerReport { ready: true, ..WorkerReport::default() };
    node.report(Report { incarnation: Incarnation(1), sequence: 99, workers: vec![worker; 2], draining: false });
    assert_eq!(bed.place(&later).node, NodeId(1));
    assert!(bed.directory.models().iter().any(|card| card.model == "later"));

    node.serving(said(&bed, &["later"], "mock", LoadState::Unloading)).unwrap();
    for _ in 0..20 {
        assert_eq!(bed.place(&want(1, 2)).node, NodeId(2), "it is not asked for what it has no more");
    }
    // What ran there ends without harm, though nobody counts it any more.
    drop(running);
    assert_eq!(bed.place(&later).node, NodeId(1), "the other model was not touched");
    assert!(bed.directory.could_serve("mock") && !bed.directory.could_serve("never"));
}

#[tokio::test(start_paused = true)]
async fn blocks_of_another_size_are_refused_when_a_model_comes_too() {
    let bed = Bed::new(Placement::default());
    let (node, _other) = (bed.serving(1, "mine"), bed.node(2));
    let mut odd = said(&bed, &["mock"], "mock", LoadState::Loaded);
    odd.cards[0].block = Tokens(16);
    assert!(matches!(node.serving(odd), Err(Refusal::BlockSize { model, .. }) if model == "mock"));
}

#[tokio::test(start_paused = true)]
async fn orders_that_a_node_cannot_follow_are_refused_by_name() {
    let bed = Bed::new(Placement::default());
    let node = bed.node(1);
    let load = |model: &str| OrderAction::Load { model: model.to_owned() };
    let unload = OrderAction::Unload { model: "mock".to_owned(), limit: Duration::ZERO };
    let error = |action: OrderAction| bed.directory.order("node-1", action).unwrap_err().to_string();
    assert_eq!(error(load("mock")), "the settings of node 'node-1' have no model 'mock'; they have: none");
    for (state, loads, how) in [
        (LoadState::Loaded, true, "loaded already"),
        (LoadState::Loading { fetched: None }, true, "being loaded already"),
        (LoadState::Idle, false, "not loaded"),
        (LoadState::Unloading, false, "being unloaded already"),
    ] {
        node.serving(said(&bed, &["mock"], "mock", state)).unwrap();
        let action = if loads { load("mock") } else { unload.clone() };
        assert_eq!(error(action), format!("the model 'mock' is {how} on node 'node-1'"));
    }
    for (state, action) in [(LoadState::failed("x"), load("mock")), (LoadState::Loaded, unload.clone())] {
        node.serving(said(&bed, &["mock"], "mock", state)).unwrap();
        assert_eq!(bed.directory.order("node-1", action).unwrap(), "node-1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reports_absurd_numbers_gets_nothing_and_harms_nobody() {
    let bed = Bed::new(Placement::default());
    let (liar, _other) = (bed.node(1), bed.node(2));
    let most = Load {
        running: u32::MAX,
        waiting: u32::MAX,
        prefill: Tokens(u64::MAX),
        blocks_used: Blocks(u64::MAX),
        blocks_total: Blocks(u64::MAX),
        ..Load::default()
    };
    bed.report(&liar, most);
    for name in 0..20 {
        assert_eq!(bed.place(&want(name, 3)).node, NodeId(2));
    }
    let pressure = bed.directory.pressure("mock");
    assert!(pressure.cache().is_finite(), "{pressure:?}");
    bed.directory.hosts();
    bed.directory.measure();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_always_idle_by_its_own_words_is_given_no_more_than_it_can_hold() {
    let bed = Bed::new(Placement::default());
    let (liar, honest) = (bed.node(1), bed.node(2));
    let mut open: Vec<Placed> = Vec::new();
    for name in 0..500 {
        // It says so after each, as if all that it was sent were done.
        tokio::time::advance(LATER).await;
        bed.report(&liar, Load::default());
        bed.report(&honest, load(1_000_000));
        open.extend(bed.try_place(&want(name, 3)));
    }
    let held = open.iter().filter(|placed| placed.node == NodeId(1)).count();
    assert_eq!((held, open.len()), (256, 500), "its card says how many it can hold, and the rest goes elsewhere");
}
