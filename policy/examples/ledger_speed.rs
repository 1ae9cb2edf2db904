//! How fast the ledger is: `cargo run --release -p policy --example ledger_speed`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints what a clock says")]

use std::time::Instant;

use policy::ledger::{Ledger, ReservationId};
use protocol::account::{Budget, Period, Scope, Subject, Window};
use protocol::units::{Nanos, UnixMillis};

/// Budgets of keys; there are as many again of all else.
const KEYS: u64 = 5000;
const ROUNDS: u128 = 200_000;
/// Reservations that are open all the while.
const OPEN: u128 = 1000;

fn budget(id: String, scope: Scope) -> Budget {
    let window = Window { every: Period::Day, zone: Some("Europe/Berlin".into()) };
    Budget { id, scope, limit: Nanos(u64::MAX / 4), window, alerts: vec![50, 80, 100], ..Budget::default() }
}

fn subject(n: u64) -> Subject {
    Subject {
        organisation: Some(format!("org-{}", n % 500)),
        team: Some(format!("team-{}", n % 2500)),
        key: format!("key-{n:016x}"),
        model: format!("model-{}", n % 10),
        tags: vec![format!("tag-{}", n % 1999), "untagged".into()],
        provider: None,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut budgets = vec![budget("all".into(), Scope::default())];
    for n in 0..KEYS {
        let Subject { organisation, team, key, .. } = subject(n);
        budgets.push(budget(format!("key {n}"), Scope { key: Some(key), ..Scope::default() }));
        if n < 500 {
            budgets.push(budget(format!("org {n}"), Scope { organisation, ..Scope::default() }));
        } else if n < 3000 {
            let organisation = Some(format!("org-{}", n % 500));
            budgets.push(budget(format!("team {n}"), Scope { organisation, team, ..Scope::default() }));
        } else if n < 4999 {
            let tag = Some(format!("tag-{}", n - 3000));
            budgets.push(budget(format!("tag {n}"), Scope { tag, ..Scope::default() }));
        }
    }
    let count = budgets.len();
    let mut ledger = Ledger::new(budgets, [])?;
    let now = UnixMillis(1_795_867_200_000);
    let subjects: Vec<Subject> = (0..KEYS).map(subject).collect();
    ledger.states(now);
    let mut matched = 0;
    let (mut reserve, mut settle) = (Vec::new(), Vec::new());
    for (n, subject) in (0..ROUNDS + OPEN).zip(subjects.iter().cycle()) {
        let begun = Instant::now();
        ledger.reserve(now, ReservationId(n), subject, Nanos(1000))?;
        reserve.push(begun.elapsed().as_nanos());
        if let Some(old) = n.checked_sub(OPEN) {
            let begun = Instant::now();
            let settled = ledger.settle(now, ReservationId(old), Nanos(900))?;
            settle.push(begun.elapsed().as_nanos());
            matched += settled.changes.len();
        }
    }
    println!("{count} budgets, {:.2} of them match a request", matched as f64 / ROUNDS as f64);
    for (what, mut times) in [("reserve", reserve), ("settle", settle)] {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 1000).copied().unwrap_or_default();
        let mean = times.iter().sum::<u128>() / times.len() as u128;
        println!("{what}: mean {mean} ns, p50 {} ns, p99 {} ns, p99.9 {} ns", at(500), at(990), at(999));
    }
    Ok(())
}
