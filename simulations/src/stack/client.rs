//! A client that reads its answer, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use actors::cluster::degrading::Degrading;
use actors::simulated::Whole;
use actors::watch;
use policy::invariants::Breach;
use protocol::answer::{Answer, JobError};
use protocol::ids::TokenId;
use protocol::job::{Class, Sampling};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::journal::Journal;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The prompt.
    pub prompt: Vec<TokenId>,
    /// The longest answer.
    pub answer: u64,
    /// 0 for the likeliest.
    pub temperature: f32,
    /// Decides the tokens of one above 0.
    pub seed: u64,
    /// How urgent it is.
    pub class: Class,
    /// Whose it is.
    pub tenant: &'static str,
    /// It was refused before and comes when it was told to.
    pub again: bool,
    /// How long the client takes to read each piece.
    pub slowness: Duration,
}

impl Question {
    /// A prompt of so many of the mock's words, different for each number.
    pub fn of(number: u64, tokens: usize, answer: u64) -> Self {
        let mut words = policy::restart::Jitter::new(number ^ 0x9e37);
        let prompt = (0..tokens).map(|_| TokenId(97 + (words.draw() * 26.0) as u32)).collect();
        Self {
            prompt,
            answer,
            temperature: 0.0,
            seed: number,
            class: Class::default(),
            tenant: "t",
            again: false,
            slowness: Duration::ZERO,
        }
    }

    /// Likewise, with tokens drawn by its number.
    pub fn drawn(number: u64, tokens: usize, answer: u64) -> Self {
        Self { temperature: 1.0, ..Self::of(number, tokens, answer) }
    }

    /// How its tokens are chosen; each is told, so that they can be counted.
    pub(super) fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, seed: self.seed, logprobs: Some(0), ..Sampling::default() }
    }
}

/// How a client's request stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What has come.
    pub whole: Whole,
    /// Pieces that said that it is over.
    pub ends: u32,
    /// What came that must not.
    pub wrong: Option<Breach>,
    /// The way is closed: nothing more can come.
    pub closed: bool,
    /// The longest time without a word, after the first.
    pub silence: Duration,
    /// From the question to the first token.
    pub first: Option<Duration>,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub number: usize,
    /// Whom it asked.
    pub coordinator: u64,
    /// What it asked.
    pub question: Question,
    seen: watch::Receiver<Seen>,
    reading: JoinHandle<()>,
    /// It has left.
    left: bool,
    /// Its coordinator is gone: nobody is left to say how it ended.
    orphan: bool,
}

impl Client {
    pub(super) fn start(
        (number, coordinator): (usize, u64),
        question: Question,
        pieces: mpsc::Receiver<Answer>,
        degrading: Arc<Degrading>,
        journal: Journal,
    ) -> Self {
        let empty =
            Seen { whole: Whole::of(1), ends: 0, wrong: None, closed: false, silence: Duration::ZERO, first: None };
        let told = watch::Sender::new(empty);
        let seen = told.subscribe();
        let slowness = question.slowness;
        let reading = tokio::spawn(read(number, slowness, pieces, told, degrading, journal));
        Self { number, coordinator, question, seen, reading, left: false, orphan: false }
    }

    /// How it stands.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// The node that began its answer.
    pub fn node(&self) -> Option<u64> {
        let seen = self.seen.borrow();
        seen.whole.started.as_ref()?.node.strip_prefix("node-")?.parse().ok()
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<JobError> {
        self.seen.borrow().whole.error.clone()
    }

    /// Whether it has all of its answer.
    pub fn is_done(&self) -> bool {
        self.seen.borrow().whole.usage.is_some()
    }

    /// Whether it left.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Whether its coordinator was lost before its answer was complete.
    pub fn is_orphan(&self) -> bool {
        self.orphan
    }

    /// Whether something may still come.
    pub fn is_open(&self) -> bool {
        !self.left && !self.orphan && !self.seen.borrow().closed
    }

    pub(super) fn orphan(&mut self) {
        if self.is_open() {
            self.orphan = true;
            self.reading.abort();
        }
    }

    /// Waits until it has read so many tokens, or nothing more comes.
    pub async fn has(&self, tokens: usize) {
        let mut seen = self.seen.clone();
        let enough = |seen: &Seen| seen.closed || seen.whole.logprobs.first().map_or(0, Vec::len) >= tokens;
        // An error says that the reader is gone: nothing more comes.
        drop(seen.wait_for(enough).await);
    }

    /// Waits until nothing more comes.
    pub async fn over(&self) {
        let mut seen = self.seen.clone();
        drop(seen.wait_for(|seen| seen.closed).await);
    }

    /// It vanishes, with what it has not read.
    pub(super) fn leave(&mut self) {
        self.left = true;
        self.reading.abort();
    }
}

async fn read(
    number: usize,
    slowness: Duration,
    mut pieces: mpsc::Receiver<Answer>,
    told: watch::Sender<Seen>,
    degrading: Arc<Degrading>,
    journal: Journal,
) {
    let begun = Instant::now();
    let mut newest = None;
    while let Some(piece) = pieces.recv().await {
        journal.note(format!("client {number}: {}", said(&piece)));
        match &piece {
            Answer::Done { .. } => degrading.ended("mock", None),
            Answer::Failed(error) => degrading.ended("mock", Some(error.kind)),
            _ => {}
        }
        let now = Instant::now();
        told.send_modify(|seen| {
            if let Some(before) = newest.replace(now) {
                seen.silence = seen.silence.max(now - before);
            }
            if matches!(piece, Answer::Delta(_)) {
                seen.first.get_or_insert(now - begun);
            }
            seen.ends += u32::from(matches!(piece, Answer::Done { .. } | Answer::Failed(_)));
            if let Err(wrong) = seen.whole.take(piece) {
                seen.wrong.get_or_insert(wrong);
            }
        });
        if !slowness.is_zero() {
            sleep(slowness).await;
        }
    }
    told.send_modify(|seen| seen.closed = true);
}

fn said(piece: &Answer) -> String {
    match piece {
        Answer::Started(started) => format!("{} begins, {} are cached", started.node, started.cached),
        Answer::Delta(delta) => format!("{:?} ({} tokens)", delta.text, delta.logprobs.len()),
        Answer::Finished { reason, .. } => format!("finished: {reason:?}"),
        Answer::Done { usage } => format!("done, {}", usage.completion),
        Answer::Failed(error) => {
            format!("failed: {error:?}")
        }
    }
}
