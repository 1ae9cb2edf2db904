use super::*;

fn record(id: &str, hash: u8) -> KeyRecord {
    KeyRecord { id: id.into(), hash: [hash; 32], ..KeyRecord::default() }
}

#[test]
fn a_key_is_found_by_the_hash_of_its_secret_while_it_is_good() {
    let now = UnixMillis(1_000);
    let mut late = record("key-late", 2);
    late.settings.expires = Some(UnixMillis(1_000));
    let mut soon = record("key-soon", 3);
    soon.settings.expires = Some(UnixMillis(1_001));
    let gone = KeyRecord { revoked: true, ..record("key-gone", 4) };
    let keys = Keys::of([record("key-a", 1), late, soon, gone].map(|record| (record.id.clone(), record)));
    assert_eq!(keys.find(&[1; 32], now).unwrap().id, "key-a");
    assert_eq!(keys.find(&[2; 32], now).unwrap_err(), KeyFault::Expired("key-late".into()));
    assert_eq!(keys.find(&[3; 32], now).unwrap().id, "key-soon");
    assert_eq!(keys.find(&[4; 32], now).unwrap_err(), KeyFault::Revoked("key-gone".into()));
    assert_eq!(keys.find(&[9; 32], now).unwrap_err(), KeyFault::Unknown);
}

#[test]
fn a_new_secret_takes_the_old_ones_place() {
    let keys = Keys::of([record("key-a", 1), record("key-b", 2)].map(|record| (record.id.clone(), record)));
    keys.put(record("key-a", 7));
    assert_eq!(keys.find(&[1; 32], UnixMillis(0)).unwrap_err(), KeyFault::Unknown);
    assert_eq!(keys.find(&[7; 32], UnixMillis(0)).unwrap().id, "key-a");
    keys.replace(vec![record("key-c", 3), record("key-a", 7)]);
    let ids: Vec<String> = keys.all().iter().map(|key| key.id.clone()).collect();
    assert_eq!(ids, ["key-a", "key-c"]);
    assert_eq!(keys.find(&[2; 32], UnixMillis(0)).unwrap_err(), KeyFault::Unknown);
    assert!(keys.get("key-c").is_some() && keys.get("key-b").is_none());
}
