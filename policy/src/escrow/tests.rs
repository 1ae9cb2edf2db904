use super::grantee::{Answered, Refused};
use super::holder::{At, Command, Output, Synced};
use super::*;
use crate::ledger::{Ledger, ReservationId};
use protocol::account::{Budget, Increase, Period, Subject, UsageRecord, Window};
use protocol::escrow::{EscrowRefusal, EscrowSync, GranteeId, Sequenced};
use protocol::ids::{Incarnation, RequestId};
use protocol::units::UnixMillis;

mod random;
mod world;

const SECOND: Duration = Duration::from_secs(1);
/// 2026-11-28T12:00:00Z.
const NOON: UnixMillis = UnixMillis(1_795_867_200_000);

fn settings() -> Settings {
    Settings { chunk: Nanos(10), ..Settings::default() }
}

fn total(id: &str, limit: u64) -> Budget {
    let window = Window { every: Period::Total, zone: None };
    Budget { id: id.into(), limit: Nanos(limit), window, ..Budget::default() }
}

fn holder(budgets: impl IntoIterator<Item = Budget>) -> Holder {
    Holder::new(settings(), 1, Ledger::new(budgets, []).unwrap(), [])
}

fn grantee(id: u64) -> Grantee {
    Grantee::new(settings(), GranteeId(id), Incarnation(1), 0, []).unwrap()
}

fn id(id: u128) -> ReservationId {
    ReservationId(id)
}

fn subject() -> Subject {
    Subject { key: "k".into(), ..Subject::default() }
}

fn cost(request: u128, cost: u64) -> UsageRecord {
    UsageRecord { request: RequestId(request), cost: Nanos(cost), ..UsageRecord::default() }
}

fn at(now: Duration) -> At {
    At { now, wall: NOON }
}

fn take(holder: &mut Holder, now: Duration, sync: EscrowSync) -> Result<Box<Synced>, EscrowRefusal> {
    match holder.apply(at(now), Command::Sync(sync)) {
        Output::Synced(synced) => synced,
        other => panic!("{other:?}"),
    }
}

/// A message and its answer, without delay.
fn exchange(grantee: &mut Grantee, holder: &mut Holder, now: Duration) -> Synced {
    let sync = grantee.poll(now).expect("it is time");
    let serial = sync.serial;
    let synced = *take(holder, now, sync).unwrap();
    assert!(matches!(grantee.on_answer(serial, Ok(synced.grant.clone())), Answered::Granted { .. }));
    holder.check().unwrap();
    grantee.check().unwrap();
    synced
}

/// What is settled and reserved at the holder.
fn stands(holder: &Holder, budget: &str) -> (u64, u64) {
    holder.check().unwrap();
    let state = holder.states(at(SECOND)).into_iter().find(|state| state.budget.id == budget).unwrap();
    (state.settled.0, state.reserved.0)
}

/// A grantee that has reserved 100 of 200 as `id(1)`, at 2 seconds.
fn running(holder: &mut Holder) -> Grantee {
    let mut grantee = grantee(7);
    exchange(&mut grantee, holder, SECOND);
    let refused = grantee.reserve(SECOND, id(1), &subject(), Nanos(100)).unwrap_err();
    assert_eq!(refused, Refused::Slice { budget: "all".into(), asked: Nanos(100) });
    exchange(&mut grantee, holder, SECOND * 2);
    grantee.reserve(SECOND * 2, id(1), &subject(), Nanos(100)).unwrap();
    grantee
}

#[test]
fn a_slice_is_spent_here_and_booked_there() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = running(&mut holder);
    assert_eq!(stands(&holder, "all"), (0, 200), "what was asked for, and as much again");
    let entry = grantee.settle(id(1), UsageRecord { subject: Subject::default(), ..cost(1, 130) }).unwrap();
    assert_eq!((entry.sequence, entry.record.subject.clone()), (1, subject()), "it is about what was reserved for");
    let record = &entry.record;
    assert_eq!((record.cost, record.reserved, record.disputed), (Nanos(100), Nanos(100), Nanos(30)));
    assert!(grantee.settle(id(1), cost(1, 1)).is_err(), "once");
    assert!(grantee.release(id(1)).is_err());
    assert!(grantee.extend(SECOND * 2, id(1), Nanos(1)).is_err());
    // Not before the journal has it.
    assert_eq!(exchange(&mut grantee, &mut holder, SECOND * 3).records, []);
    grantee.journaled(1);
    let synced = exchange(&mut grantee, &mut holder, SECOND * 4);
    assert_eq!(synced.records, [entry.record]);
    assert_eq!((synced.unheld, synced.changes.len(), synced.state.applied), (Nanos(0), 1, 1));
    assert_eq!(stands(&holder, "all").0, 100);
    assert_eq!((grantee.unbooked(), grantee.reservations()), (0, 0));
}

