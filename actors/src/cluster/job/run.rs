//! The loop of a request: events of its attempts in, commands of `policy::job` carried out.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use policy::job::{Attempts, Command, Event, out_of_time};
use policy::restart::Jitter;
use protocol::answer::{Answer, Delta, ErrorKind, FinishReason, JobError, Started, Usage};
use protocol::ids::NodeId;
use protocol::job::{Finish, Sampled};
use protocol::message::Submit;
use protocol::units::{Nanos, Tokens};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::answers::{Answers, Heard};
use super::choice::Choice;
use super::{Over, Shared, Task};
use crate::cluster::attempt::{Attempt, Tail};
use crate::cluster::speech::Spoken;
use crate::cluster::waiting::Entry;
use crate::cost::Bill;

/// What is left of a request's time when its waits are over.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long a node may gather tokens that nobody reads one by one: what is lost with it is computed again.
const GATHER: Duration = Duration::from_millis(100);
/// How long it may gather those of a stream. Nobody sees the difference, and a burst costs few pieces.
const BURST: Duration = Duration::from_millis(2);

struct Run<'a> {
    task: Task,
    shared: &'a Shared,
    answers: &'a mut Answers,
    choices: Vec<Choice>,
    jitter: Jitter,
    begun: Instant,
    deadline: Instant,
    started: bool,
    /// From when it came until its first token.
    first: Option<Duration>,
    bill: Option<Bill>,
}

/// What came of a request.
pub(super) struct Ran {
    pub(super) outcome: Result<(), Over>,
    /// What it used in any case.
    pub(super) usage: Usage,
    /// Whether the client has heard anything.
    pub(super) begun: bool,
    /// From when it came until its first token.
    pub(super) first: Option<Duration>,
    pub(super) bill: Option<Bill>,
}

/// All answers of a request.
pub(super) async fn answer(task: Task, bill: Option<Bill>, answers: &mut Answers, shared: &Shared) -> Ran {
    let closed = answers.closed();
    let jitter = Jitter::new(task.random);
    let (choices, begun) = (Vec::new(), Instant::now());
    // In all: whatever was tried before this counts.
    let deadline = task.arrived + shared.settings.timeout;
    let mut run = Run { task, shared, answers, choices, jitter, begun, deadline, started: false, first: None, bill };
    let outcome = tokio::select! {
        biased;
        () = closed => Err(Over::ClientGone),
        outcome = run.go() => outcome,
        () = sleep_until(deadline) => Err(Over::Failed(out_of_time(shared.settings.timeout))),
    };
    let usage = if outcome.is_ok() { run.usage() } else { run.let_go().await };
    Ran { outcome, usage, begun: run.started, first: run.first, bill: run.bill.take() }
}

