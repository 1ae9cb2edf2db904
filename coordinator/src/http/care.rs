//! How a request wants to be treated: the headers `x-troupe-*`, and `cache-control`.
//!
//! | header | meaning |
//! |---|---|
//! | `x-troupe-session` | a conversation's name: its requests go to one node, as far as that is wise |
//! | `x-troupe-class` | `interactive`, `standard` or `bulk` |
//! | `x-troupe-no-degrade` | rungs that must not touch it, as `2,3`, or `all` |
//! | `x-stainless-retry-count` | above 0: it was refused before, and comes when it was told to |
//! | `x-troupe-cache: no`, `cache-control: no-store` | answer afresh, and keep the answer out of the cache |

use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use protocol::job::Class;
use protocol::request::{Care, MAX_SESSION_BYTES};

use super::openai::error::ApiError;

const SESSION: &str = "x-troupe-session";
const CLASS: &str = "x-troupe-class";
const FORBID: &str = "x-troupe-no-degrade";
const CACHE: &str = "x-troupe-cache";
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
    Ok(Care { session: session.map(str::to_owned), class, forbid, fresh, again, ..Care::default() })
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let plain = value.to_str().map_err(|_| ApiError::invalid(name, format!("{name} is not plain text")))?;
    Ok(Some(plain.trim()))
}

fn class(text: &str) -> Result<Class, ApiError> {
    let found = Class::ALL.into_iter().find(|class| class.as_str() == text);
    found.ok_or_else(|| ApiError::invalid(CLASS, format!("{CLASS} is '{text}': choose interactive, standard or bulk")))
}

fn rungs(text: &str) -> Result<Vec<u8>, ApiError> {
    if text == "all" {
        return Ok(RUNGS.collect());
    }
    let rung = |part: &str| part.trim().parse().ok().filter(|rung| RUNGS.contains(rung));
    let all: Option<Vec<u8>> = text.split(',').map(rung).collect();
    all.ok_or_else(|| ApiError::invalid(FORBID, format!("{FORBID} is '{text}': list rungs from 1 to 5, or write all")))
}

fn cache(text: &str) -> Result<bool, ApiError> {
    match text {
        "no" => Ok(true),
        "yes" => Ok(false),
        _ => Err(ApiError::invalid(CACHE, format!("{CACHE} is '{text}': write yes or no"))),
    }
}

#[cfg(test)]
mod tests;