#[test]
fn what_is_not_in_demand_any_more_goes_back() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = running(&mut holder);
    grantee.release(id(1)).unwrap();
    for second in 3..20 {
        exchange(&mut grantee, &mut holder, SECOND * second);
    }
    assert_eq!(stands(&holder, "all"), (0, 0));
    assert!(matches!(grantee.reserve(SECOND * 19, id(2), &subject(), Nanos(1)), Err(Refused::Slice { .. })));
    // Nothing is told of what it does not have.
    assert_eq!(grantee.poll(SECOND * 20).unwrap().wants.len(), 1);
}

#[test]
fn a_grantee_asks_before_its_slice_is_gone() {
    let mut holder = holder([total("all", 1_000_000)]);
    let mut grantee = running(&mut holder);
    exchange(&mut grantee, &mut holder, SECOND * 3);
    assert_eq!(grantee.next_poll(), SECOND * 4);
    // 200 are free, since 100 were asked for.
    grantee.reserve(SECOND * 3, id(2), &subject(), Nanos(90)).unwrap();
    assert_eq!(grantee.next_poll(), SECOND * 4);
    grantee.reserve(SECOND * 3, id(3), &subject(), Nanos(20)).unwrap();
    assert_eq!(grantee.next_poll(), SECOND * 3 + settings().pause);
    exchange(&mut grantee, &mut holder, SECOND * 3 + settings().pause);
    grantee.reserve(SECOND * 3, id(4), &subject(), Nanos(220)).unwrap();
}

#[test]
fn a_grantee_fails_closed_and_lets_what_is_open_settle() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = grantee(7);
    let closed = grantee.reserve(SECOND, id(1), &subject(), Nanos(0)).unwrap_err();
    assert_eq!(closed, Refused::Closed { silent: SECOND }, "before the first grant");
    let mut grantee = running(&mut holder);
    let last = SECOND * 12 - Duration::from_nanos(1);
    grantee.extend(last, id(1), Nanos(0)).unwrap();
    let closed = Refused::Closed { silent: SECOND * 10 };
    assert_eq!(grantee.extend(SECOND * 12, id(1), Nanos(0)).unwrap_err(), closed);
    assert_eq!(grantee.reserve(SECOND * 12, id(2), &subject(), Nanos(0)).unwrap_err(), closed);
    assert_eq!(grantee.would_pass(SECOND * 12, &subject(), Nanos(0)).unwrap_err(), closed);
    assert!(closed.to_string().contains("10s"), "{closed}");
    grantee.settle(id(1), cost(1, 60)).unwrap();
    grantee.journaled(1);
    exchange(&mut grantee, &mut holder, SECOND * 13);
    assert_eq!(stands(&holder, "all").0, 60);
    grantee.would_pass(SECOND * 13, &subject(), Nanos(0)).unwrap();
}

#[test]
fn an_answer_is_as_old_as_the_message_that_it_answers() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = grantee(7);
    let sync = grantee.poll(SECOND).unwrap();
    let synced = take(&mut holder, SECOND * 9, sync).unwrap();
    grantee.on_answer(1, Ok(synced.grant));
    grantee.would_pass(SECOND * 10, &subject(), Nanos(0)).unwrap();
    assert!(matches!(grantee.would_pass(SECOND * 11, &subject(), Nanos(0)), Err(Refused::Closed { .. })));
}

