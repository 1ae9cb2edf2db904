//! What must hold of every scenario, whatever happens in it.
//!
//! Rules: each invariant is a small function over plain values that says in words what does not hold. An answer is
//! compared with what an engine gives that nothing disturbs: same tokens, none lost, none doubled.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actors::cluster::placing::Prefixes;
use actors::cluster::speech::Speech;
use actors::mock::{MockEngine, MockOptions};
use actors::simulated::Whole;
use actors::worker::Heard;
use protocol::answer::FinishReason;
use protocol::engine::{BlockHash, Engine, Event, Load};
use protocol::ids::{JobKey, NodeId, RequestId};
use protocol::job::{Finish, Job, Limits};
use protocol::units::{Blocks, Tokens};
use text::Text;
use tokio::time::sleep;

use super::client::{Client, Question};
use super::cluster::{BLOCK, Cluster};

/// How long answers may take once a scenario is over: longer than any timeout on their way.
const REST: Duration = Duration::from_secs(120);
/// When all is quiet, and every report has been made.
const QUIET: Duration = Duration::from_secs(7);

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which invariant.
    pub invariant: &'static str,
    /// How it was broken.
    pub message: String,
}

impl Breach {
    /// Of an invariant.
    pub fn new(invariant: &'static str, message: impl Into<String>) -> Self {
        Self { invariant, message: message.into() }
    }

    /// The scenario itself could not go on.
    pub fn harness(error: impl fmt::Display) -> Self {
        Self::new("harness", error.to_string())
    }

    /// Says more.
    #[must_use]
    pub fn with(mut self, more: String) -> Self {
        self.message = format!("{}: {more}", self.message);
        self
    }

    /// None if it holds.
    ///
    /// # Errors
    /// It does not.
    pub fn unless(holds: bool, invariant: &'static str, message: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(invariant, message())) }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" does not hold: {}", self.invariant, self.message)
    }
}

impl std::error::Error for Breach {}

/// Each request ends exactly once: `ends` are its last words; none is right only for one whose coordinator is gone.
///
/// # Errors
/// It does not.
pub fn ends_once(ends: u32, orphan: bool) -> Result<(), Breach> {
    let right = ends == 1 || ends == 0 && orphan;
    Breach::unless(right, "each request ends exactly once", || format!("it has ended {ends} times"))
}

/// No token is lost and none doubled: what was read is the undisturbed answer, or its beginning.
///
/// # Errors
/// It is not.
pub fn same_tokens(read: &Whole, undisturbed: &Whole, complete: bool) -> Result<(), Breach> {
    let invariant = "no token is lost or doubled";
    let texts = read.texts.first().zip(undisturbed.texts.first());
    let tokens = read.logprobs.first().zip(undisturbed.logprobs.first());
    let (Some((text, whole_text)), Some((tokens, whole_tokens))) = (texts, tokens) else {
        return Err(Breach::new(invariant, "it has no choices"));
    };
    let begins = whole_text.starts_with(text.as_str()) && whole_tokens.starts_with(tokens);
    let ends = !complete || (text == whole_text && tokens == whole_tokens && read.reasons == undisturbed.reasons);
    Breach::unless(begins && ends, invariant, || {
        format!(
            "{} tokens were read: {text:?} {:?}; undisturbed they are {}: {whole_text:?} {:?}",
            tokens.len(),
            read.reasons,
            whole_tokens.len(),
            undisturbed.reasons
        )
    })
}

/// No reservation without an owner: with no request running, none counts as sent.
///
/// # Errors
/// There is one.
pub fn no_reservation(sent: u64) -> Result<(), Breach> {
    Breach::unless(sent == 0, "no reservation without an owner", || format!("{sent} are left"))
}

/// An engine without jobs holds nothing.
///
/// # Errors
/// It does.
pub fn engine_is_free(load: &Load) -> Result<(), Breach> {
    let free = (load.running, load.waiting, load.blocks_used) == (0, 0, Blocks::ZERO);
    Breach::unless(free, "pages are free when their jobs are over", || format!("{load:?}"))
}

/// What the index believes of a node is no more than what the node holds.
///
/// # Errors
/// It is more.
pub fn index_within(believed: Blocks, held: Blocks) -> Result<(), Breach> {
    Breach::unless(believed <= held, "index within what nodes hold", || {
        format!("{believed} are believed to be there, {held} are")
    })
}

/// A queue is within its bound.
///
/// # Errors
/// It is not.
pub fn within_bound(waiting: usize, bound: usize) -> Result<(), Breach> {
    Breach::unless(waiting <= bound, "every queue within its bound", || format!("{waiting} wait, {bound} may"))
}

