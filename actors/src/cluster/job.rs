//! One request from its prompt to its end: all its choices, each with its attempts.
//!
//! Rules: `policy::job` decides, this carries out. The client's channel is bounded and written in order; a
//! client that goes away ends everything at once. Whatever happens, the last piece says how it ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use policy::job::{Attempts, Command, Event, out_of_time};
use policy::restart::Jitter;
use protocol::answer::{Answer, Delta, ErrorKind, FinishReason, JobError, Started, Usage};
use protocol::engine::BlockHash;
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Class, Finish, Job, Limits, Sampled, Sampling};
use protocol::units::Tokens;
use text::Text;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until};

use super::attempt::{Attempt, Told};
use super::directory::Directory;
use super::metrics::ClusterMetrics;
use super::placing::Want;
use super::speech::{Speech, Spoken};
use super::waiting::Waiting;

/// Events of attempts that wait to be read.
const EVENTS: usize = 32;

/// How requests are tried.
#[derive(Clone, Copy, Debug)]
pub struct JobSettings {
    /// Nodes that are asked for one answer.
    pub attempts: u32,
    /// How long a node may take to grant or refuse.
    pub grant_timeout: Duration,
    /// How long a request may take in all.
    pub timeout: Duration,
}

impl From<&protocol::config::Requests> for JobSettings {
    fn from(requests: &protocol::config::Requests) -> Self {
        Self { attempts: requests.attempts, grant_timeout: requests.grant_timeout.0, timeout: requests.timeout.0 }
    }
}

/// A request that is ready to run.
#[derive(Debug)]
pub struct Task {
    /// Its id.
    pub request: RequestId,
    /// The model's name.
    pub model: String,
    /// The hash of its words: nodes with others are not asked.
    pub words: [u8; 32],
    /// Its words.
    pub text: Arc<Text>,
    /// The prompt.
    pub prompt: Vec<TokenId>,
    /// How many answers; at least 1.
    pub choices: u32,
    /// How tokens are chosen; the seed is that of the first choice.
    pub sampling: Sampling,
    /// When an answer ends.
    pub limits: Limits,
    /// Texts that end an answer.
    pub stops: Vec<String>,
    /// Keeps tenants apart.
    pub salt: [u8; 16],
    /// Whose it is: the key's public name.
    pub tenant: String,
    /// The names of the prompt's full blocks, from the front.
    pub chain: Arc<[BlockHash]>,
    /// Tokens in a block.
    pub block: Tokens,
    /// How urgent it is.
    pub class: Class,
    /// The conversation, if the client names it; of one tenant.
    pub session: Option<u64>,
    /// What overload has done to it so far.
    pub degraded: Vec<String>,
    /// For placement among equals.
    pub random: u64,
}

/// The way back to the client. The last piece is always said: if nothing else, then that it failed.
#[derive(Debug)]
pub struct Answers {
    pieces: mpsc::Sender<Answer>,
    last: Option<mpsc::OwnedPermit<Answer>>,
    metrics: ClusterMetrics,
    _place: OwnedSemaphorePermit,
}

impl Answers {
    /// Over a fresh bounded channel; none if it has no room for the last piece. `place` is the request's
    /// place among all, and is free again when this is dropped.
    pub fn new(pieces: mpsc::Sender<Answer>, metrics: ClusterMetrics, place: OwnedSemaphorePermit) -> Option<Self> {
        let last = pieces.clone().try_reserve_owned().ok()?;
        metrics.requests.increment(1.0);
        Some(Self { pieces, last: Some(last), metrics, _place: place })
    }

    /// Says that it failed. Nothing follows.
    pub fn fail(mut self, error: JobError) {
        self.metrics.failed(error.kind);
        self.end(Answer::Failed(error));
    }

    fn done(mut self, usage: Usage) {
        self.metrics.done(&usage);
        self.end(Answer::Done { usage });
    }

    fn end(&mut self, answer: Answer) {
        if let Some(last) = self.last.take() {
            last.send(answer);
        }
    }

    /// Waits while the client reads slowly. False if it is gone.
    async fn say(&self, answer: Answer) -> bool {
        self.pieces.send(answer).await.is_ok()
    }

    fn gone(&mut self) {
        self.metrics.cancelled();
        self.last = None;
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.metrics.requests.decrement(1.0);
        if self.last.is_some() {
            self.metrics.failed(ErrorKind::Internal);
            self.end(Answer::Failed(JobError::new(
                ErrorKind::Internal,
                "the request's actor failed: see the coordinator's log",
            )));
        }
    }
}