impl Run<'_> {
    async fn go(&mut self) -> Result<(), Over> {
        self.shared.retries.budget.lock().await.on_request();
        let mut turn = self.task.turn.take();
        for number in 0..self.task.choices {
            let (attempts, commands) =
                Attempts::new(&self.task.model, self.task.limits.clone(), self.shared.settings.tries);
            self.choices.push(Choice::new(number, &self.task, attempts, turn.take()));
            self.obey(number, commands).await?;
        }
        while self.choices.iter().any(|choice| !choice.attempts.ended()) {
            let (choice, attempt, event) = self.next().await;
            self.hear(choice, &event)?;
            let commands = self.choice(choice)?.attempts.on_event(attempt, event);
            self.obey(choice, commands).await?;
        }
        Ok(())
    }

    /// Lets go of what still runs. What all have used, by the nodes' own count: tokens that were on their way
    /// when the client left were computed all the same.
    async fn let_go(&mut self) -> Usage {
        let running = self.choices.iter_mut().map(|choice| {
            let delivered = choice.attempts.delivered();
            let (cached, running) = (choice.cached, choice.running.take());
            async move {
                let tail = match running {
                    Some(attempt) => attempt.let_go(LAST_WORDS).await,
                    None => Tail::default(),
                };
                (delivered, cached, tail)
            }
        });
        let used = futures_util::future::join_all(running).await;
        let whole = Tokens::of(self.task.prompt.len());
        let mut usage = Usage::default();
        for (number, (delivered, cached, tail)) in used.into_iter().enumerate() {
            let (completion, cached) = (delivered + tail.tokens, tail.cached.unwrap_or(cached));
            // An answer stands on its whole prompt.
            let least = if completion > Tokens::ZERO { whole } else { cached };
            usage.prompt = usage.prompt.max(tail.prompt.unwrap_or(least)).max(least).min(whole);
            usage.completion += completion;
            if number == 0 {
                usage.cached = cached;
            }
        }
        usage.cached = usage.cached.min(usage.prompt);
        usage
    }

    /// What happens next, and to which attempt of which choice. While nothing runs, nothing happens: then the
    /// request's time comes to its end.
    async fn next(&mut self) -> (u32, u32, Event) {
        let choices = &mut self.choices;
        poll_fn(|context| {
            for choice in choices.iter_mut() {
                let Some(running) = &mut choice.running else { continue };
                match running.poll_next(context) {
                    Poll::Ready(Some((attempt, event))) => return Poll::Ready((choice.number, attempt, event)),
                    Poll::Ready(None) => choice.running = None,
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    fn choice(&mut self, number: u32) -> Result<&mut Choice, Over> {
        let missing = || Over::Failed(JobError::new(ErrorKind::Internal, format!("choice {number} does not exist")));
        self.choices.get_mut(number as usize).ok_or_else(missing)
    }

    /// What an event tells beside what it means for the attempts.
    fn hear(&mut self, number: u32, event: &Event) -> Result<(), Over> {
        let request = self.task.request;
        let outcome = match event {
            Event::Refused(refused) => {
                tracing::debug!("request {request} was refused: {}", refused.reason);
                "refused"
            }
            Event::Granted(cached) => {
                let choice = self.choice(number)?;
                choice.granted = *cached;
                if let Some(turn) = choice.turn.take() {
                    turn.granted();
                }
                return Ok(());
            }
            Event::Turn => {
                let choice = self.choice(number)?;
                choice.turn = choice.coming.take().and_then(|mut coming| coming.try_recv().ok());
                return Ok(());
            }
            Event::Unanswered => "unanswered",
            Event::Finished(_) => "finished",
            Event::Failed(_) => "failed",
            Event::Lost(_) => "lost",
            _ => return Ok(()),
        };
        self.shared.metrics.attempt(outcome);
        Ok(())
    }

    /// Carries commands out, and those that come of it.
    async fn obey(&mut self, number: u32, commands: Vec<Command>) -> Result<(), Over> {
        let mut due: VecDeque<Command> = commands.into();
        while let Some(command) = due.pop_front() {
            match command {
                Command::Place { attempt, tried } => {
                    let event = self.place(number, tried)?;
                    due.extend(self.choice(number)?.attempts.on_event(attempt, event));
                }
                Command::Ask { attempt, .. } => self.ask(number, attempt)?,
                Command::Retry { attempt, before } => {
                    if let Some(refused) = self.retry(number, attempt, before).await? {
                        due.extend(self.choice(number)?.attempts.on_event(attempt, refused));
                    }
                }
                Command::Wait { attempt, retry_after } => self.wait(number, attempt, retry_after)?,
                Command::Drop { .. } => self.choice(number)?.running = None,
                Command::Judge { verdict, .. } => {
                    let random = self.jitter.draw();
                    if let Some(trial) = self.choice(number)?.trial.take() {
                        trial.judge(verdict, random);
                    }
                }
                Command::Migrate { from, delivered, why } => self.migrate(number, from, delivered, &why)?,
                Command::Started { node, cached } => self.started(number, node, cached).await?,
                Command::Deliver(tokens) => {
                    if self.deliver(number, &tokens).await? {
                        due.extend(self.choice(number)?.attempts.on_enough());
                        self.finish(number, FinishReason::Stop).await?;
                    }
                }
                Command::End(Ok(end)) => {
                    let choice = self.choice(number)?;
                    choice.running = None;
                    choice.cached = end.usage.cached;
                    let last = choice.speech.flush();
                    let stopped = last.stopped || end.finish == Finish::Stop;
                    self.speak(number, last).await?;
                    let reason = if stopped { FinishReason::Stop } else { FinishReason::Length };
                    self.finish(number, reason).await?;
                }
                Command::End(Err(error)) => return Err(Over::Failed(error)),
            }
        }
        Ok(())
    }

    fn place(&mut self, number: u32, tried: Vec<NodeId>) -> Result<Event, Over> {
        let mut jitter = self.jitter;
        let missing = || Over::Failed(JobError::new(ErrorKind::Internal, format!("choice {number} does not exist")));
        let choice = self.choices.get_mut(number as usize).ok_or_else(missing)?;
        let want = choice.want(&self.task, tried);
        let placed = self.shared.directory.place(&want, &mut || jitter.draw());
        self.jitter = jitter;
        let Some(placed) = placed else {
            return Ok(Event::Nobody { some: self.shared.directory.knows(&self.task.model) });
        };
        let node = placed.node;
        choice.placed = Some(placed);
        Ok(Event::Placed(node))
    }

    fn ask(&mut self, number: u32, attempt: u32) -> Result<(), Over> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let settings = self.shared.settings;
        let missing = || Over::Failed(JobError::new(ErrorKind::Internal, "a node was asked that was not chosen"));
        let choice = self.choices.get_mut(number as usize).ok_or_else(missing)?;
        let placed = choice.placed.take().ok_or_else(missing)?;
        choice.predicted = placed.predicted;
        choice.trial = Some(placed.reach.trial);
        let gather = Some(if self.task.whole { GATHER } else { BURST });
        let submit = Submit { job: choice.job(&self.task, attempt), deadline: Some(left), pull: placed.pull, gather };
        let way = crate::cluster::attempt::Way {
            connection: placed.reach.connection,
            suspect: placed.reach.suspect,
            sent: placed.reach.sent,
        };
        choice.running = Some(match placed.first {
            Some(first) => Attempt::after(first, way, submit, settings.grant_timeout, self.jitter.draw()),
            None => Attempt::start(way, submit, settings.grant_timeout),
        });
        Ok(())
    }

    /// Waits before another try; or the reason why there is none.
    async fn retry(&mut self, number: u32, attempt: u32, before: u32) -> Result<Option<Event>, Over> {
        let allowed = self.shared.retries.budget.lock().await.retry();
        self.shared.metrics.retry(allowed);
        if !allowed {
            let message = "the node that was asked has failed, and so have many others: too much is tried again now";
            let error = JobError::new(ErrorKind::NodeLost, message).retry_after(Duration::from_secs(1));
            return Ok(Some(Event::TurnedAway(error)));
        }
        let random = self.jitter.draw();
        let wait = match before.checked_sub(1) {
            None => Duration::ZERO,
            Some(waits) => self.shared.retries.settings.wait(waits, random, None),
        };
        self.choice(number)?.running = Some(Attempt::later(attempt, async move {
            tokio::time::sleep(wait).await;
            Event::Slept
        }));
        Ok(None)
    }

    /// Waits for its turn, for as long as it has not waited yet.
    fn wait(&mut self, number: u32, attempt: u32, retry_after: Option<Duration>) -> Result<(), Over> {
        let waiting = std::sync::Arc::clone(&self.shared.waiting);
        let now = Instant::now();
        // A wait that ends with the request could not say what it waited for.
        let left = self.deadline.saturating_duration_since(now).saturating_sub(LAST_WORDS);
        let (model, class, tenant) = (self.task.model.clone(), self.task.class, self.task.tenant.clone());
        let (tokens, again) = (Tokens::of(self.task.prompt.len()), self.task.again);
        let choice = self.choice(number)?;
        let waited = now - *choice.waits.get_or_insert(now);
        let entry = Entry {
            model,
            class,
            tenant,
            tokens,
            begun: choice.attempts.delivered() > Tokens::ZERO,
            again,
            waited,
            left,
            retry_after,
        };
        // Whoever had its turn and was refused goes back to its old place.
        let had = choice.turn.take();
        let (hand, taken) = oneshot::channel();
        choice.coming = Some(taken);
        choice.running = Some(Attempt::later(attempt, async move {
            let turn = match had {
                Some(turn) => turn.again().await,
                None => waiting.turn(entry).await,
            };
            match turn {
                Ok(turn) => {
                    // If nobody takes it, the request is over.
                    let _ = hand.send(turn);
                    Event::Turn
                }
                Err(away) => Event::TurnedAway(away.into()),
            }
        }));
        Ok(())
    }

    fn migrate(&mut self, number: u32, from: NodeId, delivered: Tokens, why: &str) -> Result<(), Over> {
        let from = self.shared.directory.name(from).unwrap_or_else(|| from.to_string());
        tracing::info!(
            "request {}, choice {number}, goes on elsewhere after {delivered}: {from}: {why}",
            self.task.request
        );
        self.shared.metrics.migrated();
        self.choice(number)?.moved.get_or_insert(Instant::now());
        Ok(())
    }

    async fn started(&mut self, number: u32, node: NodeId, cached: Tokens) -> Result<(), Over> {
        let choice = self.choice(number)?;
        choice.cached = cached;
        let (predicted, granted) = (choice.predicted, choice.granted);
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        let started = Started {
            request: self.task.request,
            model: self.task.model.clone(),
            node: self.shared.directory.name(node).unwrap_or_else(|| node.to_string()),
            prompt: Tokens::of(self.task.prompt.len()),
            cached,
            predicted,
            granted,
            degraded: self.task.degraded.clone(),
            route: self.task.route.clone(),
            ..Started::default()
        };
        self.say(Answer::Started(started)).await
    }

    /// True if a stop text was found.
    async fn deliver(&mut self, number: u32, tokens: &[Sampled]) -> Result<bool, Over> {
        let (begun, now, metrics) = (self.begun, Instant::now(), &self.shared.metrics);
        self.first.get_or_insert(now - self.task.arrived);
        let choice = self.choice(number)?;
        match choice.newest.replace(now) {
            None => metrics.first_token.record((now - begun).as_secs_f64()),
            Some(before) => metrics.token_gap(now - before, tokens.len()),
        }
        if let Some(since) = choice.moved.take() {
            metrics.silence.record((now - since).as_secs_f64());
        }
        choice.waits = None;
        choice.keep(tokens);
        if let Some(bill) = &mut self.bill {
            // Should nobody be there to settle, what was delivered counts.
            let cached = self.choices.first().map_or(Tokens::ZERO, |choice| choice.cached);
            bill.add(Tokens::of(self.task.prompt.len()), cached, Tokens::of(tokens.len()));
        }
        let choice = self.choice(number)?;
        let spoken = choice.speech.push(tokens);
        let stopped = spoken.stopped;
        self.speak(number, spoken).await?;
        Ok(stopped)
    }

    async fn speak(&mut self, number: u32, spoken: Spoken) -> Result<(), Over> {
        if spoken.text.is_empty() && spoken.logprobs.is_empty() {
            return Ok(());
        }
        self.say(Answer::Delta(Delta {
            choice: number,
            text: spoken.text,
            logprobs: spoken.logprobs,
            calls: Vec::new(),
        }))
        .await
    }

    async fn finish(&mut self, number: u32, reason: FinishReason) -> Result<(), Over> {
        self.say(Answer::Finished { choice: number, reason }).await
    }

    async fn say(&mut self, answer: Answer) -> Result<(), Over> {
        match self.answers.say(answer, self.shared.settings.client_stall).await {
            Heard::Yes => Ok(()),
            Heard::Gone => Err(Over::ClientGone),
            Heard::Stalled => Err(Over::ClientStalled),
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            prompt: Tokens::of(self.task.prompt.len()),
            cached: self.choices.first().map_or(Tokens::ZERO, |choice| choice.cached),
            completion: Tokens(self.choices.iter().map(|choice| choice.speech.tokens()).sum()),
            cost: Nanos::ZERO,
        }
    }
}
