//! What coordinators say to each other about budgets that they share.

use std::time::Duration;

use protocol::escrow::*;
use protocol::frame::Frame;
use protocol::ids::Incarnation;
use protocol::units::{Nanos, UnixMillis};

use super::manage::{budget, record, usage};

fn tell() -> EscrowTell {
    let want = Want { budget: "b".into(), used: Nanos(1), keep: Nanos(2), free: Nanos(3), urgent: Nanos(4) };
    let sync = EscrowSync {
        grantee: GranteeId(0xabcd),
        incarnation: Incarnation(2),
        serial: 9,
        version: BudgetsVersion { epoch: 3, number: 4 },
        last: 12,
        records: vec![Sequenced { sequence: 12, record: usage() }],
        journal_complete: true,
        wants: vec![want],
    };
    EscrowTell { sync, keys: KeysVersion { epoch: 3, number: 5 } }
}

fn answer(outcome: Result<EscrowGrant, EscrowRefusal>, keys: Option<KeyChanges>) -> EscrowAnswer {
    EscrowAnswer { serial: 9, outcome, keys, share: PaceShare { index: 1, coordinators: 3 } }
}

/// Tells, then answers.
pub(super) fn all() -> Vec<Frame> {
    let slice = Slice {
        budget: "b".into(),
        slice: Nanos(7),
        limit: Nanos(70),
        settled: Nanos(5),
        reserved: Nanos(6),
        since: UnixMillis(3),
        resets: Some(UnixMillis(4)),
    };
    let grant = EscrowGrant {
        epoch: 3,
        incarnation: Incarnation(2),
        serial: 9,
        applied: 12,
        ttl: Duration::from_secs(10),
        version: BudgetsVersion { epoch: 3, number: 4 },
        budgets: Some(vec![budget()]),
        slices: vec![slice],
    };
    let (after, version) = (KeysVersion { epoch: 3, number: 5 }, KeysVersion { epoch: 3, number: 6 });
    let keys = KeyChanges { after, version, records: vec![record()], last: true };
    let refusals = [
        EscrowRefusal::Overtaken { incarnation: 1, serial: 2 },
        EscrowRefusal::Gap { applied: 3 },
        EscrowRefusal::JournalLost { applied: 4, last: 3 },
        EscrowRefusal::Overflow { sequence: 5 },
        EscrowRefusal::TooMany(6),
    ];
    let refused = refusals.into_iter().map(|refusal| answer(Err(refusal), None));
    let answers = [answer(Ok(grant), Some(keys))].into_iter().chain(refused);
    [tell().into()].into_iter().chain(answers.map(Frame::from)).collect()
}
