//! Request bodies: read up to a limit in bytes and time, or refused.
//!
//! A client that still writes when its connection closes may lose the refusal. So a refusal goes out at
//! once, and what the client still sends is thrown away for a while before the response ends.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use protocol::units::{ByteSize, Span};

use super::openai::error::{ApiError, to_json};

/// How long, and how much, a refused client may go on sending.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_BYTES: ByteSize = ByteSize(256 << 20);

/// The whole body of a request that says it is JSON, or the refusal.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: ByteSize, time: Span) -> Result<Bytes, Response> {
    let mut body = body.into_data_stream();
    if let Err(error) = check_head(headers, limit) {
        return Err(refuse(error, body));
    }
    let limit_bytes = usize::try_from(limit.0).unwrap_or(usize::MAX);
    let collect = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::new(StatusCode::BAD_REQUEST, format!("the request's body broke off: {error}"))
            })?;
            if bytes.len().saturating_add(chunk.len()) > limit_bytes {
                return Err(too_large(None, limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    let late = || {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, format!("the request's body did not arrive within {time}"))
            .code("request_timeout")
    };
    match tokio::time::timeout(time.0, collect).await.unwrap_or_else(|_| Err(late())) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(refuse(error, body)),
    }
}

fn check_head(headers: &HeaderMap, limit: ByteSize) -> Result<(), ApiError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if let Some(length) = length
        && length > limit.0
    {
        return Err(too_large(Some(length), limit));
    }
    match headers.get(CONTENT_TYPE) {
        Some(kind) if !is_json(kind.to_str().unwrap_or_default()) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the content type is {kind:?}: send JSON with 'Content-Type: application/json'"),
        )
        .code("unsupported_media_type")),
        _ => Ok(()),
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn too_large(length: Option<u64>, limit: ByteSize) -> ApiError {
    let size = length.map_or_else(|| "more".to_owned(), |length| format!("{length} bytes"));
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the request's body has {size}, the limit is {limit}: send less, or raise the limit in cluster.toml"),
    )
    .code("request_too_large")
}

/// The error as a response that listens to the rest of the request without keeping it.
pub(super) fn refuse(error: ApiError, rest: BodyDataStream) -> Response {
    let (mut parts, _) = error.clone().into_response().into_parts();
    // With a length the response would be over before the rest is read.
    parts.headers.remove(CONTENT_LENGTH);
    let words = stream::once(std::future::ready(Ok::<_, axum::Error>(Bytes::from(to_json(&error.body())))));
    let silence = stream::once(discard(rest)).filter_map(|()| std::future::ready(None));
    Response::from_parts(parts, Body::from_stream(words.chain(silence)))
}

async fn discard(mut rest: BodyDataStream) {
    let reading = async {
        let mut left = LINGER_BYTES.0;
        while let Some(Ok(chunk)) = rest.next().await {
            match left.checked_sub(chunk.len() as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever is not done by now sees the connection close.
    let _ = tokio::time::timeout(LINGER, reading).await;
}
