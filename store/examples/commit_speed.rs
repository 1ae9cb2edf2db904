//! What commits cost: how many a second, how long each takes, and the CPU time of a record, with more and more
//! who submit at once.
//!
//! `cargo run --release -p store --example commit_speed [FOLDER] [SECONDS] [RECORDS]`: the file is made in FOLDER (the
//! folder for temporary files if left out), each line runs for SECONDS (5), and there are RECORDS (0) in the
//! store before.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use nix::time::{ClockId, clock_gettime};
use protocol::account::{Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::units::{Nanos, Tokens, UnixMillis};
use store::{Grouping, OpenReservation, RedbStore, Settings, Store, Write, Writer};

/// 2026-11-28.
const NOW: u64 = 20_785 * 86_400_000;

fn record(number: u64) -> UsageRecord {
    UsageRecord {
        // Spread, as random ids are.
        request: RequestId(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)),
        at: UnixMillis(NOW + number),
        subject: Subject {
            organisation: Some("organisation".to_owned()),
            team: Some("team".to_owned()),
            key: format!("key-{:016x}", number % 100),
            model: "qwen3-0.6b".to_owned(),
            tags: vec!["production".to_owned(), "chat".to_owned()],
            provider: None,
        },
        asked: "auto".to_owned(),
        prompt: Tokens(1_000),
        completion: Tokens(500),
        reserved: Nanos(2_000_000),
        cost: Nanos(1_234_567),
        ..UsageRecord::default()
    }
}

/// What the end of a request writes: its usage, its reservation's end, two budgets.
fn settle(number: u64) -> Vec<Write> {
    let record = record(number);
    let spent =
        |budget: &str| Write::Spent(Spent { budget: budget.to_owned(), settled: Nanos(number), ..Spent::default() });
    vec![Write::Close(record.request), Write::Usage(record), spent("organisation"), spent("team")]
}

/// What its beginning writes.
fn reserve(number: u64) -> Vec<Write> {
    let record = record(number);
    vec![Write::Open(OpenReservation {
        request: record.request,
        at: record.at,
        subject: record.subject,
        amount: record.reserved,
    })]
}

fn cpu() -> Result<Duration, nix::Error> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank")]
    let rank = (sorted.len() as f64 * share) as usize;
    sorted.get(rank.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

type Failed = Box<dyn Error + Send + Sync>;

/// Submits and waits, over and over. The latencies.
fn submit(
    writer: &Writer,
    next: &AtomicU64,
    until: Instant,
    make: fn(u64) -> Vec<Write>,
) -> Result<Vec<Duration>, Failed> {
    let mut latencies = Vec::new();
    while now() < until {
        let batch = make(next.fetch_add(1, Ordering::Relaxed));
        let began = now();
        writer.submit(batch)?.wait()?;
        latencies.push(now() - began);
    }
    Ok(latencies)
}

fn main() -> Result<(), Failed> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().map_or_else(env::temp_dir, Into::into);
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let before: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("store.redb");
    let store = Arc::new(RedbStore::open(&path)?);
    let next = AtomicU64::new(0);
    while next.load(Ordering::Relaxed) < before {
        let first = next.fetch_add(5_000, Ordering::Relaxed);
        store.commit(&(first..first + 5_000).map(|number| Write::Usage(record(number))).collect::<Vec<_>>())?;
    }
    println!(
        "{:>9} {:>8} {:>10} {:>10} {:>8} {:>8} {:>9}",
        "", "submit", "batches/s", "commits/s", "p50", "p99", "cpu"
    );
    for (name, make) in [("settle", settle as fn(u64) -> Vec<Write>), ("reserve", reserve)] {
        for submitters in [1, 16, 256] {
            let writer = Writer::start(Arc::clone(&store) as Arc<dyn Store>, Settings::default())?;
            let (began, used) = (now(), cpu()?);
            let until = began + Duration::from_secs(seconds);
            let outcomes: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..submitters).map(|_| scope.spawn(|| submit(&writer, &next, until, make))).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread has died".into())))
                    .collect()
            });
            let (span, used) = ((now() - began).as_secs_f64(), cpu()? - used);
            let mut latencies: Vec<Duration> = Vec::new();
            for outcome in outcomes {
                latencies.extend(outcome?);
            }
            latencies.sort_unstable();
            let batches = u32::try_from(latencies.len())?;
            let commits = u32::try_from(writer.stats().commits)?;
            println!(
                "{name:>9} {submitters:>8} {:>10.0} {:>10.0} {:>8.1?} {:>8.1?} {:>9.1?}",
                f64::from(batches) / span,
                f64::from(commits) / span,
                quantile(&latencies, 0.5),
                quantile(&latencies, 0.99),
                used / batches.max(1),
            );
        }
    }
    let count = store.load()?.counters.records;
    println!("{count} records in {} MiB", fs::metadata(&path)?.len() >> 20);
    let began = now();
    let totals = store.totals(None, None, Grouping::Key)?;
    println!("totals of {} keys: {:.1?}", totals.len(), now() - began);
    store.close()?;
    let began = now();
    let store = RedbStore::open(&path)?;
    println!("opened, all of it checked: {:.1?}", now() - began);
    let began = now();
    let compacted = store.compact(UnixMillis(u64::MAX))?;
    println!("folded {} records, {} freed: {:.1?}", compacted.records, compacted.freed, now() - began);
    Ok(())
}
