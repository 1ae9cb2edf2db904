//! How long a placement takes: `cargo run --release -p policy --example placement_speed`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use policy::placement::ledger::Sent;
use policy::placement::{Candidate, Prompt, Settings, choose};
use policy::restart::Jitter;
use protocol::engine::Load;
use protocol::ids::NodeId;
use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};

fn candidate(node: u64, jitter: &mut Jitter) -> Candidate {
    let mut upto = |most: u32| (jitter.draw() * f64::from(most)) as u32;
    Candidate {
        node: NodeId(node),
        cached: Some(Tokens(upto(2_000).into())),
        session: None,
        load: Load {
            running: upto(32),
            prefill: Tokens(upto(5_000).into()),
            blocks_used: Blocks(upto(900).into()),
            ..Load::default()
        },
        oldest: Duration::ZERO,
        rates: Rates {
            prefill: 4_000 + upto(2_000),
            step: Duration::from_micros(8_000 + u64::from(upto(500))),
            sequence: Duration::from_micros(100),
        },
        sent: Sent { fresh: Tokens(upto(500).into()), fresh_jobs: 1, ..Sent::default() },
        jobs: 256,
        blocks: Blocks(1_024),
        open: false,
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures: nothing is decided by the clock")]
fn main() {
    let settings = Settings::from(&protocol::config::Placement::default());
    let prompt = Prompt { tokens: Tokens(3_000), answer: Tokens(256), block: Tokens(32) };
    for nodes in [8, 100, 1_000] {
        let mut jitter = Jitter::new(1);
        let candidates: Vec<Candidate> = (0..nodes).map(|node| candidate(node, &mut jitter)).collect();
        let rounds = 2_000_000 / nodes;
        let begun = Instant::now();
        for turn in 0..rounds {
            black_box(choose(&prompt, black_box(&candidates), &settings, turn, &mut || jitter.draw()));
        }
        let each = begun.elapsed() / u32::try_from(rounds).unwrap_or(u32::MAX);
        println!("{nodes:>5} candidates: {each:?}");
    }
}
