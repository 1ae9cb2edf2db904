//! What requests have used: a page as JSON, or all of it as JSON lines or CSV.
//!
//! Without `limit`, lines and CSV go on page after page until the last, only as fast as the client reads. If a page
//! cannot be had in the middle, the connection breaks off: a client must not take a part for the whole.

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;
use futures_util::stream;
use protocol::account::{UsageRecord, shown};
use protocol::answer::{ErrorKind, JobError};
use protocol::manage::{Manage, Managed, UsagePlace, UsageQuery};
use serde::Serialize;
use views::moment::Moment;
use views::usage::{Place, UsageView, csv, json_lines};

use super::{answer, other};
use crate::http::Door;
use crate::http::auth::Known;
use crate::http::openai::error::ApiError;
use crate::http::openai::nearest::nearest;
use crate::service::Caller;
use crate::wishes;

/// Records of a page where no number is given, and the most of one.
const PAGE: u32 = 100;
const MOST: u32 = 1000;
/// Where to go on.
const NEXT: &str = "x-troupe-next";

const NAMES: [&str; 8] = ["since", "until", "key", "model", "tag", "limit", "after", "format"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Lines,
    Csv,
}

/// What is wanted, and how.
struct Wanted {
    query: UsageQuery,
    /// No number was given.
    all: bool,
    format: Format,
}

/// A page.
#[derive(Serialize)]
struct PageView<'r> {
    object: &'static str,
    data: Vec<UsageView<'r>>,
    has_more: bool,
    next: Option<String>,
}

/// The handler.
pub(super) async fn list(
    State(door): State<Door>,
    Known(caller): Known,
    pairs: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(pairs) = pairs.map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("the query in the URL cannot be read: {error}"))
    })?;
    let Wanted { query, all, format } = wanted(pairs)?;
    let (records, next) = page(&door, &caller, query.clone()).await?;
    if format == Format::Json {
        let next = next.map(|place| Place(place).to_string());
        let data = records.iter().map(UsageView::from).collect();
        return Ok(answer(&PageView { object: "list", data, has_more: next.is_some(), next }));
    }
    let first = text(format, &records, true)?;
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"usage.csv\""),
        _ => ("application/jsonl; charset=utf-8", "attachment; filename=\"usage.jsonl\""),
    };
    let mut response = if all {
        let rest = Rest { door, caller, query, format, next };
        let pages = stream::unfold(Some(rest), |rest| async {
            let (piece, rest) = rest?.next().await?;
            Some((piece, rest))
        });
        let first = stream::once(std::future::ready(Ok(first)));
        Response::new(Body::from_stream(futures_util::StreamExt::chain(first, pages)))
    } else {
        let mut response = Response::new(Body::from(first));
        if let Some(place) = next
            && let Ok(value) = HeaderValue::try_from(Place(place).to_string())
        {
            response.headers_mut().insert(NEXT, value);
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(name));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The pages after the first.
struct Rest {
    door: Door,
    caller: Caller,
    query: UsageQuery,
    format: Format,
    next: Option<UsagePlace>,
}

impl Rest {
    /// The next page, and what is left after it. None after the last.
    async fn next(mut self) -> Option<(Result<Bytes, JobError>, Option<Self>)> {
        let place = self.next?;
        self.query.after = Some(place);
        let page = async {
            let (records, next) = page(&self.door, &self.caller, self.query.clone()).await?;
            if next.is_some_and(|next| next <= place) {
                return Err(JobError::new(ErrorKind::Internal, "usage does not go on after a page").into());
            }
            Ok((text(self.format, &records, false)?, next))
        };
        match page.await {
            Ok((text, next)) => {
                self.next = next;
                Some((Ok(text), Some(self)))
            }
            Err(error) => {
                let error: ApiError = error;
                tracing::warn!(%error, "an export of usage breaks off");
                Some((Err(JobError::new(ErrorKind::Internal, error.to_string())), None))
            }
        }
    }
}

async fn page(
    door: &Door,
    caller: &Caller,
    query: UsageQuery,
) -> Result<(Vec<UsageRecord>, Option<UsagePlace>), ApiError> {
    let wish = Manage::Usage(query);
    wishes::check(&wish)?;
    match door.service.manage(caller, wish).await? {
        Managed::Usage { records, next } => Ok((records, next)),
        said => Err(other(&said)),
    }
}

fn text(format: Format, records: &[UsageRecord], head: bool) -> Result<Bytes, ApiError> {
    let text = if format == Format::Csv { csv(records, head) } else { json_lines(records) };
    text.map(Bytes::from)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("usage cannot be written: {error}")))
}

fn wanted(pairs: Vec<(String, String)>) -> Result<Wanted, ApiError> {
    let mut query = UsageQuery::default();
    let (mut limit, mut format) = (None, Format::Json);
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in pairs {
        let bad = |problem: String| ApiError::invalid(name.clone(), format!("{name} {problem}"));
        if seen.contains(&name) {
            return Err(bad("is given twice: give it once".to_owned()));
        }
        let moment = |value: &str| value.parse::<Moment>().map(|moment| Some(moment.0));
        match name.as_str() {
            "since" => query.since = moment(&value).map_err(|error| bad(format!("is wrong: {error}")))?,
            "until" => query.until = moment(&value).map_err(|error| bad(format!("is wrong: {error}")))?,
            "key" => query.key = Some(value),
            "model" => query.model = Some(value),
            "tag" => query.tag = Some(value),
            "after" => {
                let place: Place = value.parse().map_err(|error| bad(format!("is wrong: {error}")))?;
                query.after = Some(place.0);
            }
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=MOST).contains(number));
                let wrong = || bad(format!("is {}: choose a number from 1 to {MOST}", shown(&value)));
                limit = Some(number.ok_or_else(wrong)?);
            }
            "format" => {
                format = match value.as_str() {
                    "json" => Format::Json,
                    "jsonl" => Format::Lines,
                    "csv" => Format::Csv,
                    _ => return Err(bad(format!("is {}: choose json, jsonl or csv", shown(&value)))),
                };
            }
            _ => {
                let remedy = nearest(&name, NAMES.into_iter()).map_or_else(
                    || format!("there are {}", NAMES.join(", ")),
                    |near| format!("did you mean '{near}'?"),
                );
                let message = format!("the query has {}, which is not known: {remedy}", shown(&name));
                return Err(ApiError::new(StatusCode::BAD_REQUEST, message).param(name).code("unknown_parameter"));
            }
        }
        seen.push(name);
    }
    let all = limit.is_none();
    query.limit = limit.unwrap_or(if format == Format::Json { PAGE } else { MOST });
    Ok(Wanted { query, all, format })
}
