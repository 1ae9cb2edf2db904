//! An attempt at a provider: money, the stream, what it says it used.
//!
//! Rules: the reservation is on disk before the request leaves, since the provider bills whatever becomes of us. What a
//! provider says it used is believed within what was reserved and what came; the rest is told, not booked. A client
//! that leaves ends the stream, and pays for what came until then.

use std::time::Duration;

use actors::cluster::job::{Answers, Ended, Heard};
use actors::cost::Bill;
use actors::cost::pace::Going;
use policy::upstream::failure::FailureKind;
use policy::upstream::fallback::Streamed;
use policy::upstream::usage::{Bound, Own, ProviderUsage, believe, estimate, estimate_bytes, unfinished};
use protocol::account::Outcome;
use protocol::answer::{Answer, ErrorKind, JobError, Route, Started, Usage};
use protocol::request::{ChatMessage, Input, Request};
use protocol::units::{Nanos, Tokens};
use providers::{Answering, Call, Failure, Piece, Served};
use tokio::time::Instant;

use super::plan::rough;
use super::purse::{About, journal, price};
use super::way::{Broken, Way};

/// The longest answer where the client names no limit: something must be reserved.
const ANSWER: Tokens = Tokens(4096);
/// Tokens that a message, a function or a call costs beside its text, at most.
const FRAME: Tokens = Tokens(16);

/// What to ask.
pub(super) struct Ask {
    pub(super) request: Request,
    pub(super) served: Served,
    pub(super) route: Option<Route>,
    /// The beginning of the answer, which the client has.
    pub(super) begun: Option<String>,
}

/// What is known of the attempt's size.
#[derive(Clone, Copy)]
struct Size {
    /// Of the prompt, as estimated.
    prompt: Tokens,
    bound: Bound,
}

/// How a stream ended.
enum End {
    Complete,
    Gone,
    Stalled,
    Failed(Failure),
}

/// Serves a request from the providers of its model, one after the other.
///
/// # Errors
/// None could answer, or the answer broke off.
pub(super) async fn serve(way: &mut Way, ask: Ask, mut answers: Answers) -> Result<Ended, Box<Broken>> {
    let all = way.parts.pool.serving(&ask.request.model);
    let (first, others): (Vec<Served>, Vec<Served>) = all.into_iter().partition(|served| *served == ask.served);
    let mut last = None;
    for served in first.into_iter().chain(others) {
        match one(way, &ask, &served, answers).await {
            Err(broken) if broken.streamed == Streamed::Nothing && elsewhere(broken.kind) => {
                way.explain.step(format!("provider {} could not answer: {}", served.provider, broken.error));
                answers = broken.answers;
                last.get_or_insert((broken.error, broken.kind));
            }
            outcome => return outcome,
        }
    }
    let (error, kind) = last.unwrap_or_else(|| {
        let message = format!("no provider has the model '{}' any more", ask.request.model);
        (JobError::new(ErrorKind::UnknownModel, message), Some(FailureKind::Down))
    });
    Err(Box::new(Broken { error, kind, answers, streamed: Streamed::Nothing, text: String::new(), unsure: None }))
}

/// Whether another provider of the same model may do what this one could not.
fn elsewhere(kind: Option<FailureKind>) -> bool {
    use FailureKind as K;
    kind.is_some_and(|kind| !matches!(kind, K::Invalid | K::ContentPolicy | K::ContextWindow))
}

