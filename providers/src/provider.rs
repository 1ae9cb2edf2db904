//! One provider: one attempt at a time is made here, as many at once as its settings allow.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use policy::upstream::failure::FailureKind;
use policy::upstream::fallback::Target;
use policy::upstream::limits::{LimitState, May};
use policy::upstream::usage::estimate_bytes;
use protocol::config;
use protocol::config::ProviderKind;
use protocol::request::{Input, Request};
use protocol::units::{Tokens, UnixMillis};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::call::{Call, Failure};
use crate::errors::Said;
use crate::headers::{come_again, learn};
use crate::secret::Secret;
use crate::stream::{Allowed, Clock, Stream, chain};
use crate::wire::{Ask, Written};

/// The longest body of a refusal that is read.
const MAX_REFUSAL: usize = 64 << 10;
/// How long the body of a refusal may take.
const REFUSAL_TIME: Duration = Duration::from_secs(5);
/// The version of Anthropic's API.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Why a provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadProvider {
    /// A header that cannot be sent.
    #[error("providers.{provider}.headers: {header:?} or its value cannot be sent: write plain ASCII")]
    Header {
        /// Whose.
        provider: String,
        /// Which.
        header: String,
    },
    /// The authorities cannot be read.
    #[error("providers.{provider}.ca_file: {} cannot be used: {reason}", path.display())]
    Authorities {
        /// Whose.
        provider: String,
        /// Where they should be.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client of provider {provider} cannot be made: {reason}")]
    Client {
        /// Whose.
        provider: String,
        /// Why not.
        reason: String,
    },
}

/// One provider.
#[derive(Debug)]
pub struct Provider {
    name: Name,
    config: config::Provider,
    base: String,
    client: reqwest::Client,
    headers: HeaderMap,
    parallel: Arc<Semaphore>,
    /// By the model's name in the cluster.
    limits: DashMap<String, LimitState>,
    /// Moments are counted from here.
    epoch: Instant,
}

/// Whose failures they are, without its key.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) provider: Arc<str>,
    secret: Option<Secret>,
}

impl Name {
    /// Says whose failure it is, and takes the key out of it.
    pub(crate) fn blame(&self, failure: Failure) -> Failure {
        let clean = |text: String| self.secret.as_ref().map_or(text.clone(), |secret| secret.scrub(&text));
        let message = clean(format!("provider {}: {}", self.provider, failure.message));
        Failure { message, field: failure.field.map(clean), ..failure }
    }
}

