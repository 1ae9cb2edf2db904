use std::fmt::Write as _;

use protocol::account::{Budget, KeyRecord, Outcome, Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::units::{Nanos, Tokens, UnixMillis};

use super::*;
use crate::hard::OpenReservation;
use crate::report::Total;

fn at<'a>(table: &'a str, key: &'a [u8]) -> Place<'a> {
    Place { table, key }
}

fn subject() -> Subject {
    Subject {
        organisation: Some("o".to_owned()),
        team: None,
        key: "k".to_owned(),
        model: "m".to_owned(),
        tags: vec!["t".to_owned()],
        provider: Some("p".to_owned()),
    }
}

fn record() -> UsageRecord {
    UsageRecord {
        request: RequestId(1),
        at: UnixMillis(2),
        subject: subject(),
        asked: "a".to_owned(),
        prompt: Tokens(3),
        cached: Tokens(4),
        completion: Tokens(5),
        reserved: Nanos(6),
        cost: Nanos(7),
        disputed: Nanos(8),
        outcome: Outcome::Lost,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Format 1, byte by byte. If a type here has changed, its new shape needs a format of its own, and format 1 must
/// still be read: files are full of it.
#[test]
fn packed_values_are_as_files_have_them() {
    let place = at("t", b"k");
    let packed = |bytes: Result<Vec<u8>, String>| {
        let bytes = bytes.unwrap();
        hexadecimal(bytes.split_last_chunk::<PROOF>().unwrap().0)
    };
    const SUBJECT: &str = "01016f00016b016d010174010170";
    assert_eq!(packed(place.pack(&record())), format!("010102{SUBJECT}016103040506070804"));
    let total =
        Total { requests: 1, prompt: Tokens(2), cached: Tokens(3), completion: Tokens(4), cost: Nanos(u64::MAX) };
    let daily = (subject(), total);
    assert_eq!(packed(place.pack(&daily)), format!("01{SUBJECT}01020304fdffffffffffffffff"));
    let open = OpenReservation { request: RequestId(1), at: UnixMillis(2), subject: subject(), amount: Nanos(3) };
    assert_eq!(packed(place.pack(&open)), format!("010102{SUBJECT}03"));
    let spent = Spent { budget: "b".to_owned(), since: UnixMillis(1), settled: Nanos(300), alerted: 1 << 7 };
    assert_eq!(packed(place.pack(&spent)), "01016201fb2c0180");
    assert_eq!(hexadecimal(&place.raw(&[7])), "030743f3ccba", "the proof is a promise too");
}

#[test]
fn what_is_sealed_is_read_as_it_was() {
    let place = at("usage", b"key");
    assert_eq!(place.read(&place.pack(&record()).unwrap()), Ok(record()));
    let key = KeyRecord { id: "k".to_owned(), hash: [9; 32], ..KeyRecord::default() };
    assert_eq!(place.read(&place.json(&key).unwrap()), Ok(key));
    assert_eq!(place.read_raw(&place.raw(b"")), Ok(vec![]));
    assert_eq!(place.read_raw(&place.raw(&[1, 2])), Ok(vec![1, 2]));
}

/// A budget that was written before a field was known is read with that field's default.
#[test]
fn a_budget_may_lack_a_field() {
    let place = at("budgets", b"b");
    let sealed = place.json(&serde_json::json!({ "id": "b", "limit": 5 })).unwrap();
    assert_eq!(place.read(&sealed), Ok(Budget { id: "b".to_owned(), limit: Nanos(5), ..Budget::default() }));
}

#[test]
fn every_flipped_bit_is_found() {
    let place = at("usage", b"key");
    let sealed = place.pack(&record()).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(place.read::<UsageRecord>(&bytes), Err(Unsealed::Damaged(_))), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(matches!(place.read::<UsageRecord>(&sealed[..len]), Err(Unsealed::Damaged(_))), "{len} bytes");
    }
}

#[test]
fn a_value_in_another_place_is_found() {
    let sealed = at("usage", b"key").pack(&record()).unwrap();
    for place in [at("usage", b"kez"), at("usagek", b"ey"), at("open", b"key"), at("usage", b"")] {
        assert!(matches!(place.read::<UsageRecord>(&sealed), Err(Unsealed::Damaged(_))), "{place:?}");
    }
}

#[test]
fn a_newer_format_is_named() {
    let place = at("usage", b"key");
    let sealed = place.sealed(vec![KNOWN + 1, 1, 2]);
    assert_eq!(place.read::<UsageRecord>(&sealed), Err(Unsealed::Newer(KNOWN + 1)));
    assert_eq!(place.read_raw(&sealed), Err(Unsealed::Newer(KNOWN + 1)));
}

#[test]
fn the_wrong_kind_of_value_is_damage() {
    let place = at("usage", b"key");
    assert!(matches!(place.read::<UsageRecord>(&place.raw(b"x")), Err(Unsealed::Damaged(_))));
    assert!(matches!(place.read_raw(&place.json(&1).unwrap()), Err(Unsealed::Damaged(_))));
    assert!(matches!(place.read::<UsageRecord>(&place.json(&1).unwrap()), Err(Unsealed::Damaged(_))));
    assert!(matches!(place.read::<UsageRecord>(&place.sealed(vec![])), Err(Unsealed::Damaged(_))));
}
