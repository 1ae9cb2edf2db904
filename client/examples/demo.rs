//! A few questions through the client library: what `cargo xtask demo` runs against its cluster.
//!
//! `demo ADDRESS KEY_FILE CA_FILE`. First one question alone, then two at once with long system prompts that
//! differ: the second finds a queue where the first went, and nothing cached anywhere, so that each node gets
//! one. Then four at once, two with each of these prompts, which find its prefix cached where it was computed.
//! It ends well only if every job did, the capital of France is Paris, and two nodes served.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use client::{Answer, Ask, Client, ConnectOptions, Trust};
use futures_util::future::join_all;
use tokio::time::Instant;

const MODEL: &str = "smollm2";
const FRANCE: &str = "What is the capital of France?";
/// Longer than two KV blocks, so that those who share it find it cached.
const GUIDE: &str = "You are a friendly guide for people who travel the world for the first time. \
    You answer in one or two short sentences, in plain words, and you never use lists. \
    You name the place first, then one thing that a traveller should see there, and you stop. \
    You do not speak about prices, politics or the weather, and you do not ask questions back. \
    If you do not know a place, you say so and name the nearest place that you know well.";

/// Likewise, with another beginning.
const COOK: &str = "Answer as the cook of a small inn who has fed guests from everywhere for thirty years. \
    Keep to one or two short sentences that a child could follow, and never write a list. \
    Start with the name of a dish, go on with the one thing that makes it good, and then stop. \
    Leave out prices, brands and diets, and do not put a question to the guest in return. \
    If a dish is not known to you, say so and name the nearest one that you have cooked yourself.";

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Question {
    job: usize,
    system: Option<&'static str>,
    text: &'static str,
}

/// What became of one job.
struct Served {
    job: usize,
    node: String,
    prompt: u64,
    cached: u64,
    to_first: Duration,
    per_second: f64,
    text: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, key, ca] = arguments.as_slice() else {
        return Err("usage: demo ADDRESS KEY_FILE CA_FILE".into());
    };
    let key = std::fs::read_to_string(key).map_err(|error| format!("cannot read {key}: {error}"))?;
    let client = Client::connect(ConnectOptions::new(address.as_str(), key, Trust::CaFile(ca.into()))).await?;

    let ask = |system, job, text| Question { job, system: Some(system), text };
    let rounds = [
        vec![Question { job: 1, system: None, text: FRANCE }],
        vec![ask(GUIDE, 2, "What should I see in Rome?"), ask(COOK, 3, "What should I eat in Cairo?")],
        vec![
            ask(GUIDE, 4, "What should I see in Tokyo?"),
            ask(COOK, 5, "What should I eat in London?"),
            ask(GUIDE, 6, FRANCE),
            ask(COOK, 7, "What should I eat in New York?"),
        ],
    ];
    let mut served = Vec::new();
    for round in &rounds {
        match round.len() {
            1 => println!("\none question"),
            several => println!("\n{several} questions at once"),
        }
        for question in round {
            println!("[{}] ? {}", question.job, question.text);
        }
        let alone = round.len() == 1;
        for outcome in join_all(round.iter().map(|question| answer(&client, question, alone))).await {
            served.push(outcome?);
        }
    }
    println!("\n{}", table(&served));
    judge(&served)
}

/// Asks, and prints the answer as it comes.
async fn answer(client: &Client, question: &Question, alone: bool) -> Result<Served, Failure> {
    let failed = |error: &dyn std::fmt::Display| -> Failure { format!("job {}: {error}", question.job).into() };
    let mut request = Ask::chat(MODEL).max_tokens(48).temperature(0.0);
    if let Some(text) = question.system {
        request = request.system(text);
    }
    request = request.user(question.text);

    let mut stream = client.submit(request).await.map_err(|error| failed(&error))?;
    let mut lines = Lines::new(question.job, alone);
    let (mut started, mut first, mut text) = (None, None, String::new());
    while let Some(answer) = stream.next().await {
        match answer.map_err(|error| failed(&error))? {
            Answer::Started(details) => started = Some(details),
            Answer::Delta(delta) => {
                first.get_or_insert_with(Instant::now);
                lines.push(&delta.text);
                text.push_str(&delta.text);
            }
            Answer::Finished { .. } => lines.end(),
            Answer::Done { usage } => {
                let started = started.ok_or_else(|| failed(&"no node has taken it"))?;
                let first = first.unwrap_or_else(Instant::now);
                let after_first = usage.completion.0.saturating_sub(1);
                return Ok(Served {
                    job: question.job,
                    node: started.node,
                    prompt: usage.prompt.0,
                    cached: usage.cached.0,
                    to_first: stream.time_to_first_text().unwrap_or_default(),
                    per_second: after_first as f64 / first.elapsed().as_secs_f64().max(0.001),
                    text,
                });
            }
            Answer::Failed(error) => return Err(failed(&error)),
        }
    }
    Err(failed(&"the answer broke off"))
}

/// Prints one job's text as it comes: piece by piece if it is alone, else in whole lines, so that
/// several can share the screen.
struct Lines {
    job: usize,
    alone: bool,
    /// Not yet printed; of a job that is alone, the line that the screen shows.
    line: String,
}

impl Lines {
    const WIDTH: usize = 72;

    fn new(job: usize, alone: bool) -> Self {
        let line = String::new();
        Self { job, alone, line }
    }

    fn push(&mut self, text: &str) {
        for word in text.split_inclusive([' ', '\n']) {
            let full = self.line.chars().count() + word.trim_end().chars().count() > Self::WIDTH;
            // A piece may go on with the word before it.
            if full && self.line.ends_with(' ') {
                self.end();
            }
            if self.alone {
                if self.line.is_empty() {
                    print!("[{}]   ", self.job);
                }
                print!("{}", word.trim_end_matches('\n'));
                // A screen that cannot be written to is no reason to stop.
                let _ = io::stdout().flush();
            }
            self.line.push_str(word);
            if word.ends_with('\n') {
                self.end();
            }
        }
    }

    /// Ends the line, if there is one.
    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.alone {
            if !line.is_empty() {
                println!();
            }
        } else if !line.trim().is_empty() {
            println!("[{}]   {}", self.job, line.trim_end());
        }
    }
}

fn table(served: &[Served]) -> String {
    let mut text = String::from("job  node        prompt tokens  cached tokens      TTFT  tokens/s\n");
    for Served { job, node, prompt, cached, to_first, per_second, text: _ } in served {
        let to_first = to_first.as_millis();
        text.push_str(&format!("{job:>3}  {node:<10} {prompt:>14} {cached:>14} {to_first:>6} ms {per_second:>9.1}\n"));
    }
    text
}

fn judge(served: &[Served]) -> Result<(), Failure> {
    let nodes: BTreeSet<&str> = served.iter().map(|job| job.node.as_str()).collect();
    if nodes.len() < 2 {
        return Err(format!("only {nodes:?} served: two nodes should have").into());
    }
    if !served.iter().any(|job| job.text.contains("Paris")) {
        return Err("no answer names Paris".into());
    }
    Ok(())
}
