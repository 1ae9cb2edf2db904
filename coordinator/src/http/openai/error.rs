//! OpenAI's error shape, and the status of every failure.
//!
//! | what | status | `type` | `code` |
//! |---|---|---|---|
//! | wrong request | 400 | `invalid_request_error` | what is wrong, such as `unknown_parameter`, or null |
//! | too long | 400 | `invalid_request_error` | `context_length_exceeded` |
//! | forbidden content | 400 | `invalid_request_error` | `content_policy_violation` |
//! | no or wrong key | 401 | `invalid_request_error` | `invalid_api_key` |
//! | the key may not | 403 | `invalid_request_error` | `permission_denied` |
//! | unknown model | 404 | `invalid_request_error` | `model_not_found` |
//! | a limit of the key's | 429 | `requests`, `tokens`, or `rate_limit_error` | `rate_limit_exceeded` |
//! | a budget is spent | 429 | `insufficient_quota` | `insufficient_quota` |
//! | too much is asked for, by all | 429 | `rate_limit_error` | `overloaded` |
//! | the cluster's fault | 500 | `server_error` | `internal_error` |
//! | node lost | 502 | `server_error` | `node_lost` |
//! | provider failed | 502 | `server_error` | `provider_failed` |
//! | full, or no node | 503 | `server_error` | `overloaded`, `no_node` |
//! | too slow | 504 | `server_error` | `timeout` |
//!
//! 429 and 503 carry `Retry-After` (and `retry-after-ms`, which OpenAI's clients prefer). A spent budget does so only
//! if it begins anew, and says `x-should-retry: false`: OpenAI's clients would ask again at once otherwise.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::answer::{ErrorKind, JobError};
use serde::Serialize;

/// Errors quote what the client sent, but not megabytes of it.
const MESSAGE_CHARS: usize = 600;
const PARAM_CHARS: usize = 200;
/// The word for a spent budget.
const OVER_BUDGET: &str = "insufficient_quota";
/// When nobody says when to try again.
const RETRY: Duration = Duration::from_secs(1);

/// An error as the client sees it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status}: {message}")]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
    /// Where the status does not say it.
    kind: Option<&'static str>,
    retry_after: Option<Duration>,
}

/// The body of an error response, and the last event of a broken stream.
#[derive(Serialize)]
pub(crate) struct ErrorBody<'a> {
    error: ErrorText<'a>,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

impl ApiError {
    /// An error with this status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let message = clip(message.into(), MESSAGE_CHARS);
        Self { status, message, param: None, code: None, kind: None, retry_after: None }
    }

    /// A wrong value of a field.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message).param(param).code("invalid_value")
    }

    /// A field that is not there.
    pub(crate) fn missing(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message).param(param).code("missing_required_parameter")
    }

    /// A field, or a value of it, that OpenAI knows and this server does not.
    pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message).param(param).code("unsupported_parameter")
    }

    /// The door is closing.
    pub(crate) fn closing() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the coordinator is shutting down: try again soon, or another one")
            .code("shutting_down")
            .retry_after(RETRY)
    }

    /// Names the field.
    #[must_use]
    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(clip(param.into(), PARAM_CHARS));
        self
    }

    /// The word a program looks at.
    #[must_use]
    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// From a failure of the service; a context that is too short is blamed on `prompt`, the route's
    /// name for it, and fields get the names this route's client used.
    pub(crate) fn from_job(error: JobError, prompt: &str) -> Self {
        let is_context = error.kind == ErrorKind::ContextLength;
        let api = Self::from(error);
        if is_context && api.param.is_none() { api.param(prompt) } else { api }
    }

    /// The body.
    pub(crate) fn body(&self) -> ErrorBody<'_> {
        let kind = self.kind.unwrap_or(match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        });
        ErrorBody {
            error: ErrorText { message: &self.message, r#type: kind, param: self.param.as_deref(), code: self.code },
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let (status, code) = match error.kind {
            ErrorKind::Invalid => (StatusCode::BAD_REQUEST, None),
            ErrorKind::ContextLength => (StatusCode::BAD_REQUEST, Some("context_length_exceeded")),
            ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, Some("invalid_api_key")),
            ErrorKind::UnknownModel => (StatusCode::NOT_FOUND, Some("model_not_found")),
            // A limit that is named is one of the client's own.
            ErrorKind::Overloaded if error.field.is_some() => {
                (StatusCode::TOO_MANY_REQUESTS, Some("rate_limit_exceeded"))
            }
            ErrorKind::Busy => (StatusCode::TOO_MANY_REQUESTS, Some("overloaded")),
            ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Some("rate_limit_exceeded")),
            ErrorKind::OverBudget => (StatusCode::TOO_MANY_REQUESTS, Some(OVER_BUDGET)),
            ErrorKind::Forbidden => (StatusCode::FORBIDDEN, Some("permission_denied")),
            ErrorKind::ContentPolicy => (StatusCode::BAD_REQUEST, Some("content_policy_violation")),
            ErrorKind::ProviderFailed => (StatusCode::BAD_GATEWAY, Some("provider_failed")),
            ErrorKind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, Some("overloaded")),
            ErrorKind::NoNode => (StatusCode::SERVICE_UNAVAILABLE, Some("no_node")),
            ErrorKind::NodeLost => (StatusCode::BAD_GATEWAY, Some("node_lost")),
            ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, Some("timeout")),
            ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Some("internal_error")),
        };
        let mut api = Self::new(status, error.message);
        api.code = code;
        api.kind = match (error.kind, error.field.as_deref()) {
            (ErrorKind::OverBudget, _) => Some(OVER_BUDGET),
            // OpenAI says which of the two it is.
            (ErrorKind::RateLimited, Some("requests_per_minute")) => Some("requests"),
            (ErrorKind::RateLimited, Some("tokens_per_minute")) => Some("tokens"),
            _ => None,
        };
        if let Some(field) = error.field {
            api = api.param(field);
        } else if error.kind == ErrorKind::UnknownModel {
            api = api.param("model");
        }
        let wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            && error.kind != ErrorKind::OverBudget;
        api.retry_after = error.retry_after.or(wait.then_some(RETRY));
        api
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(CONTENT_TYPE, "application/json")], to_json(&self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Whole seconds, and never too soon.
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            headers.insert(HeaderName::from_static("retry-after-ms"), HeaderValue::from(millis));
        }
        if self.kind == Some(OVER_BUDGET) {
            headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// JSON of one of our own types. They all have text keys and plain fields, so it cannot fail; if it did,
/// the client would see an empty body, never a wrong one.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a response is not JSON");
        String::new()
    })
}

fn clip(mut text: String, chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
        text.push('…');
    }
    text
}