impl Provider {
    /// With its settings, which were checked, and its key.
    ///
    /// # Errors
    /// A header cannot be sent, or there is no HTTP client to be had.
    pub fn new(name: &str, config: &config::Provider, secret: Option<Secret>) -> Result<Self, BadProvider> {
        let base = config.base.as_deref().unwrap_or(config.kind.base()).trim_end_matches('/').to_owned();
        let headers = headers(config, secret.as_ref())
            .map_err(|header| BadProvider::Header { provider: name.to_owned(), header })?;
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("troupe/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect.0)
            // Who is sent elsewhere would take the key there.
            .redirect(redirect::Policy::none())
            .http2_keep_alive_interval(Duration::from_secs(15))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .tcp_nodelay(true);
        if is_near(&base) {
            client = client.no_proxy();
        }
        if let Some(path) = &config.ca_file {
            let all = authorities(path).map_err(|reason| BadProvider::Authorities {
                provider: name.to_owned(),
                path: path.clone(),
                reason,
            })?;
            client = all.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
        }
        let client =
            client.build().map_err(|error| BadProvider::Client { provider: name.to_owned(), reason: chain(&error) })?;
        let parallel = usize::try_from(config.parallel).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            name: Name { provider: name.into(), secret },
            config: config.clone(),
            base,
            client,
            headers,
            parallel: Arc::new(Semaphore::new(parallel)),
            limits: DashMap::new(),
            epoch: Instant::now(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name.provider
    }

    /// Which API it speaks.
    pub fn kind(&self) -> ProviderKind {
        self.config.kind
    }

    /// Its own name for a model, by the model's name in the cluster.
    pub fn upstream(&self, model: &str) -> Option<&str> {
        self.config.models.0.get(model).map(String::as_str)
    }

    /// Whether it has a model, by its name in the cluster.
    pub fn has(&self, model: &str) -> bool {
        self.config.models.0.contains_key(model)
    }

    /// What is known of its limits for a model, by its name in the cluster.
    pub fn limits(&self, model: &str) -> LimitState {
        self.limits.get(model).map(|state| state.clone()).unwrap_or_default()
    }

    /// As a fallback chain sees it.
    pub fn target(&self, model: &str) -> Target {
        Target { model: model.to_owned(), retries: self.config.retries, prefill: self.config.prefill }
    }

    /// Requests that may still be sent at once.
    pub fn room(&self) -> usize {
        self.parallel.available_permits()
    }

    /// Makes one attempt. It returns when the first piece is there: what fails before can go elsewhere, and the client
    /// sees nothing. `now` is for providers that name moments and do not tell their own time.
    ///
    /// # Errors
    /// No answer has begun: see [`Failure::kind`].
    pub async fn start(&self, call: Call, now: UnixMillis) -> Result<Stream, Failure> {
        let model = call.request.model.as_str();
        let Some(there) = self.config.models.0.get(model) else {
            let model = crate::errors::short(model);
            return Err(Failure::invalid("model", format_args!("'{model}' is none of provider {}'s", self.name())));
        };
        let nonce = getrandom::u64().unwrap_or_default();
        let ask = Ask {
            provider: self.name(),
            config: &self.config,
            model: there,
            request: &call.request,
            max_tokens: call.max_tokens,
            nonce,
        };
        let Written { path, body, reader } = ask.write()?;
        let Ok(permit) = Arc::clone(&self.parallel).try_acquire_owned() else {
            let message = format!("its {} requests at once are all under way", self.config.parallel);
            return Err(self.name.blame(Failure::new(FailureKind::Full, message)));
        };
        let choices = call.request.params.n.unwrap_or(1);
        self.may_start(model, size(&call.request) + Tokens(call.max_tokens.0.saturating_mul(choices.into())))?;
        let start = Instant::now();
        let end = start + self.config.timeout.0.min(call.deadline);
        let clock = Clock { first: (start + self.config.first_token.0).min(end), end, stall: self.config.stall.0 };
        let response = self.send(&path, &body, &call, clock).await.map_err(|failure| self.asked(failure))?;
        let told = learn(response.headers(), now);
        self.update(model, |limits, now| limits.on_headers(now, &told));
        let status = response.status().as_u16();
        if status != 200 {
            let failure = self.refusal(response, come_again(&told)).await;
            self.update(model, |limits, now| limits.on_refusal(now, failure.kind, failure.retry_after));
            return Err(failure);
        }
        let mut stream = Stream::new(
            self.name.clone(),
            response,
            reader,
            Allowed { choices, max_tokens: call.max_tokens },
            clock,
            permit,
        );
        match stream.begin().await {
            Ok(()) => {
                self.update(model, |limits, _| limits.on_success());
                Ok(stream)
            }
            Err(failure) => {
                self.update(model, |limits, now| limits.on_refusal(now, failure.kind, failure.retry_after));
                Err(failure)
            }
        }
    }

    fn update(&self, model: &str, change: impl FnOnce(&mut LimitState, Duration)) {
        change(&mut self.limits.entry(model.to_owned()).or_default(), self.epoch.elapsed());
    }

    /// Whether its limits, as far as they are known, let a request of so many tokens through; if so, it is counted.
    fn may_start(&self, model: &str, tokens: Tokens) -> Result<(), Failure> {
        let now = self.epoch.elapsed();
        let mut limits = self.limits.entry(model.to_owned()).or_default();
        match limits.may_start(now, tokens) {
            May::Ok => {
                limits.on_start(now, tokens);
                Ok(())
            }
            May::Wait(wait, kind) => {
                drop(limits);
                let message =
                    format!("it is not asked for '{model}' for another {wait:?}: its last word was {}", kind.as_str());
                Err(self.name.blame(Failure { retry_after: Some(wait), ..Failure::new(kind, message) }))
            }
        }
    }

    async fn send(
        &self,
        path: &str,
        body: &serde_json::Value,
        call: &Call,
        clock: Clock,
    ) -> Result<reqwest::Response, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::new(FailureKind::Invalid, format!("the request cannot be written: {error}")))?;
        let mut request = self.client.post(format!("{}/{path}", self.base)).headers(self.headers.clone()).body(body);
        if let Some(key) = call.idempotency.as_deref().and_then(|key| HeaderValue::from_str(key).ok()) {
            request = request.header("idempotency-key", key);
        }
        match timeout_at(clock.first, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let error = error.without_url();
                let what = if error.is_connect() { "it cannot be reached" } else { "the request broke off" };
                Err(Failure::new(FailureKind::Down, format!("{what}: {}", chain(&error))))
            }
            Err(_) => Err(Failure::new(FailureKind::Timeout, "no response came in time")),
        }
    }

    /// What a response that is no answer says.
    async fn refusal(&self, mut response: reqwest::Response, retry_after: Option<Duration>) -> Failure {
        let status = response.status().as_u16();
        let until = Instant::now() + REFUSAL_TIME;
        let mut body = Vec::new();
        while let Ok(Ok(Some(bytes))) = timeout_at(until, response.chunk()).await
            && body.len() < MAX_REFUSAL
        {
            body.extend_from_slice(&bytes);
        }
        body.truncate(MAX_REFUSAL);
        let text = String::from_utf8_lossy(&body);
        let said = serde_json::from_str(&text).ok().and_then(|value| Said::find(&value));
        let said = said.unwrap_or_else(|| Said::plain(&text));
        self.asked(said.failure(Some(status), retry_after))
    }

    /// A failure of the provider itself.
    fn asked(&self, failure: Failure) -> Failure {
        Failure { asked: true, ..self.name.blame(failure) }
    }
}

