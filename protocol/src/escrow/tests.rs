use super::*;
use crate::codec;

#[test]
fn messages_and_states_survive_the_codec() {
    let record = UsageRecord { cost: Nanos(7), ..UsageRecord::default() };
    let sync = EscrowSync {
        grantee: GranteeId(3),
        incarnation: Incarnation(2),
        serial: 9,
        version: BudgetsVersion { epoch: 1, number: 4 },
        last: 12,
        records: vec![Sequenced { sequence: 12, record }],
        journal_complete: true,
        wants: vec![Want { budget: "all".into(), used: Nanos(1), keep: Nanos(2), free: Nanos(3), urgent: Nanos(4) }],
    };
    let slice = Slice { budget: "all".into(), slice: Nanos(u64::MAX), resets: Some(UnixMillis(5)), ..Slice::default() };
    let grant = EscrowGrant {
        epoch: 1,
        incarnation: Incarnation(2),
        serial: 9,
        applied: 12,
        ttl: Duration::from_secs(10),
        version: BudgetsVersion { epoch: 1, number: 5 },
        budgets: Some(vec![Budget::default()]),
        slices: vec![slice],
    };
    let refusals = vec![
        EscrowRefusal::Overtaken { incarnation: 1, serial: 2 },
        EscrowRefusal::Gap { applied: 3 },
        EscrowRefusal::JournalLost { applied: 4, last: 3 },
        EscrowRefusal::Overflow { sequence: 5 },
        EscrowRefusal::TooMany(6),
    ];
    let state = EscrowState {
        grantee: GranteeId(3),
        incarnation: Incarnation(2),
        serial: 9,
        applied: 12,
        holds: BTreeMap::from([("all".into(), Nanos(8))]),
    };
    let all = (sync, grant, refusals, state);
    let mut bytes = Vec::new();
    codec::encode(&all, &mut bytes).unwrap();
    assert_eq!(codec::decode::<(EscrowSync, EscrowGrant, Vec<EscrowRefusal>, EscrowState)>(&bytes).unwrap(), all);
}
