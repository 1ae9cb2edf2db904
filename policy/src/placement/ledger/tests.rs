use super::*;
use proptest::prelude::*;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_report_made_before_the_job_came_does_not_erase_it() {
    let mut ledger = Ledger::default();
    let ticket = ledger.enter(Tokens(100));
    ledger.on_report(millis(10));
    assert_eq!((ledger.sent().due(Tokens(0)), ledger.sent().held(0)), (Tokens(100), 1), "not granted yet");
    ledger.granted(millis(15), ticket);
    ledger.on_report(millis(16));
    assert_eq!((ledger.sent().due(Tokens(0)), ledger.sent().held(0)), (Tokens(100), 1), "it was under way");
    ledger.on_report(millis(216));
    // This one holds it: half of it is computed.
    assert_eq!((ledger.sent().due(Tokens(50)), ledger.sent().held(1)), (Tokens(50), 1));
    ledger.ended(ticket);
    assert_eq!((ledger.sent().due(Tokens(50)), ledger.sent().held(1)), (Tokens(0), 0), "sooner than the next report");
    assert!(ledger.is_empty());
}

#[test]
fn what_others_sent_stays_when_ours_ends() {
    let mut ledger = Ledger::default();
    let [first, second] = [300, 200].map(|due| ledger.enter(Tokens(due)));
    ledger.granted(millis(0), first);
    ledger.granted(millis(0), second);
    ledger.on_report(millis(100));
    // 1,000 tokens are due there, half of them another coordinator's.
    ledger.computed(first);
    assert_eq!((ledger.sent().due(Tokens(1_000)), ledger.sent().held(7)), (Tokens(700), 7));
    ledger.ended(first);
    assert_eq!((ledger.sent().due(Tokens(1_000)), ledger.sent().held(7)), (Tokens(700), 6));
    // The first was computed in part when the report was made: the second is due all the same.
    assert_eq!(ledger.sent().due(Tokens(300)), Tokens(200));
}

#[test]
fn a_refused_job_leaves_no_trace() {
    let mut ledger = Ledger::default();
    let ticket = ledger.enter(Tokens(100));
    ledger.ended(ticket);
    ledger.ended(ticket);
    assert_eq!(ledger.sent(), Sent::default());
}

#[derive(Clone, Debug)]
enum Move {
    Enter(u64),
    Granted(usize),
    Computed(usize),
    Ended(usize),
    Report,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0u64..1_000).prop_map(Move::Enter),
        (0usize..8).prop_map(Move::Granted),
        (0usize..8).prop_map(Move::Computed),
        (0usize..8).prop_map(Move::Ended),
        Just(Move::Report),
    ];
    proptest::collection::vec(one, 0..80)
}

proptest! {
    #[test]
    fn the_sums_are_those_of_the_open_jobs(moves in moves()) {
        let mut ledger = Ledger::default();
        let mut tickets: Vec<Ticket> = Vec::new();
        for (time, step) in (0u64..).zip(moves) {
            let now = millis(time * 15);
            match step {
                Move::Enter(due) => tickets.push(ledger.enter(Tokens(due))),
                Move::Report => ledger.on_report(now),
                Move::Granted(n) | Move::Computed(n) | Move::Ended(n) => {
                    let Some(&ticket) = tickets.get(n) else { continue };
                    match step {
                        Move::Granted(_) => ledger.granted(now, ticket),
                        Move::Computed(_) => ledger.computed(ticket),
                        _ => ledger.ended(ticket),
                    }
                }
            }
            let sums = |known: bool| {
                let of = || ledger.open.values().filter(|open| open.known == known);
                (of().map(|open| open.due).sum::<Tokens>(), of().count() as u32)
            };
            let sent = ledger.sent();
            prop_assert_eq!((sent.fresh, sent.fresh_jobs), sums(false));
            prop_assert_eq!((sent.known, sent.known_jobs), sums(true));
        }
        tickets.into_iter().for_each(|ticket| ledger.ended(ticket));
        ledger.on_report(Duration::MAX);
        prop_assert_eq!(ledger.sent(), Sent::default());
    }
}