/// What an engine answers that nothing disturbs.
///
/// # Errors
/// The question cannot be answered.
pub fn undisturbed(question: &Question, text: Arc<Text>) -> Result<Whole, Breach> {
    let mut engine = MockEngine::new(MockOptions { block: BLOCK as u32, ..MockOptions::default() });
    let limits = Limits { max_tokens: Tokens(question.answer), min_tokens: Tokens(0), stop_ids: Vec::new() };
    let sampling = question.sampling();
    let job = Job {
        key: JobKey { request: RequestId(0), choice: 0, attempt: 0 },
        model: "mock".into(),
        prompt: question.prompt.clone(),
        generated: Vec::new(),
        sampling,
        limits: limits.clone(),
        salt: [0; 16],
        priority: 0,
    };
    engine.admit(job).map_err(|reason| Breach::harness(format!("the question is refused: {reason}")))?;
    let (mut speech, mut whole) = (Speech::new(text, limits, &[]), Whole::of(1));
    let mut events = Vec::new();
    loop {
        engine.step(&mut events).map_err(Breach::harness)?;
        for event in events.drain(..) {
            let (spoken, finish) = match event {
                Event::Token { sampled, .. } => (speech.push(&[sampled]), None),
                Event::Finished { finish, .. } => (speech.flush(), Some(finish)),
                Event::Failed { error, .. } => return Err(Breach::harness(error)),
                Event::Started { .. } => continue,
            };
            if let Some((text, tokens)) = whole.texts.first_mut().zip(whole.logprobs.first_mut()) {
                text.push_str(&spoken.text);
                tokens.extend(spoken.logprobs);
            }
            if let Some(finish) = finish {
                let reason = if finish == Finish::Stop { FinishReason::Stop } else { FinishReason::Length };
                whole.reasons = vec![Some(reason)];
                return Ok(whole);
            }
        }
    }
}

fn check_client(client: &Client, text: &Arc<Text>) -> Result<(), Breach> {
    let seen = client.seen();
    if let Some(wrong) = seen.wrong {
        return Err(Breach::new("an answer is in order", wrong));
    }
    if !client.has_left() {
        ends_once(seen.ends, client.is_orphan())?;
    }
    let whole = undisturbed(&client.question, Arc::clone(text))?;
    same_tokens(&seen.whole, &whole, client.is_done())
}

/// Waits until all is quiet, and checks everything.
pub(super) async fn at_the_end(cluster: &Cluster) -> Result<(), Breach> {
    cluster.over(REST).await?;
    let text = cluster.text().ok_or_else(|| Breach::harness("the mock has no words"))?;
    for client in cluster.clients() {
        check_client(client, &text).map_err(|breach| breach.with(format!("client {}", client.number)))?;
    }
    sleep(QUIET).await;
    for (number, host) in cluster.hosts() {
        let of = |breach: Breach| breach.with(format!("node-{number}"));
        engine_is_free(&host.worker.report().load).map_err(of)?;
    }
    for (number, coordinator) in cluster.coordinators() {
        coordinator.kept().map_err(|breach| Breach::harness(breach).with(format!("coordinator-{number}")))?;
        no_reservation(coordinator.directory.sent()).map_err(|breach| breach.with(format!("coordinator-{number}")))?;
        let jam = coordinator.shared.waiting.jam("mock");
        within_bound(jam.requests, 0)
            .map_err(|breach| breach.with(format!("coordinator-{number}, when all is over")))?;
        check_index(cluster, number).await?;
    }
    if let Some(purse) = &cluster.purse {
        purse.check_at_the_end().await?;
    }
    Ok(())
}

/// Compares a coordinator's index with what the nodes hold that run.
///
/// # Errors
/// It believes more.
pub async fn check_index(cluster: &Cluster, coordinator: u64) -> Result<(), Breach> {
    let index = Arc::clone(&cluster.at(coordinator)?.index);
    let mut all = Blocks::ZERO;
    for (_, host) in cluster.hosts() {
        if let Some(Heard::All(keys)) = host.worker.cache().await.next().await {
            all += Blocks::of(keys.len());
        }
    }
    index_within(index.held("mock"), all).map_err(|breach| breach.with(format!("coordinator-{coordinator}")))?;
    for client in cluster.clients() {
        let chain: Vec<BlockHash> = BlockHash::chain([0; 16], &client.question.prompt, BLOCK).collect();
        let believed = index.cached("mock", &chain);
        for (number, host) in cluster.hosts() {
            let believed =
                believed.iter().find(|(node, _)| *node == NodeId(number)).map_or(Blocks::ZERO, |found| found.1);
            let held = host.worker.look(chain.clone()).await.map_or(Blocks::ZERO, |(_, blocks)| blocks);
            let at = |breach: Breach| {
                breach.with(format!("node-{number}, the prompt of client {}, coordinator-{coordinator}", client.number))
            };
            index_within(believed, held).map_err(at)?;
        }
    }
    Ok(())
}