#[test]
fn a_budget_that_is_spent_is_refused_as_the_holder_would() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = running(&mut holder);
    match grantee.reserve(SECOND * 2, id(2), &subject(), Nanos(901)).unwrap_err() {
        Refused::Over(over) => {
            assert_eq!((over.limit, over.reserved, over.asked), (Nanos(1000), Nanos(200), Nanos(901)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(grantee.reserve(SECOND * 2, id(2), &subject(), Nanos(900)), Err(Refused::Slice { .. })));
    exchange(&mut grantee, &mut holder, SECOND * 3);
    grantee.reserve(SECOND * 3, id(2), &subject(), Nanos(900)).unwrap();
    assert_eq!(stands(&holder, "all"), (0, 1000));
    let own = Command::Reserve { id: id(1), subject: subject(), amount: Nanos(1) };
    assert!(matches!(holder.apply(at(SECOND), own), Output::Reserved(Err(_))), "nor has the holder any");
}

#[test]
fn a_lost_answer_and_a_doubled_message_count_once() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = running(&mut holder);
    grantee.settle(id(1), cost(1, 60)).unwrap();
    grantee.journaled(1);
    let lost = grantee.poll(SECOND * 3).unwrap();
    let unheard = take(&mut holder, SECOND * 3, lost.clone()).unwrap();
    assert_eq!(unheard.records.len(), 1);
    let twice = take(&mut holder, SECOND * 3, lost.clone()).unwrap_err();
    assert_eq!(twice, EscrowRefusal::Overtaken { incarnation: 1, serial: lost.serial });
    assert_eq!(grantee.poll(SECOND * 4), None, "it waits for an answer");
    let again = grantee.poll(SECOND * 5).unwrap();
    assert_eq!(again.records, lost.records);
    let answered = take(&mut holder, SECOND * 5, again).unwrap();
    assert_eq!((answered.records.len(), answered.state.applied), (0, 1));
    assert_eq!(grantee.on_answer(lost.serial, Ok(unheard.grant)), Answered::Late);
    let booked = Answered::Granted { booked: 1 };
    assert_eq!(grantee.on_answer(answered.grant.serial, Ok(answered.grant)), booked);
    assert_eq!(stands(&holder, "all").0, 60);
}

#[test]
fn a_lost_grantee_keeps_its_slice_until_its_journal_is_told() {
    let mut holder = holder([total("all", 1000)]);
    let mut before = running(&mut holder);
    let first = before.settle(id(1), cost(1, 60)).unwrap();
    before.journaled(1);
    drop(before);
    let silent = holder.grantees(SECOND * 1000);
    assert_eq!((silent[0].silent, silent[0].holds["all"]), (Some(SECOND * 998), Nanos(200)));
    assert_eq!(stands(&holder, "all"), (0, 200), "however long that takes");
    // It comes back with more than fits into a message.
    let few = Settings { records: 2, ..settings() };
    let journal = [first, entry(2, 10), entry(3, 11), entry(4, 12)];
    let mut after = Grantee::new(few, GranteeId(7), Incarnation(2), 0, journal).unwrap();
    let sync = after.poll(SECOND).unwrap();
    assert_eq!((sync.records.len(), sync.journal_complete), (2, false));
    let synced = take(&mut holder, SECOND, sync).unwrap();
    assert_eq!(synced.grant.slices, []);
    after.on_answer(1, Ok(synced.grant));
    assert_eq!(stands(&holder, "all"), (70, 130), "the rest may be spent already");
    let synced = exchange(&mut after, &mut holder, SECOND * 2);
    assert_eq!((synced.records.len(), synced.unheld), (2, Nanos(0)));
    assert_eq!(stands(&holder, "all"), (93, 0));
}

fn entry(sequence: u64, nanos: u64) -> Sequenced {
    Sequenced { sequence, record: UsageRecord { subject: subject(), ..cost(sequence.into(), nanos) } }
}

#[test]
fn what_an_earlier_incarnation_says_late_does_nothing() {
    let mut holder = holder([total("all", 1000)]);
    let mut before = running(&mut holder);
    let late = before.poll(SECOND * 3).unwrap();
    let mut after = Grantee::new(settings(), GranteeId(7), Incarnation(2), 0, [entry(1, 100)]).unwrap();
    exchange(&mut after, &mut holder, SECOND);
    let serial = late.serial;
    assert_eq!(take(&mut holder, SECOND, late).unwrap_err(), EscrowRefusal::Overtaken { incarnation: 1, serial });
    assert_eq!(stands(&holder, "all"), (100, 0));
}

#[test]
fn records_that_do_not_follow_change_nothing() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = running(&mut holder);
    let base = grantee.poll(SECOND * 3).unwrap();
    let gap = EscrowSync { last: 2, records: vec![entry(2, 5)], ..base.clone() };
    assert_eq!(take(&mut holder, SECOND, gap).unwrap_err(), EscrowRefusal::Gap { applied: 0 });
    let good = EscrowSync { last: 2, records: vec![entry(1, 5), entry(2, 6)], ..base.clone() };
    assert_eq!(take(&mut holder, SECOND, good).unwrap().state.applied, 2);
    let lost = EscrowSync { incarnation: Incarnation(2), last: 1, ..base.clone() };
    assert_eq!(take(&mut holder, SECOND, lost).unwrap_err(), EscrowRefusal::JournalLost { applied: 2, last: 1 });
    let huge = vec![entry(3, u64::MAX)];
    let overflow = EscrowSync { serial: base.serial + 1, last: 3, records: huge, ..base };
    assert_eq!(take(&mut holder, SECOND, overflow).unwrap_err(), EscrowRefusal::Overflow { sequence: 3 });
    assert_eq!(stands(&holder, "all").0, 11);
    assert_eq!(Grantee::new(settings(), GranteeId(1), Incarnation(1), 4, [entry(6, 1)]).unwrap_err().wanted, 5);
}

