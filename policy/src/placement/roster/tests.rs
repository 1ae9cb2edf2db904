use super::*;
use crate::placement::ledger::Sent;
use crate::placement::{Candidate, choose};
use protocol::config::Placement;

const NOW: Duration = Duration::from_secs(1);

/// All are meant, and known.
struct All;

impl Nodes for All {
    fn meant(&self, _: NodeId, _: Kind) -> bool {
        true
    }

    fn known(&self, _: NodeId) -> bool {
        true
    }
}

/// What one tells that is idle.
fn idle() -> Told {
    let worker = WorkerReport { ready: true, ..WorkerReport::default() };
    Told { view: View { worker, jobs: 16, blocks: Blocks(1000) }, until: Duration::MAX, kind: Kind::default() }
}

fn serves(roster: &mut Roster, node: u64, link: u64) {
    roster.serves(NodeId(node), link);
    roster.told(NodeId(node), link, 1, Some(idle()));
}

/// Nodes that are all alike and idle.
fn roster(nodes: u64) -> Roster {
    let mut roster = Roster::new(&Placement::default());
    (0..nodes).for_each(|node| serves(&mut roster, node, 1));
    roster
}

fn chain(salt: u8) -> Vec<BlockHash> {
    let tokens: Vec<_> = (0..128).map(protocol::ids::TokenId).collect();
    BlockHash::chain([salt; 16], &tokens, 32).collect()
}

fn place(roster: &mut Roster, chain: &[BlockHash], tried: &[NodeId]) -> Option<Key> {
    let prompt = Prompt { tokens: Tokens(129), answer: Tokens(16), block: Tokens(32) };
    let wish = Wish { prompt, chain, session: None, tried };
    let settings = Settings::from(&Placement::default());
    let decision = roster.decide(NOW, &wish, &Hits::default(), &All, &settings, &mut || 0.5)?;
    roster.enter(NOW, &wish, decision.choices.first()?)
}

#[test]
fn the_second_sees_where_the_first_went() {
    let mut roster = roster(2);
    let first = place(&mut roster, &chain(1), &[]).unwrap();
    let other = place(&mut roster, &chain(2), &[]).unwrap();
    assert_ne!(first.node, other.node, "nothing is shared: the idle one is sooner");
    assert_eq!(roster.open(), 2);
    roster.ended(&first, &chain(1), true);
    roster.ended(&other, &chain(2), true);
    assert_eq!(roster.open(), 0);
}

#[test]
fn a_prompt_that_is_not_taken_is_not_expected_there() {
    let mut roster = roster(2);
    let first = place(&mut roster, &chain(1), &[]).unwrap();
    roster.ended(&first, &chain(1), false);
    let others = [NodeId(1 - first.node.0)];
    let again = place(&mut roster, &chain(1), &others).unwrap();
    assert_eq!((again.node, again.cached), (first.node, Blocks::ZERO));
    let third = place(&mut roster, &chain(1), &others).unwrap();
    assert_eq!(third.cached, Blocks(4), "the second is on its way");
}

#[test]
fn what_went_over_an_older_connection_ended_with_it() {
    let mut roster = roster(1);
    let old = place(&mut roster, &chain(1), &[]).unwrap();
    serves(&mut roster, 0, 2);
    assert_eq!(roster.open_at(NodeId(0)), 0);
    let new = place(&mut roster, &chain(1), &[]).unwrap();
    roster.ended(&old, &chain(1), true);
    assert_eq!(roster.open_at(NodeId(0)), 1, "a late word of the older one takes nothing out");
    roster.leaves(NodeId(0), 1);
    assert_eq!(roster.open_at(NodeId(0)), 1);
    roster.ended(&new, &chain(1), true);
    roster.leaves(NodeId(0), 2);
    assert!(roster.is_empty());
}

#[test]
fn faults_in_a_row_open_a_breaker_and_a_probe_closes_it() {
    let mut roster = roster(2);
    let settings = breaker::Settings { faults: 2, cooldown: NOW, longest: NOW };
    let other = NodeId(1);
    for _ in 0..2 {
        let key = place(&mut roster, &chain(1), &[other]).unwrap();
        roster.judge(NOW, &key, Some(Verdict::Fault), &settings, 0.0);
        roster.ended(&key, &chain(1), true);
    }
    assert_eq!(roster.breaker_of(NodeId(0)).map(|breaker| breaker.state(NOW)), Some(State::Open));
    assert_eq!(place(&mut roster, &chain(1), &[]).map(|key| key.node), Some(other));
    let later = NOW + Duration::from_secs(2);
    assert_eq!(roster.breaker_of(NodeId(0)).map(|breaker| breaker.state(later)), Some(State::HalfOpen));
}

