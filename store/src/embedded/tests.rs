use std::os::unix::fs::PermissionsExt;

use protocol::account::{Subject, UsageRecord};
use protocol::units::Nanos;
use redb::{ReadableDatabase, TableDefinition};

use super::*;
use crate::sealed::Place;

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    (folder, path)
}

fn record(number: u64) -> UsageRecord {
    UsageRecord {
        request: RequestId(u128::from(number)),
        at: UnixMillis(number),
        subject: Subject { tags: vec!["x".repeat(200)], ..Subject::default() },
        cost: Nanos(number),
        ..UsageRecord::default()
    }
}

fn some() -> Vec<Write> {
    let usage = (0..50).map(|number| Write::Usage(record(number)));
    usage.chain([Write::PutBlob { name: "b".to_owned(), bytes: vec![7; 3_000] }]).collect()
}

fn error(path: &Path) -> OpenError {
    let error = RedbStore::open(path).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error
}

#[test]
fn the_file_is_its_owners_alone() {
    let (folder, path) = place();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(mode(), 0o600, "one that was copied with other rights too");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store.redb"], "nothing is left of making it");
}

/// redb leaves a file that nobody can open where it dies while making it.
#[test]
fn regression_a_file_made_in_part_is_in_nobodys_way() {
    let (_folder, path) = place();
    let new = path.with_file_name(format!("store.redb.new-{}", std::process::id()));
    fs::write(&new, [0; 5_000]).unwrap();
    drop(RedbStore::open(&path).unwrap());
    assert!(path.exists() && !new.exists());
}

#[test]
fn what_is_in_use_is_said_to_be() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(error(&path), OpenError::Busy { path: path.clone() });
    store.close().unwrap();
    drop(RedbStore::open(&path).unwrap());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let (folder, _) = place();
    assert!(matches!(error(&folder.path().join("no/store.redb")), OpenError::NotThere { .. }));
    assert!(matches!(error(folder.path()), OpenError::Foreign { .. }), "a folder is no store");
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(matches!(error(&folder.path().join("file/store.redb")), OpenError::Foreign { .. }));
}

#[test]
fn strangers_are_left_as_they_are() {
    let (_folder, path) = place();
    fs::write(&path, "[models]\n".repeat(1_000)).unwrap();
    assert!(matches!(error(&path), OpenError::Foreign { .. }));
    assert_eq!(fs::read(&path).unwrap().len(), 9_000);
    fs::remove_file(&path).unwrap();
    let other: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    let database = Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(other).unwrap().insert(1, 2).unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(matches!(error(&path), OpenError::Foreign { .. }));
    let database = Database::open(&path).unwrap();
    assert_eq!(database.begin_read().unwrap().list_tables().unwrap().count(), 1, "no table of ours is in it");
}

#[test]
fn a_newer_file_is_not_touched() {
    let (_folder, path) = place();
    drop(RedbStore::open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    let meta: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
    write.open_table(meta).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    assert_eq!(error(&path), OpenError::Newer { path: path.clone(), found: 2, known: 1 });
}

/// A value that a newer version wrote is named; so is one that is not what was written.
#[test]
fn values_of_another_format_are_named() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    let key = tables::numbered(5, 5);
    let newer = Place { table: "usage", key: &key }.sealed(vec![KNOWN + 1, 1, 2]);
    let put = |bytes: &[u8]| {
        let File::Open(database) = &*store.read() else { panic!("it is open") };
        let write = database.begin_write().unwrap();
        write.open_table(tables::USAGE).unwrap().insert((5, 5), bytes).unwrap();
        write.commit().unwrap();
    };
    put(&newer);
    let found = KNOWN + 1;
    let wanted = StoreError::Newer { path: path.clone(), what: "a usage record", found, known: KNOWN };
    assert_eq!(store.usage(&UsageQuery::default()), Err(wanted.clone()));
    assert_eq!(store.totals(None, None, Grouping::Key), Err(wanted));
    put(&[1, 2, 3, 4, 5, 6]);
    let outcome = store.usage(&UsageQuery::default());
    assert!(matches!(outcome, Err(StoreError::Damaged { .. })), "{outcome:?}");
    assert_eq!(store.commit(&some()).map(|receipt| receipt.duplicates), Ok(vec![]), "the rest goes on");
}

/// Bytes are changed all over the file. It either is as it was (where nothing stood), or says that it is damaged;
/// it never panics and never holds anything else.
#[test]
fn a_damaged_file_says_so() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    store.commit(&some()).unwrap();
    let hard = store.load().unwrap();
    store.close().unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut damaged = 0;
    let ends = (0..whole.len()).step_by(2_039).chain(0..600);
    for at in ends {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        match RedbStore::open(&path) {
            Ok(store) => assert_eq!(store.load(), Ok(hard.clone()), "byte {at}"),
            Err(OpenError::Damaged { .. } | OpenError::Foreign { .. } | OpenError::Outdated { .. }) => damaged += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(damaged > 20, "{damaged} of them were found");
}

#[test]
fn a_cut_file_says_so() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    store.commit(&some()).unwrap();
    store.close().unwrap();
    let whole = fs::read(&path).unwrap();
    for len in [1, 100, 511, 512, 4_096, 5_000, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        let error = error(&path);
        assert!(matches!(error, OpenError::Damaged { .. } | OpenError::Foreign { .. }), "{len} bytes: {error:?}");
    }
}

/// After a failure the file is opened anew; if it has gone, no empty one takes its place.
#[test]
fn a_file_that_has_gone_is_not_made_anew() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    store.commit(&some()).unwrap();
    let away = path.with_extension("away");
    fs::rename(&path, &away).unwrap();
    store.failed.store(true, Ordering::Release);
    let gone = Err(StoreError::Reopen(OpenError::NotThere { path: path.clone() }));
    assert_eq!(store.usage_exists(RequestId(1)), gone);
    assert_eq!(store.usage_exists(RequestId(1)), gone);
    assert!(!path.exists());
    fs::rename(&away, &path).unwrap();
    assert_eq!(store.usage_exists(RequestId(1)), Ok(true));
}

#[test]
fn folding_gives_room_back() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    for first in (0..20_000).step_by(5_000) {
        store.commit(&(first..first + 5_000).map(|number| Write::Usage(record(number))).collect::<Vec<_>>()).unwrap();
    }
    let before = fs::metadata(&path).unwrap().len();
    let compacted = store.compact(UnixMillis(86_400_000)).unwrap();
    assert_eq!((compacted.records, compacted.totals), (20_000, 1));
    assert_eq!(compacted.freed.0, before - fs::metadata(&path).unwrap().len());
    assert!(compacted.freed.0 > before / 2, "{} of {before} bytes", compacted.freed);
}