#[test]
fn a_holder_that_comes_back_reserves_what_it_has_granted() {
    let budgets = || [total("all", 1000)];
    let mut before = holder(budgets());
    let mut grantee = running(&mut before);
    let synced = exchange(&mut grantee, &mut before, SECOND * 3);
    let ledger = Ledger::new(budgets(), before.spent("all")).unwrap();
    let mut after = Holder::new(settings(), 2, ledger, [synced.state]);
    assert_eq!(stands(&after, "all"), stands(&before, "all"));
    grantee.settle(id(1), cost(1, 60)).unwrap();
    grantee.journaled(1);
    let synced = exchange(&mut grantee, &mut after, SECOND * 4);
    assert_eq!((synced.grant.epoch, synced.grant.budgets.is_some(), synced.unheld), (2, true, Nanos(0)));
    assert_eq!(stands(&after, "all").0, 60);
}

#[test]
fn slices_get_smaller_the_more_share_and_the_less_is_left() {
    let mut holder = holder([total("all", 1000)]);
    let mut slices = Vec::new();
    for n in 1..=3 {
        let mut grantee = grantee(n);
        exchange(&mut grantee, &mut holder, SECOND);
        grantee.reserve(SECOND, id(n.into()), &subject(), Nanos(1)).unwrap_err();
        exchange(&mut grantee, &mut holder, SECOND * 2);
        // Much is asked for.
        let mut asked = 0;
        for round in 3..9 {
            while grantee.reserve(SECOND * round, id(asked), &subject(), Nanos(1)).is_ok() {
                grantee.release(id(asked)).unwrap();
                asked += 1;
                if asked % 5000 == 0 {
                    break;
                }
            }
            exchange(&mut grantee, &mut holder, SECOND * round);
        }
        slices.push(holder.grantees(SECOND)[n as usize - 1].holds["all"].0);
    }
    assert_eq!(slices, [250, 125, 78]);
    assert_eq!(stands(&holder, "all"), (0, 453));
}

#[test]
fn a_lowered_limit_calls_slices_back_and_an_increase_that_ends_too() {
    let increase = Some(Increase { amount: Nanos(100), until: UnixMillis(NOON.0 + 1) });
    for lowered in [total("all", 90), Budget { increase, ..total("all", 90) }] {
        let mut holder = holder([total("all", 1000)]);
        let mut grantee = running(&mut holder);
        exchange(&mut grantee, &mut holder, SECOND * 3);
        assert_eq!(stands(&holder, "all"), (0, 300));
        holder.apply(At { now: SECOND, wall: UnixMillis(NOON.0 + 1) }, Command::PutBudget(lowered));
        exchange(&mut grantee, &mut holder, SECOND * 4);
        assert!(matches!(grantee.reserve(SECOND * 4, id(2), &subject(), Nanos(1)), Err(Refused::Over(_))));
        exchange(&mut grantee, &mut holder, SECOND * 5);
        assert_eq!(stands(&holder, "all"), (0, 100), "what is open stays");
        grantee.settle(id(1), cost(1, 100)).unwrap();
        grantee.journaled(1);
        exchange(&mut grantee, &mut holder, SECOND * 6);
        assert_eq!(stands(&holder, "all"), (100, 0));
    }
}

