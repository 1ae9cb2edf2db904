//! Load on a cluster, and what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::error::BenchError;
use crate::http::{Answer, Http};
use crate::stats::{mean, quantile};
use crate::workload::{Conversation, Draw};

/// What the nodes serve.
pub(crate) const MODEL: &str = "mock";

/// One request's fate.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Tokens of its prompt, but for the template's.
    pub(crate) prompt: u64,
    pub(crate) answer: Answer,
}

/// What became of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) told: Vec<Told>,
    /// What was said of each that failed.
    pub(crate) failed: Vec<String>,
}

impl Outcome {
    pub(crate) fn cached(&self) -> u64 {
        self.told.iter().map(|told| told.answer.cached).sum()
    }

    pub(crate) fn prompt(&self) -> u64 {
        self.told.iter().map(|told| told.prompt).sum()
    }

    pub(crate) fn degraded(&self) -> usize {
        self.told.iter().filter(|told| told.answer.degraded).count()
    }

    /// Times to the first token.
    pub(crate) fn firsts(&self) -> Times {
        Times(self.told.iter().map(|told| told.answer.first).collect())
    }

    /// Times to the end.
    pub(crate) fn wholes(&self) -> Times {
        Times(self.told.iter().map(|told| told.answer.whole).collect())
    }

    /// # Errors
    /// Some request failed.
    pub(crate) fn sound(self) -> Result<Self, BenchError> {
        match self.failed.first() {
            None => Ok(self),
            Some(first) => {
                let (failed, all) = (self.failed.len(), self.failed.len() + self.told.len());
                Err(BenchError::Failed { failed, all, first: first.clone() })
            }
        }
    }

    fn take(&mut self, told: Result<Told, BenchError>) {
        match told {
            Ok(told) => self.told.push(told),
            Err(error) => self.failed.push(error.to_string()),
        }
    }
}

/// Measured times.
#[derive(Clone, Debug)]
pub(crate) struct Times(pub(crate) Vec<Duration>);

impl Times {
    pub(crate) fn mean(&self) -> Duration {
        mean(&self.0)
    }

    pub(crate) fn p50(&self) -> Duration {
        quantile(&self.0, 500)
    }

    pub(crate) fn p99(&self) -> Duration {
        quantile(&self.0, 990)
    }
}

/// A chat of these messages. Answers have just so many tokens, and are drawn, so that none comes from memory.
pub(crate) fn chat(messages: &[Value], tokens: u32, streams: bool) -> Value {
    json!({
        "model": MODEL, "messages": messages, "max_tokens": tokens, "ignore_eos": true, "temperature": 1.0,
        "stream": streams
    })
}

pub(crate) fn says(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

/// Has all conversations, each from its moment on; a conversation in which a request fails ends with it.
///
/// # Errors
/// A task broke off.
pub(crate) async fn converse(http: &Http, all: Vec<Conversation>, tokens: u32) -> Result<Outcome, BenchError> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for conversation in all {
        let http = http.clone();
        tasks.spawn(async move {
            sleep_until(begun + conversation.at).await;
            let mut outcome = Outcome::default();
            let mut messages = vec![says("system", &conversation.system)];
            let mut length = conversation.system.len();
            for turn in conversation.turns {
                tokio::time::sleep(turn.after).await;
                messages.push(says("user", &turn.question));
                length += turn.question.len();
                let answer = http.chat(&chat(&messages, tokens, true), true).await;
                if let Ok(answer) = &answer {
                    messages.push(says("assistant", &answer.text));
                }
                let said = answer.as_ref().map_or(0, |answer| answer.text.len());
                outcome.take(answer.map(|answer| Told { prompt: length as u64, answer }));
                if !outcome.failed.is_empty() {
                    break;
                }
                length += said;
            }
            outcome
        });
    }
    let mut outcome = Outcome::default();
    while let Some(part) = tasks.join_next().await {
        let part = part?;
        outcome.told.extend(part.told);
        outcome.failed.extend(part.failed);
    }
    Ok(outcome)
}

/// Single requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Singles {
    pub(crate) count: usize,
    /// Length of each prompt; no two are alike.
    pub(crate) prompt: usize,
    pub(crate) tokens: u32,
    pub(crate) streams: bool,
    pub(crate) seed: u64,
}

impl Singles {
    fn body(&self, draw: &mut Draw) -> Value {
        chat(&[says("user", &draw.words(self.prompt))], self.tokens, self.streams)
    }
}

/// Asks at random moments, so many times a second, whatever becomes of the requests before.
///
/// # Errors
/// A task broke off.
pub(crate) async fn at_rate(http: &Http, singles: Singles, rate: f64) -> Result<Outcome, BenchError> {
    let mut draw = Draw::new(singles.seed);
    let every = Duration::from_secs_f64(1.0 / rate.max(1e-3));
    let mut tasks = JoinSet::new();
    let mut at = Instant::now();
    let mut outcome = Outcome::default();
    for _ in 0..singles.count {
        at += draw.interval(every);
        let body = singles.body(&mut draw);
        sleep_until(at).await;
        let http = http.clone();
        tasks.spawn(async move { ask(&http, &body, singles).await });
    }
    while let Some(told) = tasks.join_next().await {
        outcome.take(told?);
    }
    Ok(outcome)
}

/// Asks over so many connections, on each as soon as the last answer is whole.
///
/// # Errors
/// A task broke off.
pub(crate) async fn in_turn(http: &Http, singles: Singles, connections: usize) -> Result<Outcome, BenchError> {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for place in 0..connections as u64 {
        let (http, asked) = (http.clone(), Arc::clone(&asked));
        let mut draw = Draw::new(singles.seed.wrapping_mul(1000).wrapping_add(place));
        tasks.spawn(async move {
            let mut outcome = Outcome::default();
            while asked.fetch_add(1, Ordering::Relaxed) < singles.count {
                outcome.take(ask(&http, &singles.body(&mut draw), singles).await);
            }
            outcome
        });
    }
    let mut outcome = Outcome::default();
    while let Some(part) = tasks.join_next().await {
        let part = part?;
        outcome.told.extend(part.told);
        outcome.failed.extend(part.failed);
    }
    Ok(outcome)
}

async fn ask(http: &Http, body: &Value, singles: Singles) -> Result<Told, BenchError> {
    let answer = http.chat(body, singles.streams).await?;
    Ok(Told { prompt: singles.prompt as u64, answer })
}
