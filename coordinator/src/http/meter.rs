//! Counts requests and their time, by route and status: never by id or key, so that the series stay few.

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use tokio::time::Instant;

const REQUESTS: &str = "troupe_http_requests_total";
const SECONDS: &str = "troupe_http_request_seconds";
/// The status of a client that left before its answer began; no standard number exists.
const GONE: u16 = 499;

/// Tells the recorder what these metrics mean. To be called once, after it is installed.
pub fn describe_metrics() {
    metrics::describe_counter!(REQUESTS, "HTTP requests by route and status (499: the client left before an answer)");
    metrics::describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "Time of HTTP requests until the last byte, by route"
    );
}

/// Records itself when it is dropped, so that requests of clients that leave are counted too.
struct Running {
    route: String,
    since: Instant,
    status: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let route = std::mem::take(&mut self.route);
        let seconds = self.since.elapsed().as_secs_f64();
        tracing::debug!(route, status = self.status, seconds, "http request");
        metrics::counter!(REQUESTS, "route" => route.clone(), "status" => self.status.to_string()).increment(1);
        metrics::histogram!(SECONDS, "route" => route).record(seconds);
    }
}

/// Measures a request; a stream until its end.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let mut running = Running { route, since: Instant::now(), status: GONE };
    let response = next.run(request).await;
    running.status = response.status().as_u16();
    if !is_stream(&response) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = body.into_data_stream().map(move |piece| {
        // The stream owns the measurement: it ends when the stream does.
        let _ = &running;
        piece
    });
    Response::from_parts(parts, Body::from_stream(body))
}

fn is_stream(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