/// What all requests share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Who is there.
    pub directory: Arc<Directory>,
    /// Where requests wait that no node takes now.
    pub waiting: Arc<Waiting>,
    /// How requests are tried.
    pub settings: JobSettings,
    /// What is counted.
    pub metrics: ClusterMetrics,
}

/// One of the answers.
struct Choice {
    attempts: Attempts,
    speech: Speech,
    running: Option<Attempt>,
    seed: u64,
    cached: Tokens,
    newest: Option<Instant>,
}

/// Why a request is over before all its choices are complete.
enum Over {
    Failed(JobError),
    ClientGone,
}

struct Run<'a> {
    task: Task,
    directory: &'a Directory,
    settings: JobSettings,
    metrics: &'a ClusterMetrics,
    told: mpsc::Sender<Told>,
    choices: Vec<Choice>,
    begun: Instant,
    started: bool,
}

/// Runs a request to its end.
pub async fn run(task: Task, mut answers: Answers, shared: Shared) {
    let Shared { directory, settings, metrics, .. } = shared;
    let deadline = Instant::now() + settings.timeout;
    let pieces = answers.pieces.clone();
    let outcome = tokio::select! {
        biased;
        () = pieces.closed() => Err(Over::ClientGone),
        outcome = answer(task, &answers, &directory, settings, &metrics) => outcome,
        () = sleep_until(deadline) => Err(Over::Failed(out_of_time(settings.timeout))),
    };
    match outcome {
        Ok(usage) => answers.done(usage),
        Err(Over::Failed(error)) => answers.fail(error),
        Err(Over::ClientGone) => answers.gone(),
    }
}

async fn answer(
    task: Task,
    answers: &Answers,
    directory: &Directory,
    settings: JobSettings,
    metrics: &ClusterMetrics,
) -> Result<Usage, Over> {
    let (told, mut events) = mpsc::channel(EVENTS);
    let mut run =
        Run { task, directory, settings, metrics, told, choices: Vec::new(), begun: Instant::now(), started: false };
    let mut jitter = Jitter::new(run.task.random);
    for number in 0..run.task.choices {
        let order = directory.order(&run.want(), &mut || jitter.draw());
        let (attempts, commands) = Attempts::new(&run.task.model, order, settings.attempts);
        run.choices.push(Choice {
            attempts,
            speech: Speech::new(Arc::clone(&run.task.text), run.task.limits.clone(), &run.task.stops),
            running: None,
            seed: seed(run.task.sampling.seed, number),
            cached: Tokens::ZERO,
            newest: None,
        });
        run.obey(number, commands, answers).await?;
    }
    while run.choices.iter().any(|choice| !choice.attempts.ended()) {
        // The sender lives in `run`, so this never ends by itself.
        let Some(Told { choice, attempt, event }) = events.recv().await else { break };
        if let Event::Refused(refused) = &event {
            tracing::debug!("request {} was refused: {}", run.task.request, refused.reason);
        }
        if let Some(outcome) = outcome(&event) {
            run.metrics.attempt(outcome);
        }
        let commands = run.choice(choice)?.attempts.on_event(attempt, event);
        run.obey(choice, commands, answers).await?;
    }
    Ok(run.usage())
}

