//! A process that commits is killed at random moments; what it was told is on disk is there, each once.
//!
//! The process is this very test program: with `STORE_KILLED` set, its one test is the work instead.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::env;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::account::{Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::manage::UsageQuery;
use protocol::units::{Nanos, Tokens, UnixMillis};
use store::{Grouping, OpenReservation, RedbStore, Settings, Store, Write, Writer};

const DAY: u64 = 86_400_000;
const ROUNDS: u64 = 60;
/// Batches in flight, so that groups form.
const IN_FLIGHT: usize = 8;

fn record(number: u64) -> UsageRecord {
    UsageRecord {
        request: RequestId(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)),
        at: UnixMillis(number * DAY / 500),
        subject: Subject { key: format!("key-{}", number % 3), model: "m".to_owned(), ..Subject::default() },
        prompt: Tokens(number),
        cost: Nanos(number * 1_000_003),
        ..UsageRecord::default()
    }
}

/// The sum of what the records below `end` cost.
fn sum(end: u64) -> Nanos {
    Nanos((0..end).map(|number| record(number).cost.0).sum())
}

/// What a coordinator does at the end of a request, and at the beginning of the next.
fn batch(number: u64) -> Vec<Write> {
    let (now, next) = (record(number), record(number + 1));
    let spent = Spent { budget: "all".to_owned(), settled: sum(number + 1), ..Spent::default() };
    vec![
        Write::Open(OpenReservation { request: next.request, amount: next.cost, ..OpenReservation::default() }),
        Write::Close(now.request),
        Write::Usage(now),
        Write::Spent(spent),
    ]
}

/// Commits for ever, and says what is on disk. Now and then it folds old records, too.
fn work(path: &str) {
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(path).unwrap());
    let start = store.load().unwrap().counters.ever;
    let writer = Writer::start(Arc::clone(&store), Settings::default()).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "committing").unwrap();
    let mut pending = std::collections::VecDeque::new();
    for number in start.. {
        pending.push_back((number, writer.submit(batch(number)).unwrap()));
        if pending.len() == IN_FLIGHT {
            let (number, pending) = pending.pop_front().unwrap();
            pending.wait().unwrap();
            writeln!(out, "committed {number}").unwrap();
            out.flush().unwrap();
        }
        if number % 400 == 0 {
            store.compact(record(number).at).unwrap();
        }
    }
}

#[test]
fn a_kill_loses_nothing_that_was_told_and_counts_nothing_twice() {
    if let Ok(path) = env::var("STORE_KILLED") {
        work(&path);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let (mut told, mut killed_while_opening) = (None::<u64>, 0);
    for round in 0..ROUNDS {
        // Some moments are in the middle of opening, some after tens of commits.
        let lines = (round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58).saturating_sub(4);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--nocapture", "--exact", "a_kill_loses_nothing_that_was_told_and_counts_nothing_twice"])
            .env("STORE_KILLED", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut heard = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut tell = |line: &str| {
            if let Some(number) = line.strip_prefix("committed ") {
                told = Some(number.parse().unwrap());
            }
        };
        // Its first line comes just before it opens the store.
        assert!(heard.by_ref().map_while(Result::ok).any(|line| line.starts_with("running")));
        let mut seen = 0;
        while seen < lines {
            let line = heard.next().expect("the child works until it is killed").unwrap();
            seen += u64::from(line.starts_with("committ"));
            tell(&line);
        }
        killed_while_opening += u64::from(lines == 0);
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        // What it has told before it died counts as well.
        heard.map_while(Result::ok).for_each(|line| tell(&line));
        check(&path, told, round);
    }
    assert!(told.is_some_and(|told| told > 400), "the work goes on from round to round: {told:?}");
    assert!(killed_while_opening > 0);
}

fn check(path: &std::path::Path, told: Option<u64>, round: u64) {
    let store = RedbStore::open(path).unwrap();
    let hard = store.load().unwrap();
    let count = hard.counters.ever;
    assert!(told.is_none_or(|told| told < count), "round {round}: {told:?} was told, {count} are there");
    for number in 0..count {
        assert!(store.usage_exists(record(number).request).unwrap(), "round {round}: {number} of {count} is missing");
    }
    let settled = hard.spent.get("all").map_or(Nanos(0), |spent| spent.settled);
    assert_eq!(settled, sum(count), "round {round}: what was spent is the sum of the records");
    let totals = store.totals(None, None, Grouping::Key).unwrap();
    assert_eq!(totals.values().map(|total| total.requests).sum::<u64>(), count, "round {round}");
    assert_eq!(totals.values().map(|total| total.cost).sum::<Nanos>(), settled, "round {round}");
    let open: Vec<_> = hard.open.keys().copied().collect();
    let next = record(count).request;
    assert_eq!(open, if count == 0 { vec![] } else { vec![next] }, "round {round}: what is open is what was begun");
    // Those that are not folded are there one by one.
    let mut query = UsageQuery { limit: 10_000, ..UsageQuery::default() };
    let mut number = count - hard.counters.records;
    loop {
        let page = store.usage(&query).unwrap();
        for found in &page.records {
            assert_eq!(*found, record(number), "round {round}");
            number += 1;
        }
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(number, count, "round {round}");
    store.close().unwrap();
}