#[test]
fn who_has_told_nothing_or_is_silent_for_too_long_is_not_asked() {
    let mut roster = roster(1);
    roster.serves(NodeId(1), 1);
    assert_eq!(place(&mut roster, &chain(1), &[]).unwrap().node, NodeId(0), "the other has told nothing yet");
    assert!(place(&mut roster, &chain(1), &[NodeId(0)]).is_none());
    roster.told(NodeId(1), 1, 1, Some(Told { until: NOW, ..idle() }));
    assert_eq!(place(&mut roster, &chain(1), &[NodeId(0)]).unwrap().node, NodeId(1));
    roster.told(NodeId(1), 1, 2, Some(Told { until: NOW - Duration::from_nanos(1), ..idle() }));
    assert!(place(&mut roster, &chain(1), &[NodeId(0)]).is_none(), "it was heard too long ago");
}

#[test]
fn what_was_told_before_or_over_another_connection_does_not_count() {
    let mut roster = roster(1);
    roster.told(NodeId(0), 1, 3, None);
    roster.told(NodeId(0), 1, 2, Some(idle()));
    roster.told(NodeId(0), 7, 9, Some(idle()));
    assert!(place(&mut roster, &chain(1), &[]).is_none());
    roster.told(NodeId(0), 1, 3, Some(idle()));
    assert!(place(&mut roster, &chain(1), &[]).is_some());
}

#[test]
fn regression_a_decision_that_finds_nobody_leaves_what_steps_are_compared_with() {
    let mut roster = roster(2);
    let busy = |node| {
        let mut told = idle();
        told.view.worker.load.running = 8 + node;
        told
    };
    (0..2).for_each(|node| roster.told(NodeId(node), 1, 2, Some(busy(node as u32))));
    assert!(place(&mut roster, &chain(1), &[]).is_some());
    assert_eq!(roster.batch, Batch::of(8));
    assert!(place(&mut roster, &chain(1), &[NodeId(0), NodeId(1)]).is_none());
    assert_eq!(roster.batch, Batch::of(8));
}

/// Of the nodes up to seven, those that are meant and those that are known, by bits.
struct Bits {
    meant: u8,
    known: u8,
}

impl Nodes for Bits {
    fn meant(&self, node: NodeId, _: Kind) -> bool {
        self.meant >> node.0 & 1 == 1
    }

    fn known(&self, node: NodeId) -> bool {
        self.known >> node.0 & 1 == 1
    }
}

