//! A request's way from the door to an answer: who could answer, in which order they are asked, and what becomes of
//! it when one cannot.
//!
//! Rules: the first failure is the one that is told. Once the client has heard text, nobody begins anew: another
//! model goes on, or the answer ends. A request that was submitted before under the same idempotency key is
//! answered again and billed nothing.

use std::sync::Arc;
use std::time::Duration;

use actors::cluster::answering::Keeping;
use actors::cluster::job::{Answers, Ended};
use actors::guarded::Guarded;
use policy::answers::Key;
use policy::ledger::idempotency::Begun;
use policy::restart::Jitter;
use policy::upstream::failure::FailureKind;
use policy::upstream::fallback::{self, Chain, Failed, Fallback, Mode, Step, Streamed};
use protocol::answer::{Answer, ErrorKind, JobError, Route, Usage};
use protocol::manage::Explanation;
use protocol::request::Request;
use tokio::time::Instant;

use super::Parts;
use super::plan::{Place, Planned, Target, plan};
use super::purse::Purse;
use super::{cascade, once, own, upstream};
use crate::decisions::Explaining;
use crate::pipeline::Origin;
use crate::service::Tap;

/// Under what an answer is to be kept, once that is known.
#[derive(Debug, Default)]
pub(super) struct Keep {
    /// It is submitted under an idempotency key.
    claim: Option<Key>,
    /// The question that the attempt which runs is an answer to.
    pub(super) question: Option<Key>,
}

/// Where that stands.
pub(super) type Slot = Arc<Guarded<Keep>>;

/// When it is worth asking again for an answer that is on its way to somebody else.
const AGAIN: Duration = Duration::from_secs(1);

/// One request on its way.
pub(super) struct Way {
    pub(super) parts: Arc<Parts>,
    pub(super) origin: Origin,
    pub(super) purse: Purse,
    pub(super) explain: Explaining,
    pub(super) slot: Slot,
    pub(super) deadline: Instant,
}

/// An attempt that came to nothing, or broke off.
pub(super) struct Broken {
    pub(super) error: JobError,
    pub(super) kind: Option<FailureKind>,
    pub(super) answers: Answers,
    pub(super) streamed: Streamed,
    /// What the client has heard.
    pub(super) text: String,
    /// It could answer, and was not sure enough: the next tier is asked.
    pub(super) unsure: Option<Box<cascade::Held>>,
}

impl Broken {
    /// Before anything was said.
    pub(super) fn early(error: JobError, answers: Answers) -> Box<Self> {
        let kind = kind(&error);
        Box::new(Self { error, kind, answers, streamed: Streamed::Nothing, text: String::new(), unsure: None })
    }
}

/// Serves a request to its end.
pub(super) async fn serve(parts: Arc<Parts>, request: Request, origin: Origin, mut answers: Answers, slot: Slot) {
    let explain = parts.decisions.begin(Explanation {
        request: origin.request,
        at: parts.accounts.now(),
        key: origin.caller.key.clone(),
        asked: request.model.clone(),
        ..Explanation::default()
    });
    let mut purse =
        Purse::new(parts.accounts.clone(), origin.caller.clone(), origin.request, &request.model, &request.care.tags);
    let deadline = origin.arrived + parts.shared.settings.timeout;
    let claim = match once::claim(&parts, &origin, &request) {
        Ok(claim) => claim,
        Err(error) => return answers.fail(error),
    };
    let mut claim = match claim {
        None => None,
        Some((claim, Begun::First)) => {
            slot.lock().claim = Some(claim.key());
            Some(claim)
        }
        Some((_, Begun::Running(other))) => {
            let message =
                format!("the request with this idempotency key runs already ({other}): come again for its answer");
            return answers.fail(JobError::new(ErrorKind::Busy, message).retry_after(AGAIN));
        }
        Some((claim, Begun::Done(done))) => {
            explain.step(format!("it was answered before, as request {}", done.request));
            let Some(back) = once::replay(&parts, &origin, &mut purse, claim.key(), answers).await else { return };
            // Its answer is kept no more: it is computed again, and billed, or it could be had for nothing for ever.
            answers = back;
            slot.lock().claim = Some(claim.key());
            None
        }
    };
    let mut way = Way { parts, origin, purse, explain, slot, deadline };
    let ended = way.go(request, answers).await;
    if let (Some(claim), Some(Ended::Done(usage))) = (&mut claim, ended) {
        claim.finish(usage.cost);
    }
}

