//! A request's way from the door to its actor: kept answers, the ladder, the queue.
//!
//! Rules: a kept answer to the request as it came is better than a degraded one, so it is looked for first.
//! Nobody overtakes those that wait for a model's nodes. A request that forbids a rung is treated as if the
//! rung were not there; one that does not want to wait is refused at once where others wait.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actors::cluster::answering::Keeping;
use actors::cluster::job::{Answers, Task, run};
use actors::cluster::waiting::{Entry, Turn};
use policy::answers::{Found, Key};
use protocol::answer::{Answer, JobError, Started};
use protocol::engine::Card;
use protocol::request::Request;
use protocol::units::Tokens;

use super::{Parts, ready};
use crate::pipeline::{Bend, Origin, question};
use crate::service::Tap;

/// Where the question stands to which the answer is to be kept, once that is known.
pub(super) type Slot = Arc<OnceLock<Key>>;

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

/// Serves a request to its end.
pub(super) async fn serve(
    parts: Arc<Parts>,
    request: Request,
    origin: Origin,
    card: Card,
    answers: Answers,
    slot: Slot,
) {
    let (class, level) = (request.care.class.unwrap_or_default(), parts.degrading.level(&request.model));
    let asked = Asked {
        bend: Bend::new(level, &request.care.forbid, class, &parts.degrade),
        origin,
        fresh: request.care.fresh,
        seeded: request.params.seed.is_some(),
    };
    let waits = level < 5 || asked.bend.reaches(5);
    let mut task = match next(&parts, request, asked, card, &slot).await {
        Ok(Next::Run(task)) => *task,
        Ok(Next::Replay(found, task)) => {
            return replay(found, *task, answers, parts.shared.settings.client_stall).await;
        }
        Err(error) => return answers.fail(error),
    };
    tell(&task, level);
    let model = task.model.clone();
    match wait(&parts, &task, &answers, waits).await {
        Ok(turn) => task.turn = turn,
        Err(Some(error)) => return answers.fail(error),
        Err(None) => return answers.leave(),
    }
    run(task, answers, parts.shared.clone()).await;
    parts.shared.waiting.room(&model, 1);
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
        let _ = slot.set(key);
    }
    let outcome = if found.is_some() { "hit" } else { "miss" };
    metrics::counter!("troupe_answer_cache_total", "outcome" => outcome).increment(1);
    found
}

async fn replay(found: Found, task: Task, answers: Answers, limit: Duration) {
    let answer = found.answer;
    let mut degraded = task.degraded;
    if found.stale {
        degraded.push("4:stale-answer".to_owned());
    }
    let prompt = answer.usage.prompt;
    let mut usage = answer.usage;
    usage.cached = prompt;
    let started = Started {
        request: task.request,
        cached: prompt,
        predicted: Tokens::ZERO,
        granted: Tokens::ZERO,
        degraded,
        replayed: true,
        ..answer.started.clone()
    };
    answers.replay(started, &answer.pieces, usage, limit).await;
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

/// Hears an answer on its way out: keeps it, and counts how it ends.
pub(super) fn tap(parts: Arc<Parts>, model: String, slot: Slot) -> Tap {
    let mut keeping: Option<Keeping> = None;
    Box::new(move |piece| {
        match piece {
            Answer::Started(started) => {
                keeping = slot.get().map(|key| parts.answering.keep(*key));
                if !started.replayed {
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
