//! A server that speaks the three APIs by script, for tests: real sockets, answers that are known beforehand, and
//! every way to fail.
//!
//! Rules: it counts what it wrote, so that bills can be compared, and notices who leaves. A script is used up by one
//! request; when none is left, the standing one answers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State as Extract};
use axum::http::{HeaderMap, Response, Uri};
use futures_util::stream;
use protocol::config;
use protocol::config::{ProviderKind, ProviderModels};
use protocol::units::Tokens;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod published;
mod render;
mod reply;

pub use published::Specification;
pub use reply::{Beat, Reply, Say};

use render::Render;

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    state: Shared,
    server: JoinHandle<()>,
}

type Shared = Arc<watch::Sender<State>>;

/// What has happened so far, and what is to come.
#[derive(Clone, Debug, Default)]
pub struct State {
    script: VecDeque<Reply>,
    standing: Reply,
    /// Requests, in order.
    pub asked: Vec<Asked>,
    /// What was written.
    pub totals: Totals,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whose connection.
    pub from: SocketAddr,
    /// By its path.
    pub kind: ProviderKind,
    /// With the query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
}

/// What was written, over all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Answers that ended as their script does.
    pub finished: u64,
    /// Answers whose client left first.
    pub cancelled: u64,
    /// Answers that run.
    pub running: u64,
    /// Prompt tokens of all answers that were begun.
    pub prompt: Tokens,
    /// Tokens that were written.
    pub completion: Tokens,
}

impl Mock {
    /// Starts it at a free port.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state: Shared = Arc::new(watch::Sender::new(State::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move {
            // It ends with this task and not before.
            let _ = axum::serve(listener, service).await;
        });
        Ok(Self { address, state, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The front of its addresses for a kind of API.
    pub fn base(&self, kind: ProviderKind) -> String {
        let version = if kind == ProviderKind::Gemini { "v1beta" } else { "v1" };
        format!("http://{}/{version}", self.address)
    }

    /// Settings of a provider that asks it, with one model, by its names in the cluster and there.
    pub fn config(&self, kind: ProviderKind, model: &str, there: &str) -> config::Provider {
        let models = ProviderModels([(model.to_owned(), there.to_owned())].into());
        config::Provider { kind, base: Some(self.base(kind)), models, ..config::Provider::default() }
    }

    /// One more script, for one request.
    pub fn push(&self, reply: Reply) {
        self.state.send_modify(|state| state.script.push_back(reply));
    }

    /// What answers when no script is left.
    pub fn always(&self, reply: Reply) {
        self.state.send_modify(|state| state.standing = reply);
    }

    /// Requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.borrow().asked.clone()
    }

    /// What was written so far.
    pub fn totals(&self) -> Totals {
        self.state.borrow().totals
    }

    /// Waits until something is so.
    pub async fn until(&self, so: impl FnMut(&State) -> bool) {
        // It fails only when the sender is gone, which is held here.
        let _ = self.state.subscribe().wait_for(so).await;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An answer that runs; dropped before its end, the client has left.
struct Running {
    state: Shared,
    ended: bool,
}

impl Running {
    fn begin(state: Shared, prompt: Tokens) -> Self {
        state.send_modify(|state| {
            state.totals.running += 1;
            state.totals.prompt += prompt;
        });
        Self { state, ended: false }
    }

    fn wrote(&self, tokens: u64) {
        self.state.send_modify(|state| state.totals.completion += Tokens(tokens));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.send_modify(|state| {
            state.totals.running -= 1;
            *(if self.ended { &mut state.totals.finished } else { &mut state.totals.cancelled }) += 1;
        });
    }
}

async fn answer(
    Extract(state): Extract<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.to_string();
    let kind = match uri.path() {
        path if path.ends_with("/messages") => ProviderKind::Anthropic,
        path if path.contains(":streamGenerateContent") => ProviderKind::Gemini,
        _ => ProviderKind::OpenAi,
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut reply = Reply::default();
    state.send_modify(|state| {
        state.asked.push(Asked { from, kind, path, headers, body: body.clone() });
        reply = state.script.pop_front().unwrap_or_else(|| state.standing.clone());
    });
    let render = Render::new(kind, &body, &reply);
    let prompt = if reply.status == 200 { render.prompt() } else { Tokens::ZERO };
    let mut running = Running::begin(state, prompt);
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(reply.status);
    let content = if reply.body.is_some() { "application/json" } else { "text/event-stream" };
    if !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        response = response.header("content-type", content);
    }
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let body = match &reply.body {
        Some(text) => {
            running.ended = true;
            Body::from(text.clone())
        }
        None => beats(render, reply.pace, running),
    };
    response.body(body).unwrap_or_default()
}

/// The events, one after the other.
fn beats(render: Render, pace: Duration, running: Running) -> Body {
    Body::from_stream(stream::unfold(Some((render, running)), move |state| async move {
        let (mut render, mut running) = state?;
        loop {
            match render.next() {
                None => {
                    running.ended = true;
                    return None;
                }
                Some(Step::Write { text, tokens }) => {
                    if tokens > 0 && !pace.is_zero() {
                        tokio::time::sleep(pace).await;
                    }
                    running.wrote(tokens);
                    return Some((Ok(Bytes::from(text)), Some((render, running))));
                }
                Some(Step::Wait(span)) => tokio::time::sleep(span).await,
                Some(Step::Silence) => std::future::pending::<()>().await,
                Some(Step::Cut) => {
                    running.ended = true;
                    // What was written before goes out first: it is while nothing more is there for a moment.
                    tokio::task::yield_now().await;
                    return Some((Err(io::Error::other("cut by script")), None));
                }
            }
        }
    }))
}

/// What the server does next.
#[derive(Clone, Debug)]
enum Step {
    Write { text: String, tokens: u64 },
    Wait(Duration),
    Silence,
    Cut,
}
