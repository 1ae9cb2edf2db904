//! An attempt at the cluster's own nodes: kept answers, the ladder, money, the queue, the job.
//!
//! Rules: a kept answer to the request as it came is better than a degraded one, so it is looked for first.
//! Nobody overtakes those that wait for a model's nodes. A request that forbids a rung is treated as if the
//! rung were not there; one that does not want to wait is refused at once where others wait. Money is set aside
//! before it waits, so that whoever has none does not stand in others' way.

use std::sync::Arc;
use std::time::Duration;

use actors::cluster::job::{Answers, Ended, Task, Unanswered, run};
use actors::cluster::waiting::{Entry, Turn};
use policy::answers::Found;
use protocol::account::{CacheUse, Outcome};
use protocol::answer::{JobError, Route, Started, Usage};
use protocol::engine::{BlockHash, Card};
use protocol::request::Request;
use protocol::units::{Nanos, Tokens};
use text::Special;

use super::purse::{About, journal, price};
use super::way::{Slot, Way};
use super::{Parts, ready, words};
use crate::pipeline::{Bend, Origin, no_room, question};

/// What comes of a request before it runs.
enum Next {
    Run(Box<Task>),
    Replay(Found, Box<Task>),
}

/// What is known of a request from the start.
struct Asked {
    origin: Origin,
    bend: Bend,
    fresh: bool,
    seeded: bool,
}

/// What to ask.
pub(super) struct Ask {
    pub(super) request: Request,
    pub(super) card: Card,
    pub(super) route: Option<Route>,
    /// The beginning of the answer, which the client has.
    pub(super) begun: Option<String>,
}

/// Serves a request from the cluster's own nodes.
///
/// # Errors
/// It failed before anything was said by them.
pub(super) async fn serve(way: &mut Way, ask: Ask, answers: Answers) -> Result<Ended, Box<Unanswered>> {
    let Ask { request, card, route, begun } = ask;
    let parts = Arc::clone(&way.parts);
    let (class, level) = (request.care.class.unwrap_or_default(), parts.degrading.level(&request.model));
    let asked = Asked {
        bend: Bend::new(level, &request.care.forbid, class, &parts.degrade),
        origin: way.origin.clone(),
        fresh: request.care.fresh || begun.is_some() || way.origin.caller.settings.cache == CacheUse::Off,
        seeded: request.params.seed.is_some(),
    };
    let waits = level < 5 || asked.bend.reaches(5);
    let fail = |error, answers| Err(Box::new(Unanswered { error, answers }));
    let named = request.params.max_tokens.is_some();
    let mut task = match next(&parts, request, asked, card.clone(), &way.slot).await {
        Ok(Next::Run(task)) => *task,
        Ok(Next::Replay(found, task)) => {
            way.explain.step("a kept answer was served");
            // It is a request like any other, though nothing is computed for it.
            let _going = match way.purse.admit(Tokens::ZERO) {
                Ok(going) => going,
                Err(error) => return fail(error, answers),
            };
            let bill = way.purse.nothing(&task.model);
            let usage = replay(found, *task, route, answers, parts.shared.settings.client_stall).await;
            if let Some(bill) = bill {
                bill.settle(&Usage::default(), Outcome::Replayed).await;
            }
            return Ok(Ended::Done(usage));
        }
        Err(error) => return fail(error, answers),
    };
    task.route = route;
    if let Some(begun) = begun
        && let Err(error) = go_on(&parts, &mut task, &card, &begun).await
    {
        return fail(error, answers);
    }
    tell(&task, level);
    if !named && let Err(error) = fit(way, &mut task) {
        return fail(error, answers);
    }
    if let Err(error) = pay(way, &mut task).await {
        return fail(error, answers);
    }
    let model = task.model.clone();
    match wait(&parts, &task, &answers, waits).await {
        Ok(turn) => task.turn = turn,
        Err(error) => {
            // Nothing was used.
            if let Some(bill) = task.bill.take() {
                bill.give_back().await;
            }
            return match error {
                Some(error) => {
                    parts.shared.turned_away(&task);
                    fail(error, answers)
                }
                None => {
                    answers.leave();
                    Ok(Ended::Left)
                }
            };
        }
    }
    let outcome = run(task, answers, parts.shared.clone()).await;
    parts.shared.waiting.room(&model, 1);
    outcome
}

