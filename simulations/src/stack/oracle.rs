//! What must hold of every scenario, whatever happens in it.
//!
//! Rules: what must hold whatever happens is asked of the predicates of [`policy::invariants`]; here is where the
//! figures come from. An answer is compared with what an engine gives that nothing disturbs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actors::cluster::placing::Prefixes;
use actors::cluster::speech::Speech;
use actors::mock::{MockEngine, MockOptions};
use actors::simulated::{Coordinator, Whole};
use actors::worker::Heard;
use policy::invariants::ends::ends_once;
use policy::invariants::owners::owned;
use policy::invariants::pages::pages_free;
use policy::invariants::tokens::{text_once, tokens_once};
use policy::invariants::{self, Invariant};
use protocol::answer::FinishReason;
use protocol::engine::{BlockHash, Engine, Event};
use protocol::ids::{JobKey, NodeId, RequestId, TokenId};
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

/// What is it that did not hold?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What must hold whatever happens.
    Invariant(Invariant),
    /// What this scenario promises.
    Scenario(&'static str),
    /// The scenario itself could not go on.
    Harness,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invariant(invariant) => invariant.as_str(),
            Self::Scenario(what) => what,
            Self::Harness => "harness",
        })
    }
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{rule}\" does not hold: {message}")]
pub struct Breach {
    /// Which rule.
    pub rule: Rule,
    /// How it was broken.
    pub message: String,
}

impl Breach {
    /// The scenario itself could not go on.
    pub fn harness(error: impl fmt::Display) -> Self {
        Self { rule: Rule::Harness, message: error.to_string() }
    }

    /// A scenario does not keep what it promises.
    pub fn scenario(promise: &'static str, message: impl Into<String>) -> Self {
        Self { rule: Rule::Scenario(promise), message: message.into() }
    }

    /// Says more.
    #[must_use]
    pub fn with(mut self, more: String) -> Self {
        self.message = format!("{}: {more}", self.message);
        self
    }

    /// None if the scenario keeps its promise.
    ///
    /// # Errors
    /// It does not.
    pub fn unless(holds: bool, promise: &'static str, message: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::scenario(promise, message())) }
    }
}

impl From<invariants::Breach> for Breach {
    fn from(breach: invariants::Breach) -> Self {
        Self { rule: Rule::Invariant(breach.invariant), message: breach.what }
    }
}

/// What was read is the undisturbed answer, or its beginning.
///
/// # Errors
/// It is not.
pub fn same_answer(read: &Whole, undisturbed: &Whole, complete: bool) -> Result<(), invariants::Breach> {
    let tokens = |whole: &Whole| -> Vec<TokenId> { whole.logprobs.iter().flatten().map(|said| said.token).collect() };
    tokens_once(&tokens(read), &tokens(undisturbed), complete)?;
    text_once(&read.texts.concat(), &undisturbed.texts.concat(), complete)?;
    // Not only the tokens: also what is said of each, and why it ended.
    let said = undisturbed.logprobs.iter().zip(&read.logprobs).all(|(all, read)| all.starts_with(read));
    if said && (!complete || read.reasons == undisturbed.reasons) {
        return Ok(());
    }
    let what = format!("{:?} with {:?}, undisturbed {:?}", read.reasons, read.logprobs, undisturbed.reasons);
    Err(invariants::Breach::new(Invariant::TokensOnce, what))
}

/// With no request running, none counts as sent.
///
/// # Errors
/// One does.
pub fn nothing_sent(coordinator: &Coordinator) -> Result<(), invariants::Breach> {
    owned("jobs sent to nodes", coordinator.directory.sent(), 0)
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
        return Err(wrong.into());
    }
    if !client.has_left() {
        // A coordinator that is gone says nothing any more.
        ends_once(seen.ends, !client.is_orphan())?;
    }
    let whole = undisturbed(&client.question, Arc::clone(text))?;
    Ok(same_answer(&seen.whole, &whole, client.is_done())?)
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
        pages_free(&host.worker.report().load).map_err(|breach| breach.of(format!("node-{number}")))?;
    }
    for (number, coordinator) in cluster.coordinators() {
        let waiting = coordinator.shared.waiting.jam("mock").requests as u64;
        let held = coordinator.kept().and_then(|()| nothing_sent(&coordinator));
        let held = held.and_then(|()| owned("places in the queue", waiting, 0));
        held.map_err(|breach| breach.of(format!("coordinator-{number}")))?;
        check_index(cluster, number).await?;
    }
    if let Some(purse) = &cluster.purse {
        purse.check_at_the_end().await?;
    }
    Ok(())
}

/// A coordinator's index is what the nodes hold that dial it; of the prompts of clients it says the same.
///
/// # Errors
/// It is not.
pub async fn check_index(cluster: &Cluster, coordinator: u64) -> Result<(), Breach> {
    let index = Arc::clone(&cluster.at(coordinator)?.index);
    for (number, host) in cluster.hosts() {
        let Some(Heard::All(keys)) = host.worker.cache().await.next().await else {
            return Err(Breach::harness(format!("node-{number} does not say what it has cached")));
        };
        let (node, held) = (NodeId(number), keys.into_iter().collect());
        index.check("mock", node, &held).map_err(|breach| breach.of(format!("coordinator-{coordinator}")))?;
        for client in cluster.clients() {
            let chain: Vec<BlockHash> = BlockHash::chain([0; 16], &client.question.prompt, BLOCK).collect();
            let believed = index.cached("mock", &chain).of(node);
            let found = host.worker.look(chain).await.map_or(Blocks::ZERO, |(_, blocks)| blocks);
            if believed != found {
                let what = format!(
                    "of the prompt of client {} node-{number} has {found} cached, coordinator-{coordinator} finds {believed}",
                    client.number
                );
                return Err(invariants::Breach::new(Invariant::IndexTrue, what).into());
            }
        }
    }
    Ok(())
}