/// One provider.
async fn one(way: &mut Way, ask: &Ask, served: &Served, mut answers: Answers) -> Result<Ended, Box<Broken>> {
    let (mut request, route) = (ask.request.clone(), ask.route.clone());
    let choices = request.params.n.unwrap_or(1).max(1);
    let spoken = ask.begun.as_deref().map_or(Tokens::ZERO, estimate);
    let asked = request.params.max_tokens.map_or(ANSWER, |most| Tokens(most.into()));
    let max_tokens = (asked - spoken).max(Tokens(1));
    if let Some(begun) = &ask.begun {
        go_on(&mut request, begun.clone());
    }
    let size = size(&request, Tokens(max_tokens.0.saturating_mul(choices.into())));
    let (mut bill, going) = match pay(way, served, &request.model, size).await {
        Ok(paid) => paid,
        Err(error) => return Err(Broken::early(error, answers)),
    };
    way.explain.reserved(bill.reserved());
    // Should this task end before it settles, the provider has read the prompt at least.
    bill.note(Usage { prompt: size.prompt, ..Usage::default() }, Outcome::Cancelled);
    let (deadline, begun) = (way.deadline.saturating_duration_since(Instant::now()), Instant::now());
    let (model, shown) = (request.model.clone(), request.params.logprobs.is_some());
    let idempotency = Some(attempt_key(way, served, ask.begun.as_deref()));
    let call = Call { request, max_tokens, deadline, idempotency };
    let closed = answers.closed();
    let started = tokio::select! {
        biased;
        () = closed => None,
        started = way.parts.pool.ask(served, &model, call, way.parts.accounts.now()) => Some(started),
    };
    let stream = match started {
        None => {
            // It has read the prompt by now, for all we know, and bills it: who leaves so early could otherwise spend
            // without end.
            let read = ProviderUsage { prompt: size.prompt, ..ProviderUsage::default() };
            let own = Own { prompt_estimate: size.prompt, completion_estimate: Tokens::ZERO, bound: size.bound };
            settle(bill, going, Some(read), own, Outcome::Cancelled).await;
            answers.leave();
            return Ok(Ended::Left);
        }
        Some(Err(failure)) => {
            if let Some(used) = refund(bill, going, &failure, size).await {
                next_after(way, &mut answers, used, Streamed::Nothing);
            }
            return Err(broken(failure, answers, Streamed::Nothing, String::new()));
        }
        Some(Ok(started)) => started.stream,
    };
    let first = Started {
        request: way.origin.request,
        model: model.clone(),
        node: served.provider.clone(),
        prompt: size.prompt,
        provider: Some(served.provider.clone()),
        route,
        ..Started::default()
    };
    let limit = way.parts.shared.settings.client_stall;
    let prompt = size.prompt;
    let mut run = Run {
        stream,
        answers: &mut answers,
        bill: &mut bill,
        prompt,
        limit,
        text: String::new(),
        claimed: None,
        shown,
    };
    let end = run.go(first).await;
    let (seen, claimed, text) = (run.stream.seen(), run.claimed.or(run.stream.usage()), std::mem::take(&mut run.text));
    // To drop it is to cancel it there.
    drop(run);
    let outcome = match &end {
        End::Complete => Outcome::Done,
        End::Gone | End::Stalled => Outcome::Cancelled,
        End::Failed(_) => Outcome::Failed,
    };
    let own = Own { prompt_estimate: size.prompt, completion_estimate: seen.estimate(), bound: size.bound };
    let used = settle(bill, going, claimed, own, outcome).await;
    match end {
        End::Complete => {
            way.parts.pool.took(served, &model, begun.elapsed());
            answers.done(used);
            Ok(Ended::Done(used))
        }
        End::Gone => {
            answers.gone();
            Ok(Ended::Left)
        }
        End::Stalled => {
            answers.stalled();
            Ok(Ended::Left)
        }
        End::Failed(failure) => {
            next_after(way, &mut answers, used, seen.streamed);
            Err(broken(failure, answers, seen.streamed, text))
        }
    }
}