/// An answer without a limit of its own is as long as the key's tokens a minute allow.
fn fit(way: &Way, task: &mut Task) -> Result<(), JobError> {
    let prompt = Tokens::of(task.prompt.len());
    let choices = u64::from(task.choices.max(1));
    let most = Tokens(task.limits.max_tokens.0.saturating_mul(choices));
    let all = way.purse.longest(prompt, most)?;
    task.limits.max_tokens = Tokens((all.0 / choices).max(1)).min(task.limits.max_tokens);
    Ok(())
}

/// Sets the money aside, and the key's part of the minute.
async fn pay(way: &mut Way, task: &mut Task) -> Result<(), JobError> {
    let answers = Tokens(task.limits.max_tokens.0.saturating_mul(task.choices.into()));
    let prompt = Tokens::of(task.prompt.len());
    let about = About { model: &task.model, provider: None, prompt, answers };
    let priced = price(&way.parts.pricing, &task.model, None)?;
    let going = way.purse.admit(prompt + answers)?;
    let mut bill = way.purse.reserve(about, &priced, way.deadline).await?;
    if way.parts.accounts.journals() && bill.reserved() > Nanos::ZERO {
        // A slice that was spent when this coordinator is lost is spent all the same.
        bill = journal(bill).await?;
    }
    way.explain.reserved(bill.reserved());
    (task.bill, task.going) = (Some(bill), Some(going));
    Ok(())
}

/// The answer goes on where another has left it: what the client has becomes a part of the prompt.
async fn go_on(parts: &Parts, task: &mut Task, card: &Card, begun: &str) -> Result<(), JobError> {
    let text = words(parts, card).await?;
    let invalid = |error: text::TextError| JobError::new(protocol::answer::ErrorKind::Internal, error.to_string());
    let more = text.encode(begun, Special::Plain).map_err(invalid)?;
    let added = Tokens::of(more.len());
    task.prompt.extend(more);
    let length = Tokens::of(task.prompt.len());
    let room = card.context.checked_sub(length).filter(|room| *room > Tokens::ZERO);
    let room = room.ok_or_else(|| no_room(card, length, "messages"))?;
    let left = (task.limits.max_tokens - added).max(Tokens(1));
    task.limits.max_tokens = left.min(room);
    task.limits.min_tokens = task.limits.min_tokens.min(task.limits.max_tokens);
    task.chain = BlockHash::chain(task.salt, &task.prompt, card.block.as_usize()).collect();
    Ok(())
}

async fn next(parts: &Parts, request: Request, asked: Asked, card: Card, slot: &Slot) -> Result<Next, JobError> {
    let bends = asked.bend.reaches(1) || asked.bend.reaches(2) || asked.bend.reaches(3);
    let copy = bends.then(|| request.clone());
    let task = ready(parts, request, asked.origin.clone(), card.clone(), Bend::none()).await?;
    if let Some(found) = kept(parts, &task, &card, &asked, slot) {
        return Ok(Next::Replay(found, Box::new(task)));
    }
    let Some(request) = copy else { return Ok(Next::Run(Box::new(task))) };
    let (task, card) = bent(parts, request, &asked, card).await?;
    match kept(parts, &task, &card, &asked, slot) {
        Some(found) => Ok(Next::Replay(found, Box::new(task))),
        None => Ok(Next::Run(Box::new(task))),
    }
}

