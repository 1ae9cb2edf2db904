//! How fast the index is: `cargo run --release -p policy --example index_speed`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints what a clock says")]

use std::time::Instant;

use policy::index::Index;
use protocol::cache::{BlockKey, CacheBatch, CacheChange};
use protocol::ids::NodeId;
use protocol::units::Blocks;

const NODES: u64 = 1000;
const BLOCKS: u64 = 1000;
/// Blocks of a prompt of 4,000 tokens.
const PROMPT: u64 = 125;
/// Blocks that all nodes share.
const SHARED: u64 = 60;

fn key(seed: u64) -> BlockKey {
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    BlockKey((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb))
}

fn of(node: u64, block: u64) -> BlockKey {
    if block < SHARED { key(block + 1) } else { key(node * 1_000_003 + block + 1_000_000) }
}

fn main() {
    let mut index = Index::default();
    let batches: Vec<(NodeId, CacheBatch)> = (0..NODES)
        .map(|node| {
            let stored = (0..BLOCKS).map(|block| of(node, block)).collect();
            let changes = vec![CacheChange::Cleared, CacheChange::Stored(stored)];
            (NodeId(node), CacheBatch { model: "m".into(), epoch: 1, sequence: 0, changes })
        })
        .collect();
    let begun = Instant::now();
    for (node, batch) in &batches {
        index.join(*node, Blocks(2 * BLOCKS));
        index.apply(*node, batch);
    }
    let stored = begun.elapsed();
    println!("{} blocks of {NODES} nodes: {:.0} operations/s", index.held(), 1e6 / stored.as_secs_f64());
    let begun = Instant::now();
    for round in 0..200 {
        for node in 0..NODES {
            let (new, old) = (BLOCKS + round * 4, SHARED + round * 4);
            let changes = vec![
                CacheChange::Removed((0..4).map(|n| of(node, old + n)).collect()),
                CacheChange::Stored((0..4).map(|n| of(node, new + n)).collect()),
            ];
            let sequence = 1 + BLOCKS + round * 8;
            index.apply(NodeId(node), &CacheBatch { model: "m".into(), epoch: 1, sequence, changes });
        }
    }
    println!("turnover: {:.0} operations/s", 200.0 * NODES as f64 * 8.0 / begun.elapsed().as_secs_f64());
    let mut times: Vec<u128> = (0..10_000)
        .map(|n| {
            let prompt: Vec<BlockKey> =
                (0..PROMPT).map(|block| of(n % NODES, block + if block < SHARED { 0 } else { 800 })).collect();
            let begun = Instant::now();
            let found = index.cached(prompt);
            let time = begun.elapsed().as_nanos();
            assert_eq!(found.iter().count(), NODES as usize);
            time
        })
        .collect();
    times.sort_unstable();
    println!(
        "look-up of {PROMPT} blocks, {SHARED} of them on all nodes: p50 {} ns, p99 {} ns",
        times[5000], times[9900]
    );
}
