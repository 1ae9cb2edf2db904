use super::*;
use protocol::config::Placement;

const NOW: Duration = Duration::from_secs(1);

/// Nodes that are all alike and idle.
struct Alike;

impl Nodes for Alike {
    fn view(&self, _: NodeId) -> Option<View> {
        let worker = WorkerReport { ready: true, ..WorkerReport::default() };
        Some(View { worker, jobs: 16, blocks: Blocks(1000) })
    }

    fn known(&self, _: NodeId) -> bool {
        true
    }
}

fn roster(nodes: u64) -> Roster {
    let mut roster = Roster::new(&Placement::default());
    (0..nodes).for_each(|node| roster.serves(NodeId(node), 1));
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
    let decision = roster.decide(NOW, &wish, &BTreeMap::new(), &Alike, &settings, &mut || 0.5)?;
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
    let again = place(&mut roster, &chain(1), &[first.node]).unwrap();
    assert_ne!(again.node, first.node);
    assert_eq!(again.cached, Blocks::ZERO);
}

#[test]
fn what_went_over_an_older_connection_ended_with_it() {
    let mut roster = roster(1);
    let old = place(&mut roster, &chain(1), &[]).unwrap();
    roster.serves(NodeId(0), 2);
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