/// The task as overload leaves it, perhaps for a lighter model.
async fn bent(parts: &Parts, request: Request, asked: &Asked, card: Card) -> Result<(Task, Card), JobError> {
    if asked.bend.reaches(3)
        && let Some(lighter) = lighter(parts, &request.model)
    {
        let request = Request { model: lighter.model.clone(), ..request.clone() };
        // One whose context is too small, or whose words cannot be had, is no help.
        if let Ok(mut task) = ready(parts, request, asked.origin.clone(), lighter.clone(), asked.bend.clone()).await {
            task.degraded.push(format!("3:model={}", lighter.model));
            return Ok((task, lighter));
        }
    }
    Ok((ready(parts, request, asked.origin.clone(), card.clone(), asked.bend.clone()).await?, card))
}

/// A model of the family that has room.
fn lighter(parts: &Parts, model: &str) -> Option<Card> {
    let directory = &parts.shared.directory;
    let has_room = |name: &&String| {
        let pressure = directory.pressure(name);
        pressure.nodes > 0
            && pressure.cache() < parts.degrade.cache_high
            && parts.degrading.level(name) < 3
            && parts.shared.waiting.jam(name).requests == 0
    };
    directory.card(parts.degrade.lighter.get(model)?.iter().find(has_room)?)
}

/// A kept answer; if there is none, the one that comes is to be kept.
fn kept(parts: &Parts, task: &Task, card: &Card, asked: &Asked, slot: &Slot) -> Option<Found> {
    let key = question(task, card, asked.seeded).filter(|_| !asked.fresh)?;
    let found = parts.answering.get(&key, asked.bend.reaches(4));
    if found.is_none() && !asked.bend.reaches(1) && !asked.bend.reaches(2) {
        // What is answered under overload is not worth keeping.
        slot.lock().question = Some(key);
    }
    let outcome = if found.is_some() { "hit" } else { "miss" };
    metrics::counter!("troupe_answer_cache_total", "outcome" => outcome).increment(1);
    found
}

/// Says a kept answer. It costs nothing.
pub(super) async fn replay(found: Found, task: Task, route: Option<Route>, answers: Answers, limit: Duration) -> Usage {
    let mut degraded = task.degraded;
    if found.stale {
        degraded.push("4:stale-answer".to_owned());
    }
    let answer = found.answer;
    let prompt = answer.usage.prompt;
    let usage = Usage { cached: prompt, cost: Nanos::ZERO, ..answer.usage };
    let started = Started {
        request: task.request,
        cached: prompt,
        predicted: Tokens::ZERO,
        granted: Tokens::ZERO,
        degraded,
        replayed: true,
        route,
        ..answer.started.clone()
    };
    answers.replay(started, &answer.pieces, usage, limit).await;
    usage
}

/// Waits behind those that wait already.
///
/// # Errors
/// It is turned away, or, with none, the client is gone.
async fn wait(parts: &Parts, task: &Task, answers: &Answers, waits: bool) -> Result<Option<Turn>, Option<JobError>> {
    let waiting = &parts.shared.waiting;
    if waiting.jam(&task.model).requests == 0 {
        return Ok(None);
    }
    let entry = Entry {
        model: task.model.clone(),
        class: task.class,
        tenant: task.tenant.clone(),
        tokens: Tokens::of(task.prompt.len()),
        begun: false,
        again: task.again,
        waited: Duration::ZERO,
        left: parts.shared.settings.timeout,
        retry_after: None,
    };
    if !waits {
        return Err(Some(waiting.refuse(entry).into()));
    }
    tokio::select! {
        biased;
        () = answers.closed() => Err(None),
        turn = waiting.turn(entry) => match turn {
            // From here on its actor asks nodes, and goes back to its place if it must.
            Ok(turn) => Ok(Some(turn)),
            Err(away) => Err(Some(away.into())),
        },
    }
}

fn tell(task: &Task, level: u8) {
    if !task.degraded.is_empty() {
        tracing::info!(
            request = %task.request,
            model = task.model,
            level,
            degraded = task.degraded.join(","),
            "overload has changed a request"
        );
    }
}