proptest::proptest! {
    /// Beginnings that the index knows, those on their way and sessions, of nodes that are asked or not.
    #[test]
    fn it_decides_as_is_chosen_among_all_that_may_be_asked(
        loads in proptest::collection::vec((0u64..800, 0u64..6, 0u64..6), 8),
        gone in 0u64..8, tried in 0u64..8, faulty in 0u64..8, last in 0u64..8, meant: u8, known: u8, of in 0u64..200,
    ) {
        let (mut roster, chain) = (roster(0), chain(1));
        let prompt = Prompt { tokens: Tokens(129), answer: Tokens(16), block: Tokens(32) };
        let settings = Settings::from(&Placement::default());
        let (last, tried) = (Last { node: NodeId(last), tokens: Tokens(of) }, [NodeId(tried)]);
        for (node, (load, hit, sent)) in (0..).zip(&loads) {
            serves(&mut roster, node, 1);
            let mut told = idle();
            told.view.worker.load.prefill = Tokens(*load);
            roster.told(NodeId(node), 1, 2, Some(told));
            // Of what some were sent nothing is due any more.
            let wish = Wish { prompt, chain: &chain[..*sent.min(&4) as usize], session: None, tried: &[] };
            let price = crate::placement::cost::Price::default();
            let choice = Choice { place: 0, node: NodeId(node), cached: Tokens(hit / 2 * 32), price };
            let key = roster.enter(NOW, &wish, &choice).unwrap();
            if node == faulty {
                let once = breaker::Settings { faults: 1, cooldown: NOW, longest: NOW };
                roster.judge(NOW, &key, Some(Verdict::Fault), &once, 0.5);
            }
            roster.ended(&key, &chain, true);
        }
        roster.leaves(NodeId(gone), 1);
        roster.sessions.note(NOW, 7, last);
        let hits: Hits = (0..).map(NodeId).zip(&loads).map(|(node, (_, hit, _))| (node, Blocks(*hit.min(&4)))).collect();
        let nodes = Bits { meant, known };
        let wish = Wish { prompt, chain: &chain, session: Some(7), tried: &tried };
        let asked = |node: NodeId| node.0 != gone && node != tried[0] && nodes.meant(node, Kind::default());
        let candidates: Vec<Candidate> = (0..)
            .map(NodeId)
            .zip(&loads)
            .filter(|(node, _)| asked(*node))
            .map(|(node, (load, hit, sent))| {
                let cached = Tokens(32 * *hit.max(sent).min(&4));
                let session = Some(last.tokens).filter(|_| last.node == node);
                let blind = session.is_some_and(|tokens| tokens > cached) && !nodes.known(node);
                let View { worker, jobs, blocks } = idle().view;
                Candidate {
                    node,
                    cached: (!blind).then_some(cached),
                    session,
                    load: protocol::engine::Load { prefill: Tokens(*load), ..worker.load },
                    oldest: worker.oldest,
                    rates: worker.rates,
                    sent: Sent::default(),
                    jobs,
                    blocks,
                    open: node.0 == faulty,
                }
            })
            .collect();
        // Where one alone may be asked and is faulty, it is asked all the same.
        proptest::prop_assume!(candidates.len() != 1);
        let chosen = choose(&prompt, &candidates, &settings, 1, &mut || 0.5);
        proptest::prop_assert_eq!(roster.decide(NOW, &wish, &hits, &nodes, &settings, &mut || 0.5), chosen);
    }
}

#[test]
fn what_is_cached_to_its_last_token_is_not_on_its_way() {
    let mut roster = roster(1);
    let prompt = Prompt { tokens: Tokens(128), answer: Tokens(16), block: Tokens(32) };
    let (chain, settings) = (chain(1), Settings::from(&Placement::default()));
    let wish = Wish { prompt, chain: &chain, session: None, tried: &[] };
    let hits = Hits::from_iter([(NodeId(0), Blocks(4))]);
    let decision = roster.decide(NOW, &wish, &hits, &All, &settings, &mut || 0.5).unwrap();
    assert_eq!(decision.choices[0].cached, Tokens(127), "the last token is computed");
    assert_eq!(roster.enter(NOW, &wish, &decision.choices[0]).unwrap().cached, Blocks(4));
    assert!(roster.routed.is_empty());
    let part = Choice { cached: Tokens(100), ..decision.choices[0] };
    assert_eq!(
        roster.enter(NOW, &wish, &part).unwrap().cached,
        Blocks(3),
        "as a session says: of the fourth it has little"
    );
    assert_eq!(roster.routed.len(), 1);
}

#[test]
fn a_brief_is_a_cache_line() {
    assert_eq!(size_of::<Brief>(), 64);
}

proptest::proptest! {
    /// The figures that decisions walk over follow whatever happens.
    #[test]
    fn briefs_are_what_the_members_are(steps in proptest::collection::vec((0u8..7, 0u64..4, 0u64..500), 1..60)) {
        let (mut roster, mut open, mut now) = (roster(2), Vec::new(), NOW);
        let settings = breaker::Settings { faults: 1, cooldown: Duration::from_secs(1), longest: Duration::from_secs(2) };
        for (step, node, much) in steps {
            now += Duration::from_millis(much);
            match step {
                0 => serves(&mut roster, node, much % 3),
                1 => roster.leaves(NodeId(node), much % 3),
                2 => roster.reported(now, NodeId(node), 1),
                3 => {
                    let mut told = idle();
                    told.view.worker.load.prefill = Tokens(much);
                    told.view.worker.rates.prefill = much as u32;
                    roster.told(NodeId(node), 1, 1, (much % 5 > 0).then_some(told));
                }
                4 => open.extend(place(&mut roster, &chain(much as u8), &[])),
                5 => if let Some(key) = open.pop() {
                    roster.computed(&key);
                    roster.ended(&key, &[], true);
                },
                _ => if let Some(key) = open.last() {
                    roster.judge(now, key, Some(Verdict::Fault), &settings, 0.5);
                },
            }
            proptest::prop_assert!(roster.members.are_as_seen(), "{:?}", roster.members);
        }
    }
}
