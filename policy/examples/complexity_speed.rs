//! How long a score takes: `cargo run --release -p policy --example complexity_speed`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints what a clock says")]

use std::hint::black_box;
use std::time::Instant;

use policy::complexity::tiers::{Mode, Thresholds, choose};
use policy::complexity::{LinearScorer, Prompt, Scorer};
use protocol::request::{ChatMessage, Input, Tool, Tools};

const ROUNDS: usize = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scorer = LinearScorer::built_in()?;
    let thresholds = Thresholds::standard(3);
    let short = "Which metal melts in a warm hand, and why does it not melt at room temperature?".to_owned();
    let sentence = "The 3rd train leaves at 7:45 and must reach `station_b` before $x^2 + 3x = 10$ is solved; then ";
    let tools = Tools { list: vec![Tool::default(); 8], ..Tools::default() };
    let conversation = |turns: usize, text: &str| {
        let of = |turn: usize| ChatMessage::new(if turn.is_multiple_of(2) { "user" } else { "assistant" }, text);
        Input::Chat((0..turns).map(of).chain([ChatMessage::new("user", "commit it")]).collect())
    };
    // Four bytes to a token.
    let long = |tokens: usize| sentence.repeat(tokens * 4 / sentence.len() + 1);
    let cases = [
        ("one question", Input::Text(short.clone())),
        ("8,000 tokens", Input::Text(long(8000))),
        ("8,000 tokens of another script", Input::Text("この文章を要約してください。".repeat(600))),
        ("200 turns of 200 tokens", conversation(200, &long(200))),
        ("4 turns of 8,000 tokens", conversation(8, &long(8000))),
        ("64 KiB without a space", Input::Text("x".repeat(65_536))),
    ];
    for (name, input) in &cases {
        let mut times: Vec<u128> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                let score = scorer.score(&Prompt::of(black_box(input), &tools));
                black_box(choose(score, Mode::Balanced, &thresholds));
                begun.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        let at = |part: usize| times.get(ROUNDS * part / 100).copied().unwrap_or_default() as f64 / 1e3;
        println!("{name:<32} p50 {:>6.1} µs, p99 {:>6.1} µs", at(50), at(99));
    }
    Ok(())
}