impl Way {
    /// Asks until somebody has answered, or nobody is left. None if it never began.
    async fn go(&mut self, request: Request, answers: Answers) -> Option<Ended> {
        let planned = match plan(self, &request).await {
            Ok(planned) => planned,
            Err(error) => {
                self.explain.step(format!("nobody could be asked: {error}"));
                answers.fail(error);
                return None;
            }
        };
        let Some(mut target) = planned.targets.first().cloned() else {
            answers.fail(JobError::new(ErrorKind::Internal, "a plan without a model"));
            return None;
        };
        let mut route = planned.route();
        let settings = self.parts.shared.retries.settings();
        let chain = self.chain(&planned, &request);
        let mut fallback = Fallback::new(self.stand_in(&target.model), chain, settings);
        let mut jitter = Jitter::new(self.origin.random);
        let (mut answers, mut text, mut first) = (answers, String::new(), None);
        let (mut streamed, mut spare) = (Streamed::Nothing, None);
        loop {
            self.explain.chosen(&target.model);
            // What another model answers is no answer to this one's question.
            self.slot.lock().question = None;
            let ask = Request { model: target.model.clone(), ..request.clone() };
            let begun = (!text.is_empty()).then(|| text.clone());
            let above = self.cascades(&planned, &target, &ask, begun.as_ref());
            let outcome = match above {
                Some(above) => cascade::serve(self, &target, above, ask, route.clone(), answers).await,
                None => self.attempt(&target, ask, route.clone(), begun, answers).await,
            };
            let broken = match outcome {
                Ok(ended) => return Some(ended),
                Err(broken) => *broken,
            };
            if let (Some(held), Some(above)) = (broken.unsure, above) {
                spare = Some(held);
                if let (Some(decided), Some(tier)) = (&planned.decided, above.tier) {
                    self.parts.router.raise(decided, tier);
                    if let Some(route) = &mut route {
                        route.tier = self.parts.router.name(tier);
                    }
                }
                note(&mut route, &request.model, "cascade");
                (answers, target) = (broken.answers, above.clone());
                fallback = Fallback::new(self.stand_in(&target.model), self.chain(&planned, &request), settings);
                continue;
            }
            self.explain.step(format!("{} could not answer: {}", target.model, broken.error));
            answers = broken.answers;
            text.push_str(&broken.text);
            streamed = streamed.max(broken.streamed);
            let Some(kind) = broken.kind else {
                return Some(self.give_up(broken.error, spare, streamed, answers).await);
            };
            let failed = Failed { kind, retry_after: broken.error.retry_after, streamed };
            let error = first.get_or_insert(broken.error).clone();
            let left = self.deadline.saturating_duration_since(Instant::now());
            let random = jitter.draw();
            let step = self.parts.shared.retries.with(|budget| fallback.on_failure(failed, left, random, budget)).await;
            match step {
                Step::Next { target: next, mode, because } => match Target::of(&self.parts, &next.model) {
                    Ok(found) => {
                        self.explain.step(format!("{} is asked instead ({})", next.model, because.as_str()));
                        metrics::counter!("troupe_fallbacks_total", "from" => target.model.clone(), "to" => next.model.clone(), "because" => because.as_str()).increment(1);
                        let tier = planned
                            .targets
                            .iter()
                            .chain(&planned.lower)
                            .find(|known| known.model == next.model)
                            .and_then(|known| known.tier);
                        note(&mut route, &request.model, &format!("fallback:{}", because.as_str()));
                        target = Target { tier, ..found };
                        if mode == Mode::Anew {
                            text.clear();
                        }
                    }
                    Err(error) => return Some(self.give_up(error, spare, streamed, answers).await),
                },
                Step::Retry { after, .. } => {
                    let closed = answers.closed();
                    tokio::select! {
                        biased;
                        () = closed => {
                            answers.leave();
                            return Some(Ended::Left);
                        }
                        () = tokio::time::sleep(after) => {}
                    }
                }
                Step::GiveUp { .. } => return Some(self.give_up(error, spare, streamed, answers).await),
            }
        }
    }

    /// Nobody is left. An answer that was not sure enough is better than none.
    async fn give_up(
        &self,
        error: JobError,
        spare: Option<Box<cascade::Held>>,
        streamed: Streamed,
        answers: Answers,
    ) -> Ended {
        match spare {
            Some(held) if streamed == Streamed::Nothing => {
                self.explain.step("the answer that was not sure enough is given after all");
                cascade::hand_on(self, *held, answers).await
            }
            _ => {
                answers.fail(error);
                Ended::Failed(Usage::default())
            }
        }
    }

    /// One attempt at one model.
    pub(super) async fn attempt(
        &mut self,
        target: &Target,
        request: Request,
        route: Option<Route>,
        begun: Option<String>,
        answers: Answers,
    ) -> Result<Ended, Box<Broken>> {
        match &target.place {
            Place::Own(card) => {
                let ask = own::Ask { request, card: (**card).clone(), route, begun };
                let outcome = own::serve(self, ask, answers).await;
                outcome.map_err(|unanswered| Broken::early(unanswered.error, unanswered.answers))
            }
            Place::Provider(served) => {
                let ask = upstream::Ask { request, served: served.clone(), route, begun };
                upstream::serve(self, ask, answers).await
            }
        }
    }

