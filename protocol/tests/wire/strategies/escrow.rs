//! What coordinators say to each other about budgets that they share.

use protocol::escrow::*;

use super::manage::{budget, moment, nanos, record, usage};
use super::*;

fn version() -> Any<(u64, u64)> {
    any::<(u64, u64)>().boxed()
}

fn tell() -> Any<EscrowTell> {
    let want = (text(), nanos(), nanos(), nanos(), nanos()).prop_map(|(budget, used, keep, free, urgent)| Want {
        budget,
        used,
        keep,
        free,
        urgent,
    });
    let entry = (any::<u64>(), usage()).prop_map(|(sequence, record)| Sequenced { sequence, record });
    let who = any::<(u64, u64, u64, u64, bool)>();
    let parts = (who, version(), version(), vec(entry, 0..3), vec(want, 0..3));
    parts
        .prop_map(|((grantee, incarnation, serial, last, journal_complete), budgets, keys, records, wants)| {
            let sync = EscrowSync {
                grantee: GranteeId(grantee),
                incarnation: Incarnation(incarnation),
                serial,
                version: BudgetsVersion { epoch: budgets.0, number: budgets.1 },
                last,
                records,
                journal_complete,
                wants,
            };
            EscrowTell { sync, keys: KeysVersion { epoch: keys.0, number: keys.1 } }
        })
        .boxed()
}

fn slice() -> Any<Slice> {
    let parts = (text(), (nanos(), nanos(), nanos(), nanos()), moment(), option::of(moment()));
    parts
        .prop_map(|(budget, (slice, limit, settled, reserved), since, resets)| Slice {
            budget,
            slice,
            limit,
            settled,
            reserved,
            since,
            resets,
        })
        .boxed()
}

fn grant() -> Any<EscrowGrant> {
    let numbers = any::<(u64, u64, u64, u64, Duration)>();
    let parts = (numbers, version(), option::of(vec(budget(), 0..3)), vec(slice(), 0..3));
    parts
        .prop_map(|((epoch, incarnation, serial, applied, ttl), version, budgets, slices)| EscrowGrant {
            epoch,
            incarnation: Incarnation(incarnation),
            serial,
            applied,
            ttl,
            version: BudgetsVersion { epoch: version.0, number: version.1 },
            budgets,
            slices,
        })
        .boxed()
}

fn refusal() -> Any<EscrowRefusal> {
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(incarnation, serial)| EscrowRefusal::Overtaken { incarnation, serial }),
        any::<u64>().prop_map(|applied| EscrowRefusal::Gap { applied }),
        any::<(u64, u64)>().prop_map(|(applied, last)| EscrowRefusal::JournalLost { applied, last }),
        any::<u64>().prop_map(|sequence| EscrowRefusal::Overflow { sequence }),
        any::<u32>().prop_map(|most| EscrowRefusal::TooMany(most as usize)),
    ]
    .boxed()
}

fn answer() -> Any<EscrowAnswer> {
    let keys =
        (version(), version(), vec(record(), 0..3), any::<bool>()).prop_map(|(after, version, records, last)| {
            let [after, version] = [after, version].map(|(epoch, number)| KeysVersion { epoch, number });
            KeyChanges { after, version, records, last }
        });
    let outcome = prop_oneof![grant().prop_map(Ok), refusal().prop_map(Err)];
    let parts = (any::<(u64, u32, u32)>(), outcome, option::of(keys));
    parts
        .prop_map(|((serial, index, coordinators), outcome, keys)| EscrowAnswer {
            serial,
            outcome,
            keys,
            share: PaceShare { index, coordinators },
        })
        .boxed()
}

pub(super) fn escrow() -> Any<Frame> {
    prop_oneof![tell().prop_map(Frame::from), answer().prop_map(Frame::from)].boxed()
}