#[test]
fn a_budget_that_is_put_reaches_grantees_and_counts_what_is_open() {
    let mut holder = holder([total("all", 1000)]);
    let mut grantee = running(&mut holder);
    holder.apply(at(SECOND), Command::PutBudget(total("new", 120)));
    exchange(&mut grantee, &mut holder, SECOND * 3);
    exchange(&mut grantee, &mut holder, SECOND * 4);
    assert_eq!(stands(&holder, "new").1, 100);
    assert!(matches!(grantee.reserve(SECOND * 4, id(2), &subject(), Nanos(21)), Err(Refused::Over(_))));
    holder.apply(at(SECOND), Command::RemoveBudget("new".into()));
    exchange(&mut grantee, &mut holder, SECOND * 5);
    exchange(&mut grantee, &mut holder, SECOND * 6);
    grantee.reserve(SECOND * 6, id(2), &subject(), Nanos(21)).unwrap();
}

#[test]
fn a_soft_budget_needs_no_slice_and_counts_all_the_same() {
    let mut holder = holder([Budget { soft: true, alerts: vec![100], ..total("all", 10) }]);
    let mut grantee = grantee(7);
    exchange(&mut grantee, &mut holder, SECOND);
    grantee.reserve(SECOND, id(1), &subject(), Nanos(100)).unwrap();
    grantee.settle(id(1), cost(1, 60)).unwrap();
    grantee.free(cost(2, 5));
    grantee.journaled(2);
    let synced = exchange(&mut grantee, &mut holder, SECOND * 2);
    assert_eq!((synced.alerts.len(), synced.records.len(), synced.records[1].cost), (1, 2, Nanos(0)));
    assert_eq!(stands(&holder, "all"), (60, 0));
}

#[test]
fn a_slice_is_reserved_in_the_next_window_and_counts_where_it_is_booked() {
    let window = Window { every: Period::Hour, zone: None };
    let mut holder = holder([Budget { window, ..total("all", 1000) }]);
    let mut grantee = running(&mut holder);
    let later = At { now: SECOND * 3, wall: UnixMillis(NOON.0 + 3_600_000) };
    let state = holder.states(later).remove(0);
    assert_eq!((state.settled, state.reserved, state.since), (Nanos(0), Nanos(200), later.wall));
    grantee.settle(id(1), cost(1, 60)).unwrap();
    grantee.journaled(1);
    let sync = grantee.poll(SECOND * 3).unwrap();
    assert!(matches!(holder.apply(later, Command::Sync(sync)), Output::Synced(Ok(_))));
    assert_eq!(holder.states(later).remove(0).settled, Nanos(60));
}

#[test]
fn who_never_comes_back_is_forgotten_by_an_operator() {
    let mut holder = holder([total("all", 1000)]);
    running(&mut holder);
    assert_eq!(holder.apply(at(SECOND), Command::Forget(GranteeId(7))), Output::Removed(true));
    assert_eq!(holder.apply(at(SECOND), Command::Forget(GranteeId(7))), Output::Removed(false));
    assert_eq!(stands(&holder, "all"), (0, 0));
}

#[test]
fn too_much_that_is_not_booked_and_too_many_grantees_are_refused() {
    let few = Settings { backlog: 2, grantees: 1, ..settings() };
    let mut holder = Holder::new(few, 1, Ledger::new([], []).unwrap(), []);
    let mut grantee = Grantee::new(few, GranteeId(1), Incarnation(1), 0, []).unwrap();
    exchange(&mut grantee, &mut holder, SECOND);
    grantee.reserve(SECOND, id(1), &subject(), Nanos(1)).unwrap();
    grantee.settle(id(1), cost(1, 1)).unwrap();
    grantee.reserve(SECOND, id(2), &subject(), Nanos(1)).unwrap();
    assert_eq!(grantee.reserve(SECOND, id(3), &subject(), Nanos(1)).unwrap_err(), Refused::Backlog(2));
    grantee.journaled(1);
    exchange(&mut grantee, &mut holder, SECOND * 2);
    grantee.reserve(SECOND * 2, id(3), &subject(), Nanos(1)).unwrap();
    let mut other = Grantee::new(few, GranteeId(2), Incarnation(1), 0, []).unwrap();
    assert_eq!(take(&mut holder, SECOND, other.poll(SECOND).unwrap()).unwrap_err(), EscrowRefusal::TooMany(1));
}