/// Choices have seeds of their own; the first has the request's.
fn seed(seed: u64, choice: u32) -> u64 {
    seed.wrapping_add(u64::from(choice).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// How an attempt has ended, for its counter; none while it goes on.
fn outcome(event: &Event) -> Option<&'static str> {
    match event {
        Event::Granted | Event::Begun(_) | Event::Tokens(_) => None,
        Event::Refused(_) => Some("refused"),
        Event::Unanswered => Some("unanswered"),
        Event::Finished(_) => Some("finished"),
        Event::Failed(_) => Some("failed"),
        Event::Lost(_) => Some("lost"),
    }
}

impl Run<'_> {
    fn choice(&mut self, number: u32) -> Result<&mut Choice, Over> {
        let missing = || Over::Failed(JobError::new(ErrorKind::Internal, format!("choice {number} does not exist")));
        self.choices.get_mut(number as usize).ok_or_else(missing)
    }

    /// Carries commands out, and those that come of it.
    async fn obey(&mut self, number: u32, commands: Vec<Command>, answers: &Answers) -> Result<(), Over> {
        let mut due: VecDeque<Command> = commands.into();
        while let Some(command) = due.pop_front() {
            match command {
                Command::Ask { attempt, node } => {
                    let Some(reach) = self.directory.reach(node, &self.want()) else {
                        let lost = Event::Lost("the node has left".to_owned());
                        due.extend(self.choice(number)?.attempts.on_event(attempt, lost));
                        continue;
                    };
                    let job = self.job(number, attempt)?;
                    let attempt = Attempt::start(reach, job.into(), self.settings.grant_timeout, self.told.clone());
                    self.choice(number)?.running = Some(attempt);
                }
                Command::Drop { .. } => self.choice(number)?.running = None,
                Command::Started { node, cached } => self.started(number, node, cached, answers).await?,
                Command::Deliver(tokens) => {
                    if self.deliver(number, &tokens, answers).await? {
                        due.extend(self.choice(number)?.attempts.on_enough());
                        self.finish(number, FinishReason::Stop, answers).await?;
                    }
                }
                Command::End(Ok(end)) => {
                    let choice = self.choice(number)?;
                    choice.running = None;
                    choice.cached = end.usage.cached;
                    let last = choice.speech.flush();
                    let stopped = last.stopped || end.finish == Finish::Stop;
                    self.speak(number, last, answers).await?;
                    let reason = if stopped { FinishReason::Stop } else { FinishReason::Length };
                    self.finish(number, reason, answers).await?;
                }
                Command::End(Err(error)) => return Err(Over::Failed(error)),
            }
        }
        Ok(())
    }

    fn want(&self) -> Want {
        Want {
            model: self.task.model.clone(),
            words: self.task.words,
            chain: Arc::clone(&self.task.chain),
            block: self.task.block,
            prompt: Tokens::of(self.task.prompt.len()),
            answer: self.task.limits.max_tokens,
            session: self.task.session,
            class: self.task.class,
            tried: Vec::new(),
        }
    }

    fn job(&mut self, number: u32, attempt: u32) -> Result<Job, Over> {
        let seed = self.choice(number)?.seed;
        Ok(Job {
            key: JobKey { request: self.task.request, choice: number, attempt },
            model: self.task.model.clone(),
            prompt: self.task.prompt.clone(),
            generated: Vec::new(),
            sampling: Sampling { seed, ..self.task.sampling.clone() },
            limits: self.task.limits.clone(),
            salt: self.task.salt,
            priority: self.task.class.priority(),
        })
    }

    async fn started(
        &mut self,
        number: u32,
        node: protocol::ids::NodeId,
        cached: Tokens,
        answers: &Answers,
    ) -> Result<(), Over> {
        self.choice(number)?.cached = cached;
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        let started = Started {
            request: self.task.request,
            model: self.task.model.clone(),
            node: self.directory.name(node).unwrap_or_else(|| node.to_string()),
            prompt: Tokens::of(self.task.prompt.len()),
            cached,
            degraded: self.task.degraded.clone(),
            ..Started::default()
        };
        self.say(answers, Answer::Started(started)).await
    }

    /// True if a stop text was found.
    async fn deliver(&mut self, number: u32, tokens: &[Sampled], answers: &Answers) -> Result<bool, Over> {
        let (begun, now, metrics) = (self.begun, Instant::now(), self.metrics);
        let choice = self.choice(number)?;
        match choice.newest.replace(now) {
            None => metrics.first_token.record((now - begun).as_secs_f64()),
            Some(before) => metrics.token_gap(now - before, tokens.len()),
        }
        let spoken = choice.speech.push(tokens);
        let stopped = spoken.stopped;
        self.speak(number, spoken, answers).await?;
        Ok(stopped)
    }

    async fn speak(&mut self, number: u32, spoken: Spoken, answers: &Answers) -> Result<(), Over> {
        if spoken.text.is_empty() && spoken.logprobs.is_empty() {
            return Ok(());
        }
        self.say(answers, Answer::Delta(Delta { choice: number, text: spoken.text, logprobs: spoken.logprobs })).await
    }

    async fn finish(&mut self, number: u32, reason: FinishReason, answers: &Answers) -> Result<(), Over> {
        self.say(answers, Answer::Finished { choice: number, reason }).await
    }

    async fn say(&self, answers: &Answers, answer: Answer) -> Result<(), Over> {
        if answers.say(answer).await { Ok(()) } else { Err(Over::ClientGone) }
    }

    fn usage(&self) -> Usage {
        Usage {
            prompt: Tokens::of(self.task.prompt.len()),
            cached: self.choices.first().map_or(Tokens::ZERO, |choice| choice.cached),
            completion: Tokens(self.choices.iter().map(|choice| choice.speech.tokens()).sum()),
        }
    }
}
