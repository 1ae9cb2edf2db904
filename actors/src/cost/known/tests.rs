use super::*;

fn key(id: u8, name: &str) -> KeyRecord {
    let mut record = KeyRecord { id: format!("key-{id}"), hash: [id; 32], ..KeyRecord::default() };
    record.settings.name = name.to_owned();
    record
}

/// Follows to the end, in parts of so many bytes; how many there were.
fn follow(log: &KeyLog, keys: &Keys, followed: &mut Followed, mine: &Keys, most: usize) -> usize {
    let mut parts = 0;
    while let Some(changes) = log.part(followed.version(), keys, most) {
        assert!(followed.follow(&changes, mine));
        parts += 1;
        assert!(parts < 100, "it never ends");
    }
    parts
}

fn all(keys: &Keys) -> Vec<KeyRecord> {
    keys.all().iter().map(|key| (**key).clone()).collect()
}

#[test]
fn all_keys_come_in_parts_then_only_what_changes() {
    let keys = Keys::of((1..=9).map(|id| (format!("key-{id}"), key(id, "old"))));
    let mut log = KeyLog::new(1, &keys);
    let (mine, mut followed) = (Keys::default(), Followed::default());
    mine.put(key(99, "of another cluster"));
    assert!(follow(&log, &keys, &mut followed, &mine, 600) > 2);
    assert_eq!(all(&mine), all(&keys), "these and no others");
    keys.put(key(4, "new"));
    log.changed("key-4");
    let changes = log.part(followed.version(), &keys, PART).unwrap();
    assert_eq!(changes.records, [key(4, "new")]);
    assert!(changes.last && followed.follow(&changes, &mine));
    assert_eq!(all(&mine), all(&keys));
    assert_eq!(log.part(followed.version(), &keys, PART), None);
}

#[test]
fn a_holder_that_has_started_anew_tells_all() {
    let keys = Keys::of([("key-1".to_owned(), key(1, "a"))]);
    let (mine, mut followed) = (Keys::default(), Followed::default());
    follow(&KeyLog::new(1, &keys), &keys, &mut followed, &mine, PART);
    keys.put(key(2, "b"));
    let log = KeyLog::new(2, &keys);
    assert_eq!(follow(&log, &keys, &mut followed, &mine, PART), 1);
    assert_eq!(all(&mine), all(&keys));
}

#[test]
fn what_does_not_follow_is_not_taken() {
    let keys = Keys::of((1..=3).map(|id| (format!("key-{id}"), key(id, "a"))));
    let (mine, mut followed) = (Keys::default(), Followed::default());
    let version = KeysVersion { epoch: 1, number: 3 };
    let after = KeysVersion { epoch: 1, number: 2 };
    assert!(!followed.follow(&KeyChanges { after, version, records: all(&keys), last: true }, &mine));
    assert_eq!((mine.count(), followed.version()), (0, KeysVersion::default()));
}

#[test]
fn no_keys_at_all_are_known_as_such() {
    let (keys, mine, mut followed) = (Keys::default(), Keys::default(), Followed::default());
    mine.put(key(99, "of another cluster"));
    assert_eq!(follow(&KeyLog::new(7, &keys), &keys, &mut followed, &mine, PART), 1);
    assert_eq!(mine.count(), 0);
}
