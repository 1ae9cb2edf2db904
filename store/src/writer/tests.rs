#![expect(clippy::disallowed_types, reason = "a channel's end is shared with the writer's thread")]

use std::future::Future;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use protocol::account::UsageRecord;
use protocol::ids::RequestId;
use protocol::manage::UsageQuery;
use protocol::units::UnixMillis;

use super::*;
use crate::{BadBatch, Compacted, Grouping, Hard, MemoryStore, Total, UsagePage};

/// A store whose commits wait until they are let through, and fail as they are told.
#[derive(Debug)]
struct Gate {
    inner: MemoryStore,
    /// Says how many writes each commit has.
    begun: SyncSender<usize>,
    /// Lets one commit through, or fails it.
    go: Mutex<Receiver<Result<(), StoreError>>>,
}

impl Store for Gate {
    fn load(&self) -> Result<Hard, StoreError> {
        self.inner.load()
    }

    fn commit(&self, batch: &[Write]) -> Result<Receipt, StoreError> {
        self.begun.send(batch.len()).unwrap();
        self.go.lock().unwrap().recv().unwrap()?;
        if batch.contains(&Write::RemoveBlob("poison".to_owned())) {
            return Err(StoreError::Refused(BadBatch::Unnamed { place: 0, what: "poison" }));
        }
        self.inner.commit(batch)
    }

    fn usage(&self, query: &UsageQuery) -> Result<UsagePage, StoreError> {
        self.inner.usage(query)
    }

    fn totals(
        &self,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
        by: Grouping,
    ) -> Result<std::collections::BTreeMap<String, Total>, StoreError> {
        self.inner.totals(since, until, by)
    }

    fn compact(&self, before: UnixMillis) -> Result<Compacted, StoreError> {
        self.inner.compact(before)
    }