/// The headers of every request, or the one that cannot be sent.
fn headers(config: &config::Provider, secret: Option<&Secret>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let name_of = name.to_ascii_lowercase().parse::<HeaderName>().map_err(|_| name.clone())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| name.clone())?;
        value.set_sensitive(true);
        headers.insert(name_of, value);
    }
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept", HeaderValue::from_static("text/event-stream"));
    if config.kind == ProviderKind::Anthropic && !headers.contains_key("anthropic-version") {
        headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    if let Some(secret) = secret {
        let (name, value) = match config.kind {
            ProviderKind::OpenAi => ("authorization", format!("Bearer {}", secret.expose())),
            ProviderKind::Anthropic => ("x-api-key", secret.expose().to_owned()),
            ProviderKind::Gemini => ("x-goog-api-key", secret.expose().to_owned()),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| name.to_owned())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let all = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| chain(&error))?;
    if all.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(all) }
}

/// Whether it stands on this machine, where no proxy helps.
fn is_near(base: &str) -> bool {
    let host = base.split("://").nth(1).unwrap_or_default();
    ["127.", "localhost", "[::1]"].iter().any(|near| host.starts_with(near))
}

/// The prompt's tokens, rather too many.
fn size(request: &Request) -> Tokens {
    match &request.input {
        Input::Chat(messages) => estimate_bytes(messages.iter().map(|turn| turn.content.len() + 16).sum()),
        Input::Text(text) => estimate_bytes(text.len()),
        Input::Tokens(tokens) => Tokens::of(tokens.len()),
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
