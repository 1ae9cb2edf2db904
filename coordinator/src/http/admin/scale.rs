//! How many nodes a model needs, and what was asked of it lately as a trace.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::account::shown;
use protocol::manage::{Manage, Managed, ScaleQuery};
use protocol::units::{Percent, Percentile, Span};
use views::scale::AdviceView;

use super::{answer, other, wish};
use crate::http::Door;
use crate::http::auth::Known;
use crate::http::openai::error::ApiError;
use crate::http::openai::nearest::nearest;

const NAMES: [&str; 7] = ["model", "ttft", "latency", "inter_token", "percentile", "headroom", "max_nodes"];
/// The most nodes that are weighed where nothing is said.
const MOST: u32 = 64;
/// Tokens in a block of the trace: whoever reads it must know.
const BLOCK: &str = "x-troupe-trace-block";

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// How many nodes would meet a target.
pub(super) async fn advise(State(door): State<Door>, Known(caller): Known, pairs: Pairs) -> Result<Response, ApiError> {
    let mut query = ScaleQuery { most: MOST, ..ScaleQuery::default() };
    for (name, value) in read(pairs, &NAMES)? {
        let bad = |problem: String| ApiError::invalid(name.clone(), format!("{name} {problem}"));
        let time = |value: &str| {
            value.parse::<Span>().map(|span| Some(span.0)).map_err(|error| bad(format!("is wrong: {error}")))
        };
        match name.as_str() {
            "model" => query.model = Some(value),
            "ttft" => query.ttft = time(&value)?,
            "latency" => query.latency = time(&value)?,
            "inter_token" => query.inter_token = time(&value)?,
            "percentile" => {
                query.percentile = value.parse::<Percentile>().map_err(|error| bad(format!("is wrong: {error}")))?;
            }
            "headroom" => {
                query.headroom = value.parse::<Percent>().map_err(|error| bad(format!("is wrong: {error}")))?;
            }
            _ => {
                let number = value.parse().map_err(|_| bad(format!("is {}: give a whole number", shown(&value))));
                query.most = number?;
            }
        }
    }
    match wish(&door, &caller, Manage::Scale(query)).await? {
        Managed::Scale(advice) => Ok(answer(&AdviceView::from(&*advice))),
        said => Err(other(&said)),
    }
}

/// What was asked lately.
pub(super) async fn trace(State(door): State<Door>, Known(caller): Known, pairs: Pairs) -> Result<Response, ApiError> {
    let model = read(pairs, &["model"])?.pop().map(|(_, model)| model);
    match wish(&door, &caller, Manage::ScaleTrace { model }).await? {
        Managed::ScaleTrace { block, lines, .. } => {
            let mut response = lines.into_response();
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl; charset=utf-8"));
            headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"trace.jsonl\""));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(BLOCK, HeaderValue::from(block.0));
            Ok(response)
        }
        said => Err(other(&said)),
    }
}

/// The query's pairs: each name is known and stands once.
fn read(pairs: Pairs, names: &[&'static str]) -> Result<Vec<(String, String)>, ApiError> {
    let Query(pairs) = pairs.map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("the query in the URL cannot be read: {error}"))
    })?;
    for (at, (name, _)) in pairs.iter().enumerate() {
        if !names.contains(&name.as_str()) {
            let remedy = nearest(name, names.iter().copied())
                .map_or_else(|| format!("there are {}", names.join(", ")), |near| format!("did you mean '{near}'?"));
            let message = format!("the query has {}, which is not known: {remedy}", shown(name));
            return Err(ApiError::new(StatusCode::BAD_REQUEST, message).param(name).code("unknown_parameter"));
        }
        if pairs.iter().take(at).any(|(other, _)| other == name) {
            return Err(ApiError::invalid(name, format!("{name} is given twice: give it once")));
        }
    }
    Ok(pairs)
}