    /// The model that is asked if this one's answer is not sure enough; none if its answer is taken as it comes.
    fn cascades<'a>(
        &self,
        planned: &'a Planned,
        target: &Target,
        request: &Request,
        begun: Option<&String>,
    ) -> Option<&'a Target> {
        let unsure = self.parts.router.config().unsure;
        let simple = request.params.n.unwrap_or(1) == 1 && begun.is_none() && request.tools.list.is_empty();
        if planned.decided.is_none() || unsure <= 0.0 || !simple {
            return None;
        }
        let tier = target.tier?;
        let above = planned.targets.iter().filter(|other| other.tier.is_some_and(|other| other > tier));
        above.min_by_key(|other| other.tier)
    }

    /// Who stands in for whom: what the settings and the key say, then, for `auto`, who else could answer.
    fn chain(&self, planned: &Planned, request: &Request) -> Chain {
        let model = planned.targets.first().map_or(request.model.as_str(), |target| target.model.as_str());
        let configured = self.parts.fallbacks.get(&request.model).or_else(|| self.parts.fallbacks.get(model));
        let mut chain = configured.map(|names| Chain::new(names, |name| self.stand_in(name))).unwrap_or_default();
        let own = &self.origin.caller.settings.fallbacks;
        let named = own.get(&request.model).or_else(|| own.get(model)).into_iter().flatten();
        let mut budget: Vec<fallback::Target> = named.map(|name| self.stand_in(name)).collect();
        budget.append(&mut chain.budget);
        budget.extend(planned.lower.iter().map(|target| self.stand_in(&target.model)));
        chain.budget = budget;
        chain.any.extend(planned.targets.iter().skip(1).map(|target| self.stand_in(&target.model)));
        chain
    }

    /// What is known of a model as a stand-in.
    fn stand_in(&self, model: &str) -> fallback::Target {
        let (retries, prefill) = match self.parts.pool.serves(model) {
            Some(served) if self.parts.shared.directory.card(model).is_none() => (served.retries, served.prefill),
            // Nodes are retried by the job itself, and can go on with any text.
            _ => (0, true),
        };
        fallback::Target { model: model.to_owned(), retries, prefill }
    }
}

/// Tells in the route why somebody else answers.
fn note(route: &mut Option<Route>, asked: &str, because: &str) {
    let route = route.get_or_insert_with(|| Route { asked: asked.to_owned(), ..Route::default() });
    route.because.push(because.to_owned());
}

/// What a failure of the cluster's own means for who is asked next; none if nobody else may answer either.
pub(super) fn kind(error: &JobError) -> Option<FailureKind> {
    match error.kind {
        ErrorKind::ContextLength => Some(FailureKind::ContextWindow),
        ErrorKind::NoNode | ErrorKind::NodeLost | ErrorKind::Internal | ErrorKind::UnknownModel => {
            Some(FailureKind::Down)
        }
        ErrorKind::Overloaded | ErrorKind::Busy => Some(FailureKind::RateLimited),
        ErrorKind::Timeout => Some(FailureKind::Timeout),
        ErrorKind::OverBudget => Some(FailureKind::Budget),
        ErrorKind::ContentPolicy => Some(FailureKind::ContentPolicy),
        ErrorKind::ProviderFailed => Some(FailureKind::Down),
        ErrorKind::Invalid | ErrorKind::Unauthorized | ErrorKind::RateLimited | ErrorKind::Forbidden => None,
    }
}

/// Hears an answer on its way out: keeps it, and counts how it ends.
pub(super) fn tap(parts: Arc<Parts>, model: String, slot: Slot) -> Tap {
    let mut keeping: Option<Keeping> = None;
    Box::new(move |piece| {
        match piece {
            Answer::Started(started) => {
                let keep = slot.lock();
                keeping = keep.claim.or(keep.question).map(|key| parts.answering.keep(key));
                drop(keep);
                if !started.replayed && started.provider.is_none() {
                    // A node took one: perhaps it takes another.
                    parts.shared.waiting.room(&started.model, 1);
                }
            }
            Answer::Done { .. } => parts.degrading.ended(&model, None),
            Answer::Failed(error) => parts.degrading.ended(&model, Some(error.kind)),
            Answer::Delta(_) | Answer::Finished { .. } => {}
        }
        if let Some(keeping) = &mut keeping {
            keeping.push(piece);
        }
    })
}

#[cfg(test)]
mod tests;