/// By which a provider knows the same attempt again: another provider, another beginning or another record is another.
fn attempt_key(way: &Way, served: &Served, begun: Option<&str>) -> String {
    let mut hash = blake3::Hasher::new();
    for part in [&way.purse.record().to_string(), &served.provider, &served.upstream, begun.unwrap_or_default()] {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let hash = hash.finalize().to_hex();
    hash.chars().take(32).collect()
}

/// The client has this beginning: the model is to go on behind it.
fn go_on(request: &mut Request, begun: String) {
    match &mut request.input {
        Input::Chat(messages) => messages.push(ChatMessage::new("assistant", begun)),
        Input::Text(text) => text.push_str(&begun),
        Input::Tokens(_) => {}
    }
}

/// A prompt's size is estimated, and twice that is set aside: tokenizers differ, most of all in digits and in scripts
/// other than Latin.
fn size(request: &Request, completion: Tokens) -> Size {
    let tools = &request.tools.list;
    let bytes = tools.iter().map(|tool| {
        let texts = [Some(&tool.name), tool.description.as_ref(), tool.parameters.as_ref()];
        texts.into_iter().flatten().map(String::len).sum::<usize>()
    });
    let calls = match &request.input {
        Input::Chat(messages) => messages.iter().flat_map(|message| &message.tool_calls).collect(),
        _ => Vec::new(),
    };
    let call_bytes: usize = calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
    let frames = Tokens(FRAME.0.saturating_mul((tools.len() + calls.len() + 1) as u64));
    let prompt = rough(request) + estimate_bytes(bytes.sum::<usize>().saturating_add(call_bytes)) + frames;
    Size { prompt, bound: Bound { prompt: prompt + prompt, completion } }
}

async fn pay(way: &mut Way, served: &Served, model: &str, size: Size) -> Result<(Bill, Going), JobError> {
    let Bound { prompt, completion } = size.bound;
    let priced = price(&way.parts.pricing, &served.upstream, Some(&served.provider))?;
    let about = About { model, provider: Some(&served.provider), prompt, answers: completion };
    let going = way.purse.admit(size.prompt + completion)?;
    let bill = way.purse.reserve(about, &priced, way.deadline).await?;
    Ok((journal(bill).await?, going))
}

/// What was billed stays so, and another attempt has a record of its own.
fn next_after(way: &mut Way, answers: &mut Answers, used: Usage, streamed: Streamed) {
    way.purse.next();
    answers.carry(used, streamed > Streamed::Nothing);
}

/// Nothing came. What the provider says it used counts all the same: what was billed, if anything was.
async fn refund(bill: Bill, going: Going, failure: &Failure, size: Size) -> Option<Usage> {
    match failure.usage {
        Some(claimed) if claimed.prompt + claimed.completion > Tokens::ZERO => {
            let own = Own { prompt_estimate: size.prompt, completion_estimate: Tokens::ZERO, bound: size.bound };
            Some(settle(bill, going, Some(claimed), own, Outcome::Failed).await)
        }
        _ => {
            bill.give_back().await;
            None
        }
    }
}

/// Books what was used.
async fn settle(mut bill: Bill, going: Going, claimed: Option<ProviderUsage>, own: Own, outcome: Outcome) -> Usage {
    let claimed = if outcome == Outcome::Done { claimed } else { claimed.map(|claimed| unfinished(claimed, &own)) };
    let believed = believe(claimed, own);
    let ProviderUsage { prompt, cached, completion, .. } = believed.usage;
    if let Some(doubt) = believed.doubt {
        metrics::counter!("troupe_provider_doubts_total", "why" => doubt.as_str()).increment(1);
        let (prompt, completion) = doubt.beyond(&believed.usage);
        bill.dispute(bill.price().cost(prompt, Tokens::ZERO, completion).unwrap_or(Nanos(u64::MAX)));
    }
    let mut used = Usage { prompt, cached, completion, cost: Nanos::ZERO };
    going.settle(prompt + completion);
    used.cost = bill.settle(&used, outcome).await;
    used
}

fn broken(failure: Failure, answers: Answers, streamed: Streamed, text: String) -> Box<Broken> {
    let Failure { kind, message, field, retry_after, .. } = failure;
    let error = JobError { kind: kind.error(), message, field, retry_after };
    Box::new(Broken { error, kind: Some(kind), answers, streamed, text, unsure: None })
}

struct Run<'a> {
    stream: Answering,
    answers: &'a mut Answers,
    bill: &'a mut Bill,
    prompt: Tokens,
    limit: Duration,
    /// What the client has heard of the first answer.
    text: String,
    claimed: Option<ProviderUsage>,
    /// Whether the client wants log-probabilities.
    shown: bool,
}

impl Run<'_> {
    async fn go(&mut self, first: Started) -> End {
        if let Some(end) = self.say(Answer::Started(first)).await {
            return end;
        }
        let closed = self.answers.closed();
        tokio::pin!(closed);
        loop {
            let next = tokio::select! {
                biased;
                () = &mut closed => return End::Gone,
                next = self.stream.next() => next,
            };
            let answer = match next {
                None => return End::Complete,
                Some(Err(failure)) => {
                    self.claimed = self.claimed.or(failure.usage);
                    return End::Failed(failure);
                }
                Some(Ok(Piece::Usage(usage))) => {
                    self.claimed = Some(usage);
                    continue;
                }
                Some(Ok(Piece::Finished { choice, reason })) => Answer::Finished { choice, reason },
                Some(Ok(Piece::Delta(mut delta))) => {
                    if !self.shown {
                        delta.logprobs.clear();
                    }
                    if delta.choice == 0 {
                        self.text.push_str(&delta.text);
                    }
                    let completion = self.stream.seen().estimate();
                    let used = Usage { prompt: self.prompt, completion, ..Usage::default() };
                    self.bill.note(used, Outcome::Cancelled);
                    Answer::Delta(delta)
                }
            };
            if let Some(end) = self.say(answer).await {
                return end;
            }
        }
    }

    /// How it ends if the client does not listen.
    async fn say(&mut self, answer: Answer) -> Option<End> {
        match self.answers.say(answer, self.limit).await {
            Heard::Yes => None,
            Heard::Gone => Some(End::Gone),
            Heard::Stalled => Some(End::Stalled),
        }
    }
}
