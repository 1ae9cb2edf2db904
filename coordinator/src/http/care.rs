//! How a request wants to be treated: the headers `x-troupe-*`, and `cache-control`.
//!
//! | header | meaning |
//! |---|---|
//! | `x-troupe-session` | a conversation's name: its requests go to one node, as far as that is wise |
//! | `x-troupe-class` | `interactive`, `standard` or `bulk` |
//! | `x-troupe-no-degrade` | rungs that must not touch it, as `2,3`, or `all` |
//! | `x-stainless-retry-count` | above 0: it was refused before, and comes when it was told to |
//! | `x-troupe-tags` | labels for budgets and reports, as `a,b`; beside those of the key |
//! | `x-troupe-deadline` | when the answer should be complete, as `5s`: what `auto` chooses by |
//! | `idempotency-key` | the same key means the same request: it is not billed again |
//! | `x-troupe-cache: no`, `cache-control: no-store` | answer afresh, and keep the answer out of the cache |

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use protocol::account::{looks_secret, shown};
use protocol::job::Class;
use protocol::request::{Care, MAX_SESSION_BYTES, MAX_TAG_BYTES, MAX_TAGS};
use protocol::units::Span;

use super::openai::error::ApiError;

const SESSION: &str = "x-troupe-session";
const CLASS: &str = "x-troupe-class";
const FORBID: &str = "x-troupe-no-degrade";
const CACHE: &str = "x-troupe-cache";
const TAGS: &str = "x-troupe-tags";
const DEADLINE: &str = "x-troupe-deadline";
/// As others name it, and OpenAI's clients send it.
const IDEMPOTENCY: &str = "idempotency-key";
/// OpenAI's clients count in it how often they were refused.
const RETRIES: &str = "x-stainless-retry-count";
const RUNGS: std::ops::RangeInclusive<u8> = 1..=5;

/// What the headers ask for.
pub(super) fn of(headers: &HeaderMap) -> Result<Care, ApiError> {
    let session = text(headers, SESSION)?;
    if let Some(session) = session.filter(|session| session.is_empty() || session.len() > MAX_SESSION_BYTES) {
        let message = format!("{SESSION} has {} bytes: give 1 to {MAX_SESSION_BYTES}", session.len());
        return Err(ApiError::invalid(SESSION, message));
    }
    let no_store = headers.get_all(CACHE_CONTROL).iter().any(|value| value.as_bytes() == b"no-store");
    let class = text(headers, CLASS)?.map(class).transpose()?;
    let forbid = text(headers, FORBID)?.map(rungs).transpose()?.unwrap_or_default();
    let fresh = no_store || text(headers, CACHE)?.map(cache).transpose()?.unwrap_or(false);
    let again = text(headers, RETRIES)?.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0);
    let (tags, idempotency) = (tags(headers)?, text(headers, IDEMPOTENCY)?.map(idempotency).transpose()?);
    let deadline = text(headers, DEADLINE)?.map(deadline).transpose()?;
    let session = session.map(str::to_owned);
    Ok(Care { session, class, forbid, fresh, again, tags, idempotency, deadline, ..Care::default() })
}

fn deadline(text: &str) -> Result<Duration, ApiError> {
    let span = text.parse::<Span>().ok().filter(|span| !span.0.is_zero());
    let wrong =
        || ApiError::invalid(DEADLINE, format!("{DEADLINE} is {}: write a time such as 5s or 500ms", shown(text)));
    span.map(|span| span.0).ok_or_else(wrong)
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let plain = value.to_str().map_err(|_| ApiError::invalid(name, format!("{name} is not plain text")))?;
    Ok(Some(plain.trim()))
}

fn class(text: &str) -> Result<Class, ApiError> {
    let found = Class::ALL.into_iter().find(|class| class.as_str() == text);
    found.ok_or_else(|| {
        ApiError::invalid(CLASS, format!("{CLASS} is {}: choose interactive, standard or bulk", shown(text)))
    })
}

fn rungs(text: &str) -> Result<Vec<u8>, ApiError> {
    if text == "all" {
        return Ok(RUNGS.collect());
    }
    let rung = |part: &str| part.trim().parse().ok().filter(|rung| RUNGS.contains(rung));
    let all: Option<Vec<u8>> = text.split(',').map(rung).collect();
    all.ok_or_else(|| {
        ApiError::invalid(FORBID, format!("{FORBID} is {}: list rungs from 1 to 5, or write all", shown(text)))
    })
}

fn cache(text: &str) -> Result<bool, ApiError> {
    match text {
        "no" => Ok(true),
        "yes" => Ok(false),
        _ => Err(ApiError::invalid(CACHE, format!("{CACHE} is {}: write yes or no", shown(text)))),
    }
}

/// All labels of all such headers; one that is there twice counts once.
fn tags(headers: &HeaderMap) -> Result<Vec<String>, ApiError> {
    let bad = |problem: String| ApiError::invalid(TAGS, format!("{TAGS} {problem}"));
    let mut tags: Vec<String> = Vec::new();
    for value in headers.get_all(TAGS) {
        let plain = value.to_str().map_err(|_| bad("is not plain text: write tags as a,b".to_owned()))?;
        for tag in plain.split(',').map(str::trim) {
            if tag.is_empty() {
                return Err(bad("has an empty tag: write tags as a,b, or leave the header out".to_owned()));
            }
            if tag.len() > MAX_TAG_BYTES {
                return Err(bad(format!("has a tag of {} bytes: give at most {MAX_TAG_BYTES}", tag.len())));
            }
            if looks_secret(tag) {
                return Err(bad(
                    "has a tag that looks like a secret, and tags stand in reports: give a name".to_owned()
                ));
            }
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
            if tags.len() > MAX_TAGS {
                return Err(bad(format!("has more than {MAX_TAGS} tags: give at most that many")));
            }
        }
    }
    Ok(tags)
}

fn idempotency(text: &str) -> Result<String, ApiError> {
    if text.is_empty() || text.len() > MAX_TAG_BYTES {
        let message = format!("{IDEMPOTENCY} has {} bytes: give 1 to {MAX_TAG_BYTES}", text.len());
        return Err(ApiError::invalid(IDEMPOTENCY, message));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
