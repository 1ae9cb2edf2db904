//! A disk that fails, or loses power, at each of its operations in turn: what was told to be on disk is there
//! afterwards, whole, and nothing is there in part.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]
#![expect(clippy::disallowed_types, reason = "redb and the test share the disk between threads")]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::account::{Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::units::{Nanos, UnixMillis};
use redb::{Builder, StorageBackend};
use store::{Grouping, OpenError, Opener, RedbStore, Store, StoreError, Write};

const DAY: u64 = 86_400_000;
const COMMITS: u64 = 12;
/// Records in each commit.
const RECORDS: u64 = 3;
/// After this commit, old records are folded and the file is made smaller.
const FOLD: u64 = 8;

/// What happens at an operation, and after it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The process dies: what it wrote stays, the last write in part.
    Death,
    /// Power is lost: of what was written since the last sync, some sectors stay and some do not.
    Power,
    /// The disk is full for once, and then not any more.
    Full,
}

/// A disk in memory.
#[derive(Debug, Default)]
struct Disk {
    /// As the process sees it.
    now: Vec<u8>,
    /// As it was at the last sync.
    synced: Vec<u8>,
    /// Offset and length of what was written since.
    unsynced: Vec<(usize, usize)>,
    /// Operations that change something, so far.
    operations: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    random: u64,
}

const SECTOR: usize = 512;

impl Disk {
    /// One of two numbers, by chance that is the same in each run (xorshift).
    fn toss(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.is_multiple_of(2)
    }

    /// Counts an operation. An error, and how much of it is done all the same, if it is the one that fails.
    fn step(&mut self) -> Result<(), (io::Error, bool)> {
        let now = self.operations;
        self.operations += 1;
        match self.fault {
            _ if self.dead => Err((io::Error::other("the process is dead"), false)),
            Some((at, Fault::Full)) if at == now => Err((io::Error::from(io::ErrorKind::StorageFull), true)),
            Some((at, _)) if at == now => {
                self.dead = true;
                Err((io::Error::other("the process dies"), true))
            }
            _ => Ok(()),
        }
    }

    fn put(&mut self, offset: usize, data: &[u8]) {
        self.now[offset..offset + data.len()].copy_from_slice(data);
        self.unsynced.push((offset, data.len()));
    }

    /// What is found after a restart.
    fn restart(&mut self) {
        if let Some((_, Fault::Power)) = self.fault {
            let mut found = self.synced.clone();
            // The length is kept or not; a longer file has zeros where nothing was written.
            if self.toss() {
                found.resize(self.now.len(), 0);
            }
            for (offset, len) in std::mem::take(&mut self.unsynced) {
                for start in (offset..offset + len).step_by(SECTOR) {
                    let end = (start + SECTOR).min(offset + len).min(found.len()).min(self.now.len());
                    if start < end && self.toss() {
                        found[start..end].copy_from_slice(&self.now[start..end]);
                    }
                }
            }
            self.now = found;
        }
        self.synced = self.now.clone();
        self.unsynced.clear();
        (self.dead, self.fault) = (false, None);
    }
}

#[derive(Clone, Debug)]
struct Backend(Arc<Mutex<Disk>>);

