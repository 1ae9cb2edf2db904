//! How fast limits are checked: `cargo run --release -p policy --example limits_speed`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints what a clock says")]

use std::time::{Duration, Instant};

use policy::limits::Limits;
use protocol::account::KeyLimits;
use protocol::units::Tokens;

const KEYS: u64 = 10_000;
const ROUNDS: u64 = 200;

fn main() {
    let open =
        KeyLimits { requests_per_minute: Some(1_000_000), tokens_per_minute: Some(1 << 40), parallel: Some(1_000) };
    let tight = KeyLimits { requests_per_minute: Some(60), tokens_per_minute: Some(10_000), parallel: Some(20) };
    let names: Vec<String> = (0..KEYS).map(|key| format!("key-{key:016x}")).collect();
    for (what, key) in [("let in and settled", open), ("mostly refused", tight)] {
        let mut limits = Limits::new(1 << 16);
        let mut times = Vec::with_capacity(usize::try_from(KEYS * ROUNDS).unwrap_or(0));
        for round in 0..ROUNDS {
            for name in &names {
                let now = Duration::from_millis(round * 97);
                let begun = Instant::now();
                if let Ok(ticket) = limits.admit(now, name, &key, Tokens(900)) {
                    limits.settle(now, ticket, Tokens(700));
                }
                times.push(begun.elapsed().as_nanos());
            }
        }
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 1000).copied().unwrap_or(0);
        println!(
            "{KEYS} keys, {what}: p50 {} ns, p99 {} ns, p99.9 {} ns; {} keys remembered",
            at(500),
            at(990),
            at(999),
            limits.len()
        );
    }
}
