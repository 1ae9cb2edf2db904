//! Requests that are submitted twice under one idempotency key: answered twice, billed once.
//!
//! Rules: the key belongs to the API key that sent it, and to one request: the same key with another body is refused.
//! While the first runs, the second is told to come again. When it is done, its answer is said again, for nothing, as
//! long as it is kept; later it is computed again and billed, or it could be had for nothing for ever. One that failed,
//! or whose client left, is forgotten. All of it is in memory: a restart, or another coordinator, knows nothing of it.

use std::sync::{Arc, MutexGuard};

use actors::cluster::Clock;
use actors::cluster::job::Answers;
use actors::guarded::Guarded;
use policy::answers::Key;
use policy::ledger::idempotency::{Begun, Refused, Seen, Settings};
use protocol::account::Outcome;
use protocol::answer::{ErrorKind, JobError, Started, Usage};
use protocol::codec;
use protocol::ids::RequestId;
use protocol::request::Request;
use protocol::units::{Nanos, Tokens};

use super::Parts;
use super::purse::Purse;
use crate::pipeline::Origin;

/// The idempotency keys that are known.
#[derive(Debug)]
pub struct Once {
    clock: Clock,
    seen: Guarded<Seen>,
}

impl Once {
    /// None yet.
    pub fn new(config: &protocol::config::Accounts) -> Self {
        let settings = Settings { keep: config.idempotency_ttl.0, most: config.idempotency_keys as usize };
        Self { clock: Clock::start(), seen: Guarded::new(Seen::new(settings)) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }
}

/// A request's hold on its idempotency key. To drop it is to say that it came to nothing.
pub(super) struct Claim {
    parts: Arc<Parts>,
    tenant: String,
    key: String,
    request: RequestId,
    kept: Key,
    open: bool,
}

impl Claim {
    /// Under which its answer is kept.
    pub(super) fn key(&self) -> Key {
        self.kept
    }

    /// It was answered, at this cost.
    pub(super) fn finish(&mut self, cost: Nanos) {
        self.open = false;
        let once = &self.parts.once;
        once.seen().finish(once.clock.now(), (&self.tenant, &self.key), self.request, cost);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.open {
            self.parts.once.seen().abandon((&self.tenant, &self.key), self.request);
        }
    }
}

/// What is known of a request with an idempotency key; none if it has none.
///
/// # Errors
/// The key was used for something else, or too many run.
pub(super) fn claim(
    parts: &Arc<Parts>,
    origin: &Origin,
    request: &Request,
) -> Result<Option<(Claim, Begun)>, JobError> {
    let Some(key) = request.care.idempotency.clone() else { return Ok(None) };
    let body = body(request)?;
    let (tenant, now) = (origin.caller.key.clone(), parts.once.clock.now());
    let begun = parts.once.seen().begin(now, (&tenant, &key), origin.request, body).map_err(refused)?;
    let kept = blake3::Hasher::new().update(b"once").update(&origin.caller.salt).update(key.as_bytes()).finalize();
    let open = begun == Begun::First;
    let claim =
        Claim { parts: Arc::clone(parts), tenant, key, request: origin.request, kept: Key(*kept.as_bytes()), open };
    Ok(Some((claim, begun)))
}

/// Says an answer again that is still kept; gives the way back if it is not.
pub(super) async fn replay(
    parts: &Parts,
    origin: &Origin,
    purse: &mut Purse,
    key: Key,
    answers: Answers,
) -> Option<Answers> {
    let Some(found) = parts.answering.get(&key, true) else { return Some(answers) };
    let _going = match purse.admit(Tokens::ZERO) {
        Ok(going) => going,
        Err(error) => {
            answers.fail(error);
            return None;
        }
    };
    let answer = found.answer;
    let usage = Usage { cost: Nanos::ZERO, ..answer.usage };
    let started = Started { request: origin.request, replayed: true, ..answer.started.clone() };
    let bill = purse.nothing(&answer.started.model);
    answers.replay(started, &answer.pieces, usage, parts.shared.settings.client_stall).await;
    if let Some(bill) = bill {
        bill.settle(&Usage::default(), Outcome::Replayed).await;
    }
    None
}

/// What is asked, whatever the way it came.
fn body(request: &Request) -> Result<[u8; 32], JobError> {
    let mut plain = request.clone();
    plain.care.idempotency = None;
    (plain.care.again, plain.care.whole) = (false, false);
    let mut bytes = Vec::new();
    codec::encode(&plain, &mut bytes).map_err(|error| JobError::new(ErrorKind::Invalid, error.to_string()))?;
    Ok(*blake3::hash(&bytes).as_bytes())
}

fn refused(refused: Refused) -> JobError {
    let message = refused.to_string();
    match refused {
        Refused::Full(_) => JobError::new(ErrorKind::Overloaded, message),
        Refused::Key { .. } | Refused::Reused(_) => JobError::new(ErrorKind::Invalid, message).field("idempotency-key"),
    }
}
