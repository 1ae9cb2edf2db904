//! A client of the coordinator's HTTP: connections are kept alive and used again.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::BenchError;

const CHATS: &str = "/v1/chat/completions";

/// Speaks to one coordinator. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    address: Arc<str>,
    bearer: Arc<str>,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

/// An answer, and when its parts came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// What was said.
    pub(crate) text: String,
    /// Prompt tokens that the node had cached.
    pub(crate) cached: u64,
    /// Who answered.
    pub(crate) node: String,
    /// What was done to the request under load.
    pub(crate) degraded: bool,
    /// Until the first words; of a whole answer, until its head.
    pub(crate) first: Duration,
    /// Until the end.
    pub(crate) whole: Duration,
}

impl Http {
    pub(crate) fn new(address: &str, key: &str) -> Self {
        Self { address: address.into(), bearer: format!("Bearer {key}").into(), idle: Arc::default() }
    }

    /// Asks a chat; `body` is its JSON.
    ///
    /// # Errors
    /// Any status but 200, or a connection that fails.
    pub(crate) async fn chat(&self, body: &Value, streams: bool) -> Result<Answer, BenchError> {
        let request = self.request(Method::POST, CHATS)?.body(Full::from(body.to_string()))?;
        let mut connection = self.connection().await?;
        let begun = Instant::now();
        let response = connection.send_request(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut answer = Answer {
            cached: header(&headers, "x-troupe-cached-tokens").and_then(|text| text.parse().ok()).unwrap_or_default(),
            node: header(&headers, "x-troupe-node").unwrap_or_default().to_owned(),
            degraded: headers.contains_key("x-troupe-degraded"),
            first: begun.elapsed(),
            ..Answer::default()
        };
        if streams && status.is_success() {
            answer.listen(response, begun).await?;
        } else {
            let body = response.into_body().collect().await?.to_bytes();
            if !status.is_success() {
                let body = String::from_utf8_lossy(&body).into_owned();
                return Err(BenchError::Status { status: status.as_u16(), body });
            }
            let value: Value = serde_json::from_slice(&body).unwrap_or_default();
            let said = value.pointer("/choices/0/message/content").and_then(Value::as_str);
            said.ok_or(BenchError::Lacks { what: "a message" })?.clone_into(&mut answer.text);
        }
        answer.whole = begun.elapsed();
        self.idle.lock().await.push(connection);
        Ok(answer)
    }

    /// Reads a path.
    ///
    /// # Errors
    /// A connection that fails.
    pub(crate) async fn get(&self, path: &str) -> Result<String, BenchError> {
        let request = self.request(Method::GET, path)?.body(Full::default())?;
        let mut connection = self.connection().await?;
        let body = connection.send_request(request).await?.into_body().collect().await?.to_bytes();
        self.idle.lock().await.push(connection);
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// The sum of a metric over all its labels.
    ///
    /// # Errors
    /// A connection that fails, or a metric that is not there.
    pub(crate) async fn metric(&self, name: &'static str) -> Result<f64, BenchError> {
        sum(&self.get("/metrics").await?, name).ok_or(BenchError::Metric(name))
    }

    fn request(&self, method: Method, path: &str) -> Result<hyper::http::request::Builder, BenchError> {
        let builder = Request::builder().method(method).uri(path).header(HOST, &*self.address);
        Ok(builder.header(AUTHORIZATION, &*self.bearer).header(CONTENT_TYPE, "application/json"))
    }

    /// One that is idle, or a new one.
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, BenchError> {
        loop {
            let Some(mut idle) = self.idle.lock().await.pop() else { break };
            if idle.ready().await.is_ok() {
                return Ok(idle);
            }
        }
        let reach = |source| BenchError::Reach { address: self.address.to_string(), source };
        let socket = TcpStream::connect(&*self.address).await.map_err(reach)?;
        socket.set_nodelay(true).map_err(reach)?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await?;
        // Its errors reach whoever waits for an answer.
        tokio::spawn(async { drop(connection.await) });
        Ok(sender)
    }
}

impl Answer {
    /// Reads server-sent events to their end.
    async fn listen(&mut self, response: Response<Incoming>, begun: Instant) -> Result<(), BenchError> {
        let mut body = response.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = rest.drain(..end + 2).collect();
                self.hear(&event, begun)?;
            }
        }
        if self.text.is_empty() { Err(BenchError::Lacks { what: "text" }) } else { Ok(()) }
    }

    fn hear(&mut self, event: &[u8], begun: Instant) -> Result<(), BenchError> {
        let Some(data) = event.strip_prefix(b"data: ") else { return Ok(()) };
        let value: Value = serde_json::from_slice(data).unwrap_or_default();
        if value.get("error").is_some() {
            return Err(BenchError::Status { status: 200, body: value.to_string() });
        }
        let Some(text) = value.pointer("/choices/0/delta/content").and_then(Value::as_str) else { return Ok(()) };
        if self.text.is_empty() && !text.is_empty() {
            self.first = begun.elapsed();
        }
        self.text.push_str(text);
        Ok(())
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The sum of a metric's lines in Prometheus' text.
fn sum(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE blocks gauge\nblocks{model=\"a\"} 12\nblocks{model=\"b c\"} 30\nblocks_total 5\n";
        assert_eq!(sum(text, "blocks"), Some(42.0));
        assert_eq!(sum(text, "blocks_total"), Some(5.0));
        assert_eq!(sum(text, "bloc"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_words_count_and_not_the_first_event() {
        let mut answer = Answer::default();
        let begun = Instant::now();
        answer.hear(b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n", begun).unwrap();
        tokio::time::advance(Duration::from_millis(7)).await;
        for _ in 0..2 {
            answer.hear(b"data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}\n\n", begun).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        answer.hear(b"data: [DONE]\n\n", begun).unwrap();
        assert_eq!((answer.text.as_str(), answer.first), ("abab", Duration::from_millis(7)));
        assert!(answer.hear(b"data: {\"error\":{\"message\":\"no\"}}\n\n", begun).is_err());
    }
}