    fn usage_exists(&self, request: RequestId) -> Result<bool, StoreError> {
        self.inner.usage_exists(request)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

struct Bench {
    writer: Writer,
    store: MemoryStore,
    begun: Receiver<usize>,
    go: SyncSender<Result<(), StoreError>>,
}

fn bench(settings: Settings) -> Bench {
    let inner = MemoryStore::new();
    let ((begun, begins), (go, goes)) = (sync_channel(100), sync_channel(100));
    let gate = Gate { inner: inner.clone(), begun, go: goes.into() };
    Bench { writer: Writer::start(Arc::new(gate), settings).unwrap(), store: inner, begun: begins, go }
}

fn usage(number: u128) -> Write {
    Write::Usage(UsageRecord { request: RequestId(number), ..UsageRecord::default() })
}

fn disk() -> StoreError {
    StoreError::Disk { path: "/store".into(), why: "gone".to_owned() }
}

impl Bench {
    /// A first batch that is in the middle of its commit, so that all that comes now waits.
    fn busy(&self) -> Pending {
        let first = self.writer.submit(vec![usage(0)]).unwrap();
        assert_eq!(self.begun.recv(), Ok(1));
        first
    }

    fn submit(&self, number: u128) -> Pending {
        self.writer.submit(vec![usage(number)]).unwrap()
    }

    fn records(&self) -> u64 {
        self.store.load().unwrap().counters.records
    }
}

#[test]
fn what_waits_goes_into_one_commit() {
    let bench = bench(Settings::default());
    let first = bench.busy();
    let pending: Vec<_> = (1..=50).map(|number| bench.submit(number)).collect();
    assert_eq!(bench.writer.stats().queued, 50);
    bench.go.send(Ok(())).unwrap();
    assert_eq!(bench.begun.recv(), Ok(50));
    first.wait().unwrap();
    assert_eq!(bench.records(), 1, "nothing is told before it is committed");
    bench.go.send(Ok(())).unwrap();
    pending.into_iter().for_each(|pending| assert_eq!(pending.wait(), Ok(Receipt::default())));
    assert_eq!(bench.records(), 51);
    assert_eq!(bench.writer.stats(), Stats { queued: 0, commits: 2, batches: 51, failures: 0 });
}

#[test]
fn a_group_has_a_bound_and_keeps_the_order() {
    let bench = bench(Settings { group: 4, ..Settings::default() });
    drop(bench.busy());
    let blob = |byte| Write::PutBlob { name: "b".to_owned(), bytes: vec![byte] };
    let pending: Vec<_> =
        [3, 2, 1, 7].map(|len| bench.writer.submit(vec![blob(len); usize::from(len)]).unwrap()).into();
    for (writes, last) in [(3, None), (3, Some(3)), (7, Some(1))] {
        bench.go.send(Ok(())).unwrap();
        assert_eq!(bench.begun.recv(), Ok(writes), "a single batch may be larger than the group");
        assert_eq!(bench.store.load().unwrap().blobs.get("b").cloned(), last.map(|byte| vec![byte]));
    }
    bench.go.send(Ok(())).unwrap();
    pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    assert_eq!(bench.store.load().unwrap().blobs.get("b"), Some(&vec![7]));
}

#[test]
fn a_full_queue_refuses_and_takes_again() {
    let bench = bench(Settings { queue: 2, ..Settings::default() });
    let first = bench.busy();
    let (second, third) = (bench.submit(1), bench.submit(2));
    assert_eq!(bench.writer.submit(vec![usage(3)]).unwrap_err(), WriterError::Full { queued: 2 });
    assert_eq!(bench.writer.stats().queued, 2, "what is refused does not wait");
    bench.go.send(Ok(())).unwrap();
    bench.go.send(Ok(())).unwrap();
    for pending in [first, second, third] {
        pending.wait().unwrap();
    }
    bench.go.send(Ok(())).unwrap();
    bench.submit(3).wait().unwrap();
    assert_eq!(bench.records(), 4);
}

#[test]
fn a_failure_is_told_to_all_and_the_writer_goes_on() {
    let bench = bench(Settings::default());
    drop(bench.busy());
    let pending: Vec<_> = (1..=3).map(|number| bench.submit(number)).collect();
    bench.go.send(Ok(())).unwrap();
    bench.go.send(Err(disk())).unwrap();
    pending.into_iter().for_each(|pending| assert_eq!(pending.wait(), Err(WriterError::Store(disk()))));
    bench.go.send(Ok(())).unwrap();
    bench.submit(4).wait().unwrap();
    assert_eq!(bench.records(), 2);
    assert_eq!(bench.writer.stats().failures, 1);
}

#[test]
fn one_bad_batch_takes_no_other_with_it() {
    let bench = bench(Settings::default());
    drop(bench.busy());
    let (good, poison) = (bench.submit(1), vec![usage(2), Write::RemoveBlob("poison".to_owned())]);
    let (bad, other) = (bench.writer.submit(poison).unwrap(), bench.submit(3));
    for _ in 0..5 {
        bench.go.send(Ok(())).unwrap();
    }
    assert_eq!(good.wait(), Ok(Receipt::default()));
    assert_eq!(bad.wait(), Err(WriterError::Refused(BadBatch::Unnamed { place: 0, what: "poison" })));
    assert_eq!(other.wait(), Ok(Receipt::default()));
    assert_eq!(bench.begun.try_iter().collect::<Vec<_>>(), [4, 1, 2, 1]);
    assert_eq!(bench.records(), 3);
}

#[test]
fn an_impossible_batch_is_refused_before_it_is_queued() {
    let bench = bench(Settings::default());
    let outcome = bench.writer.submit(vec![Write::RemoveBlob(String::new())]);
    assert_eq!(outcome.unwrap_err(), WriterError::Refused(BadBatch::Unnamed { place: 0, what: "blob name" }));
    assert_eq!(bench.writer.stats(), Stats::default());
}

#[test]
fn each_hears_of_its_own_duplicates() {
    let bench = bench(Settings::default());
    let first = bench.busy();
    let second = bench.writer.submit(vec![usage(1), usage(0)]).unwrap();
    let third = bench.writer.submit(vec![usage(2), usage(3), usage(1), usage(2)]).unwrap();
    let fourth = bench.submit(4);
    bench.go.send(Ok(())).unwrap();
    bench.go.send(Ok(())).unwrap();
    assert_eq!(first.wait(), Ok(Receipt::default()));
    assert_eq!(second.wait(), Ok(Receipt { duplicates: vec![RequestId(0)], skipped: vec![1] }));
    assert_eq!(third.wait(), Ok(Receipt { duplicates: vec![RequestId(1), RequestId(2)], skipped: vec![2, 3] }));
    assert_eq!(fourth.wait(), Ok(Receipt::default()));
}

#[test]
fn to_flush_is_to_wait_for_all_before() {
    let bench = bench(Settings::default());
    let first = bench.busy();
    drop((first, bench.submit(1)));
    let flushed = bench.writer.flush().unwrap();
    let after = bench.submit(2);
    for _ in 0..3 {
        bench.go.send(Ok(())).unwrap();
    }
    flushed.wait().unwrap();
    assert!(bench.store.usage_exists(RequestId(1)).unwrap());
    after.wait().unwrap();
}

#[test]
fn to_drop_the_writer_is_to_commit_what_waits() {
    let bench = bench(Settings::default());
    let first = bench.busy();
    let (kept, dropped) = (bench.submit(1), bench.submit(2));
    drop(dropped);
    bench.go.send(Ok(())).unwrap();
    bench.go.send(Ok(())).unwrap();
    drop(bench.writer);
    assert_eq!(bench.store.load().unwrap().counters.records, 3, "nobody waits for the third, it is written");
    first.wait().unwrap();
    kept.wait().unwrap();
}

#[test]
fn a_task_can_wait_too() {
    let bench = bench(Settings::default());
    let mut pending = Box::pin(bench.submit(1));
    let (woken, wakes) = sync_channel(1);
    let waker = Waker::from(Arc::new(Woken(woken)));
    let mut context = Context::from_waker(&waker);
    assert!(pending.as_mut().poll(&mut context).is_pending());
    bench.go.send(Ok(())).unwrap();
    wakes.recv().unwrap();
    assert_eq!(pending.as_mut().poll(&mut context), Poll::Ready(Ok(Receipt::default())));
}

struct Woken(SyncSender<()>);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.try_send(()).unwrap();
    }
}

#[test]
fn a_writer_that_has_ended_says_so() {
    let Bench { writer, begun, go, .. } = bench(Settings::default());
    let pending = writer.submit(vec![usage(1)]).unwrap();
    // The store panics in the thread: its channel is gone.
    drop((begun, go));
    assert_eq!(pending.wait(), Err(WriterError::Gone));
    while writer.submit(vec![usage(2)]).is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(writer.submit(vec![usage(2)]).unwrap_err(), WriterError::Gone);
    assert_eq!(writer.flush().unwrap_err(), WriterError::Gone);
}