impl Backend {
    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let disk = self.disk();
        let from = disk.now.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step().map_err(|(error, _)| error)?;
        disk.now.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step().map_err(|(error, _)| error)?;
        disk.synced = disk.now.clone();
        disk.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        let start = usize::try_from(offset).unwrap();
        match disk.step() {
            Ok(()) => disk.put(start, data),
            Err((error, in_part)) => {
                if in_part {
                    disk.put(start, &data[..data.len() / 2]);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

fn open(backend: &Backend) -> Result<RedbStore, OpenError> {
    let backend = backend.clone();
    let opener: Opener = Box::new(move || {
        Builder::new().set_cache_size(1 << 20).set_check_integrity_on_open(true).create_with_backend(backend.clone())
    });
    RedbStore::open_with("/disk".into(), opener)
}

fn record(number: u64) -> UsageRecord {
    UsageRecord {
        request: RequestId(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)),
        at: UnixMillis(number * DAY / 4),
        subject: Subject { key: format!("key-{}", number % 2), tags: vec!["x".repeat(300)], ..Subject::default() },
        cost: Nanos(number + 1),
        ..UsageRecord::default()
    }
}

fn sum(end: u64) -> Nanos {
    Nanos((0..end).map(|number| record(number).cost.0).sum())
}

fn batch(commit: u64) -> Vec<Write> {
    let first = commit * RECORDS;
    let mut writes: Vec<_> = (first..first + RECORDS).map(|number| Write::Usage(record(number))).collect();
    let spent = Spent { settled: sum(first + RECORDS), ..Spent::default() };
    writes.push(Write::Spent(Spent { budget: "all".to_owned(), ..spent }));
    // More than a page, and each time another size.
    writes.push(Write::PutBlob { name: "escrow".to_owned(), bytes: vec![7; usize::try_from(commit).unwrap() * 3_000] });
    writes
}

/// Commits until something fails. How many were told to be there, and whether all was done.
fn work(store: &RedbStore, from: u64) -> (u64, Result<(), StoreError>) {
    for commit in from..COMMITS {
        if let Err(error) = store.commit(&batch(commit)) {
            return (commit, Err(error));
        }
        if commit == FOLD
            && let Err(error) = store.compact(record(commit).at)
        {
            return (commit + 1, Err(error));
        }
    }
    (COMMITS, Ok(()))
}

/// What is there is a number of whole commits, at least those that were told. Which number.
fn check(store: &RedbStore, told: u64, when: &str) -> u64 {
    let hard = store.load().unwrap_or_else(|error| panic!("{when}: {error}"));
    let there = hard.counters.ever;
    assert_eq!(there % RECORDS, 0, "{when}: a commit is there in part");
    let commits = there / RECORDS;
    assert!(commits == told || commits == told + 1, "{when}: {told} commits were told, {commits} are there");
    assert_eq!(hard.spent.get("all").map_or(Nanos(0), |spent| spent.settled), sum(there), "{when}");
    let blob = hard.blobs.get("escrow").map_or(0, Vec::len) as u64;
    assert_eq!(blob, commits.saturating_sub(1) * 3_000, "{when}");
    assert!((0..there).all(|number| store.usage_exists(record(number).request) == Ok(true)), "{when}");
    let totals = store.totals(None, None, Grouping::Day).unwrap();
    assert_eq!(totals.values().map(|total| total.requests).sum::<u64>(), there, "{when}");
    assert_eq!(totals.values().map(|total| total.cost).sum::<Nanos>(), sum(there), "{when}");
    commits
}

/// A disk with an empty store on it: a store gets its name only when it is whole.
fn disk(fault: Option<(u64, Fault)>, random: u64) -> Backend {
    let backend = Backend(Arc::new(Mutex::new(Disk::default())));
    open(&backend).unwrap().close().unwrap();
    let found = backend.disk().now.clone();
    *backend.disk() = Disk { now: found.clone(), synced: found, fault, random, ..Disk::default() };
    backend
}

/// Runs the work with a fault at each operation, and hands on the disk, what was told, and a name of the case.
fn at_each_operation(fault: Fault, seeds: u64, mut then: impl FnMut(&Backend, u64, Option<RedbStore>, &str)) {
    let calm = disk(None, 1);
    let store = open(&calm).unwrap();
    assert_eq!(work(&store, 0), (COMMITS, Ok(())));
    drop(store);
    let operations = calm.disk().operations;
    assert!(operations > 100, "the work is too small to say much: {operations} operations");
    for at in 0..operations {
        for seed in 1..=seeds {
            let when = format!("{fault:?} at operation {at} of {operations}, seed {seed}");
            let backend = disk(Some((at, fault)), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at);
            match open(&backend) {
                Ok(store) => {
                    let (told, _) = work(&store, 0);
                    then(&backend, told, Some(store), &when);
                }
                Err(_) => then(&backend, 0, None, &when),
            }
        }
    }
}

fn survives(fault: Fault, seeds: u64) {
    at_each_operation(fault, seeds, |backend, told, store, when| {
        drop(store);
        backend.disk().restart();
        let store = open(backend).unwrap_or_else(|error| panic!("{when}: {error}"));
        let there = check(&store, told, when);
        // And it goes on.
        assert_eq!(work(&store, there), (COMMITS, Ok(())), "{when}");
        check(&store, COMMITS, when);
    });
}

#[test]
fn a_death_at_any_write_loses_nothing_that_was_told() {
    survives(Fault::Death, 1);
}

#[test]
fn a_loss_of_power_at_any_write_loses_nothing_that_was_told() {
    survives(Fault::Power, 4);
}

#[test]
fn a_disk_that_was_full_goes_on_by_itself() {
    let mut failures = 0;
    at_each_operation(Fault::Full, 1, |backend, told, store, when| {
        // It could not even be opened: it can be, now.
        let store = store.unwrap_or_else(|| open(backend).unwrap_or_else(|error| panic!("{when}: {error}")));
        failures += 1;
        let there = check(&store, told, when);
        assert_eq!(work(&store, there), (COMMITS, Ok(())), "{when}");
        check(&store, COMMITS, when);
    });
    assert!(failures > 100);
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let calm = disk(None, 1);
    drop(open(&calm).unwrap());
    // Well behind what it takes to open the file.
    let at = calm.disk().operations + 40;
    let store = open(&disk(Some((at, Fault::Full)), 1)).unwrap();
    let (_, outcome) = work(&store, 0);
    assert!(matches!(outcome, Err(StoreError::NoRoom { .. })), "{outcome:?}");
    let outcome = open(&disk(Some((2, Fault::Full)), 1));
    assert!(matches!(outcome, Err(OpenError::NoRoom { .. })), "{outcome:?}");
}
