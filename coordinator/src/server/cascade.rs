//! A lower tier's answer is held back until it is known how sure the model was of it: sure enough, and the client
//! gets it; if not, the next tier is asked.
//!
//! Rules: what was computed is billed, also what is thrown away. An answer that took longer than the settings allow is
//! not thrown away, nor is one where the next tier would cost more than they allow. Where the next tier cannot answer,
//! the one that was held back is given after all. Whoever did not ask for log-probabilities does not get them.

use actors::cluster::job::{Answers, Ended};
use policy::complexity::tiers::{Cascade, Left, Next, Verdict, cascade, mean_probability};
use protocol::answer::{Answer, ErrorKind, JobError, Route, Usage};
use protocol::request::Request;
use protocol::units::{Nanos, Tokens};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::plan::{Place, Target, rough};
use super::purse::{About, bound, price};
use super::way::{Broken, Way};
use crate::service::AnswerStream;

/// Pieces of a held answer on their way.
const PIECES: usize = 64;

/// An answer that was held back.
#[derive(Default)]
pub(super) struct Held {
    pieces: Vec<Answer>,
    logprobs: Vec<f32>,
    usage: Usage,
    /// Whether the client wants log-probabilities.
    shown: bool,
}

/// Asks a tier, and hands its answer on if it is sure enough.
///
/// # Errors
/// It could not answer, or was not sure enough.
pub(super) async fn serve(
    way: &mut Way,
    target: &Target,
    next: &Target,
    request: Request,
    route: Option<Route>,
    mut answers: Answers,
) -> Result<Ended, Box<Broken>> {
    let (shown, begun) = (request.params.logprobs.is_some(), Instant::now());
    let (limits, expected) = (next_takes(way, next, &request), way.parts.router.patience());
    let mut ask = request;
    ask.params.logprobs = Some(ask.params.logprobs.unwrap_or(0));
    let (sender, pieces) = mpsc::channel(PIECES);
    let Some(hidden) = Answers::hidden(sender) else {
        let error = JobError::new(ErrorKind::Internal, "an answer could not be held back");
        return Err(Broken::early(error, answers));
    };
    let closed = answers.closed();
    let outcome = {
        let attempt = Box::pin(async {
            let outcome = way.attempt(target, ask, route, None, hidden).await;
            // Whoever reads waits until nobody can say anything any more.
            outcome.map_err(|broken| {
                let Broken { error, answers, .. } = *broken;
                let carried = answers.carried();
                answers.leave();
                (error, carried)
            })
        });
        let hold = hold(AnswerStream::new(pieces));
        tokio::pin!(closed);
        // When the client leaves, nobody reads, and the attempt ends by that.
        let reading = async {
            tokio::select! {
                biased;
                () = &mut closed => Held::default(),
                held = hold => held,
            }
        };
        tokio::join!(attempt, reading)
    };
    let (usage, mut held) = match outcome {
        (Ok(Ended::Done(usage)), held) => (usage, held),
        (Ok(Ended::Left), _) => {
            answers.leave();
            return Ok(Ended::Left);
        }
        (Ok(Ended::Failed(used)), held) => {
            // It is billed, and whoever is asked next has a record of its own.
            answers.carry(used, false);
            way.purse.next();
            let error = held.pieces.into_iter().find_map(|piece| match piece {
                Answer::Failed(error) => Some(error),
                _ => None,
            });
            let error = error.unwrap_or_else(|| JobError::new(ErrorKind::NodeLost, "the answer broke off"));
            return Err(Broken::early(error, answers));
        }
        (Err((error, carried)), _) => {
            answers.carry(carried, false);
            return Err(Broken::early(error, answers));
        }
    };
    // With what was billed on the way to it.
    let told = held.pieces.iter().rev().find_map(|piece| match piece {
        Answer::Done { usage } => Some(*usage),
        _ => None,
    });
    let usage = Usage { cost: told.map_or(usage.cost, |told| told.cost), ..usage };
    (held.usage, held.shown) = (usage, shown);
    if !shown {
        // Without its log-probabilities it is no answer to the question that it was asked as.
        way.slot.lock().question = None;
    }
    let mean = mean_probability(held.logprobs.iter().copied());
    let settings = Cascade { threshold: way.parts.router.config().unsure, ..Cascade::default() };
    // An answer that took long was waited for already: its client does not wait for a second one.
    let time = expected.checked_sub(begun.elapsed());
    let left = Left { time: Some(time.unwrap_or_default()), money: Some(way.parts.router.config().cascade_money.0) };
    let takes = Next { time: if time.is_some() { std::time::Duration::ZERO } else { expected }, ..limits };
    let verdict = cascade(&settings, mean, usage.completion, left, takes);
    let word = match verdict {
        Verdict::Keep => "kept",
        Verdict::KeepForTime => "kept_for_time",
        Verdict::KeepForMoney => "kept_for_money",
        Verdict::Escalate => "escalated",
    };
    metrics::counter!("troupe_cascades_total", "outcome" => word).increment(1);
    way.explain.step(format!("the answer of {} has a mean token probability of {mean:?}: {word}", target.model));
    if verdict != Verdict::Escalate {
        return Ok(hand_on(way, held, answers).await);
    }
    // It is billed beside the answer that the client gets, and the client is told the cost of both.
    answers.carry(Usage { cost: usage.cost, ..Usage::default() }, false);
    held.usage.cost = Nanos::ZERO;
    way.purse.next();
    let error = JobError::new(ErrorKind::NodeLost, format!("{} was not sure of its answer", target.model));
    Err(Box::new(Broken { unsure: Some(Box::new(held)), ..*Broken::early(error, answers) }))
}

/// What the next tier may take.
fn next_takes(way: &Way, next: &Target, request: &Request) -> Next {
    let (model, provider) = match &next.place {
        Place::Own(_) => (next.model.as_str(), None),
        Place::Provider(served) => (served.upstream.as_str(), Some(served.provider.as_str())),
    };
    let answers = request.params.max_tokens.map_or(way.parts.expected, |most| Tokens(most.into()));
    let about = About { model, provider, prompt: rough(request), answers };
    let money = price(&way.parts.pricing, model, provider).and_then(|priced| bound(&priced, &about));
    Next { money: money.unwrap_or(Nanos(u64::MAX)), ..Next::default() }
}

async fn hold(mut stream: AnswerStream) -> Held {
    let mut held = Held::default();
    while let Some(piece) = stream.next().await {
        if let Answer::Delta(delta) = &piece {
            held.logprobs.extend(delta.logprobs.iter().map(|token| token.logprob));
        }
        held.pieces.push(piece);
    }
    held
}

/// The client gets what was held back.
pub(super) async fn hand_on(way: &Way, held: Held, answers: Answers) -> Ended {
    let Held { pieces: all, usage, shown, .. } = held;
    let mut started = None;
    let mut pieces = Vec::new();
    for piece in all {
        match piece {
            Answer::Started(first) => started = Some(first),
            Answer::Delta(mut delta) => {
                if !shown {
                    delta.logprobs.clear();
                }
                if !delta.text.is_empty() || !delta.logprobs.is_empty() || !delta.calls.is_empty() {
                    pieces.push(Answer::Delta(delta));
                }
            }
            Answer::Finished { .. } => pieces.push(piece),
            Answer::Done { .. } | Answer::Failed(_) => {}
        }
    }
    let Some(started) = started else {
        answers.fail(JobError::new(ErrorKind::Internal, "the answer has no beginning"));
        return Ended::Failed(usage);
    };
    answers.replay(started, &pieces, usage, way.parts.shared.settings.client_stall).await;
    Ended::Done(usage)
}
