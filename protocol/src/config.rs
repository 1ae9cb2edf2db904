//! The schema of `cluster.toml`, read by coordinators, nodes and tools alike.
//!
//! Rules: units stand in the values (`"250ms"`, `"2GiB"`); an unknown key is a fault, never ignored;
//! all faults are reported at once, each with its path. Defaults are written here once, and
//! `cluster.toml` in the repository repeats them with comments: a test holds the two together.
//! Reading the file and command lines is the programs' work.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::Role;
use crate::units::{ByteSize, Memory, Span};

mod accounts;
mod answers;
mod check;
mod degrade;
mod failure;
mod fallback;
mod loading;
mod parse;
mod placement;
mod prices;
mod providers;
mod pull;
mod queue;
mod routing;
mod source;

pub use accounts::Accounts;
pub use answers::Answers;
pub use degrade::{Contexts, Degrade};
pub use failure::{Breaker, Retry};
pub use fallback::{FallbackTable, Fallbacks};
pub use loading::Loading;
pub use parse::ConfigError;
pub use placement::{Placement, Policy};
pub use prices::{Basis, ModelPrice, Prices, Tokens as TokenPrice, Unknown as UnknownPrice};
pub use providers::{DROPPABLE, Provider, ProviderKind, ProviderModels};
pub use pull::Pull;
pub use queue::Queue;
pub use routing::{AUTO, Routing, Tier, is_auto};
pub use source::{BadSource, Hashes, HubSource, Source};

/// A whole `cluster.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The cluster as a whole.
    pub cluster: Cluster,
    /// The coordinator.
    pub coordinator: Coordinator,
    /// Every node; a node's command line can override it.
    pub node: Node,
    /// Models by their name in the cluster.
    pub models: BTreeMap<String, Model>,
    /// Models of others, by the provider's name.
    pub providers: BTreeMap<String, Provider>,
    /// Who answers when a model cannot.
    pub fallbacks: FallbackTable,
    /// How requests are tried.
    pub requests: Requests,
    /// Which node is asked first.
    pub placement: Placement,
    /// When a node that fails is not asked for a while.
    pub breaker: Breaker,
    /// How much is tried again.
    pub retry: Retry,
    /// Where requests wait that no node takes now.
    pub queue: Queue,
    /// How the cluster bends under load.
    pub degrade: Degrade,
    /// When a model is loaded on one more node.
    pub loading: Loading,
    /// Answers that are kept.
    pub answers: Answers,
    /// Where keys, budgets and usage are kept.
    pub accounts: Accounts,
    /// Which model answers requests for `auto`.
    pub routing: Routing,
    /// What tokens cost.
    pub prices: Prices,
    /// When cached blocks are fetched from another node instead of computed.
    pub pull: Pull,
    /// When a node is suspect.
    pub health: Health,
    /// How connections live.
    pub wire: Wire,
    /// How failed actors come back.
    pub supervision: Supervision,
}

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Shown by `troupe status`.
    pub name: String,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { name: "troupe".into() }
    }
}

/// The coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coordinator {
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where nodes and clients connect by QUIC.
    pub quic: SocketAddr,
    /// Keys, certificates and tokens.
    pub state: PathBuf,
    /// The most nodes that may be connected.
    pub max_nodes: u32,
    /// The most requests in its hands; one more is refused with 503.
    pub max_requests: u32,
    /// The longest HTTP request body.
    pub body_limit: ByteSize,
    /// Threads that serve; half the cores if left out.
    pub threads: Option<u32>,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            quic: SocketAddr::from(([127, 0, 0, 1], 7600)),
            state: ".troupe/coordinator".into(),
            max_nodes: 1024,
            max_requests: 4096,
            body_limit: ByteSize(4 << 20),
            threads: None,
        }
    }
}

/// Every node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Coordinators to connect to, `HOST:PORT`.
    pub coordinators: Vec<String>,
    /// Its identity and certificate.
    pub state: PathBuf,
    /// How people call it; the host's name if left out.
    pub name: Option<String>,
    /// `cpu`, or `cuda:0` and so on.
    pub device: String,
    /// Threads of the engine; all cores if left out.
    pub threads: Option<u32>,
    /// Where Prometheus metrics are served; nowhere if left out.
    pub metrics: Option<SocketAddr>,
    /// Where other nodes fetch cached blocks by QUIC; nobody does if left out.
    pub listen: Option<SocketAddr>,
    /// Where other nodes reach `listen`, `HOST:PORT`; `listen` itself if left out.
    pub address: Option<String>,
    /// Which part of a job it is for.
    pub role: Role,
    /// Where fetched model files lie.
    pub models: PathBuf,
    /// The most bytes that may lie there.
    pub models_limit: ByteSize,
    /// The Hugging Face hub, `https://HOST`; `HF_ENDPOINT`, or the public one, if left out.
    pub hub: Option<String>,
    /// Nodes that are asked for model files, `HOST:PORT` of their `listen`.
    pub peers: Vec<String>,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            coordinators: vec!["127.0.0.1:7600".into()],
            state: ".troupe/node".into(),
            name: None,
            device: "cpu".into(),
            threads: None,
            metrics: None,
            listen: None,
            address: None,
            role: Role::Any,
            models: ".troupe/models".into(),
            models_limit: ByteSize(200 << 30),
            hub: None,
            peers: Vec::new(),
        }
    }
}

/// A model, and how nodes run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// A GGUF file or a Hugging Face folder. It wins over `source`.
    pub path: PathBuf,
    /// Where its files are fetched from.
    pub source: Option<Source>,
    /// Hashes that fetched files must have.
    pub sha256: Option<Hashes>,
    /// The arithmetic.
    pub dtype: Dtype,
    /// How weights are stored and multiplied.
    pub quantization: Quantization,
    /// Memory for the KV cache.
    pub kv_memory: Memory,
    /// How keys and values are stored.
    pub kv_quantization: KvQuantization,
    /// Whether a token's logits may never depend on what else is in the step.
    pub batch_invariant: bool,
    /// Tokens in a KV block.
    pub block: u32,
    /// The longest prompt and answer together; the model's own if left out.
    pub context: Option<u32>,
    /// Tokens computed in one step, over all sequences.
    pub step_tokens: u32,
    /// Tokens of one prompt computed in one step.
    pub prefill_chunk: u32,
    /// Sequences in one step.
    pub max_batch: u32,
    /// Jobs that may wait or run; one more is refused.
    pub queue: u32,
    /// Prompt tokens that may wait to be computed; with more, jobs are refused, the lower classes sooner.
    pub queue_tokens: u32,
    /// When nodes load it.
    pub load: LoadAt,
}

/// When a node loads a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadAt {
    /// When it starts.
    #[default]
    Start,
    /// When it is told to.
    Asked,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            source: None,
            sha256: None,
            dtype: Dtype::Bf16,
            quantization: Quantization::None,
            kv_memory: Memory::Size(ByteSize(512 << 20)),
            kv_quantization: KvQuantization::None,
            batch_invariant: true,
            block: 32,
            context: None,
            step_tokens: 512,
            prefill_chunk: 256,
            max_batch: 64,
            queue: 256,
            queue_tokens: 32_768,
            load: LoadAt::Start,
        }
    }
}

/// The arithmetic of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Brain floating point, 16 bits.
    Bf16,
    /// IEEE floating point, 32 bits.
    F32,
}

impl Dtype {
    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        }
    }
}

/// How weights are stored and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// As [`Dtype`] says.
    #[default]
    None,
    /// 8 bits, with 8-bit activations.
    Int8,
    /// 4 bits in groups, with 8-bit activations.
    Int4,
}

impl Quantization {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Int8, Self::Int4];

    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }
}

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KvQuantization {
    /// As [`Dtype`] says.
    #[default]
    None,
    /// 8 bits, with a scale per token and head.
    Int8,
}

impl KvQuantization {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::None, Self::Int8];

    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Int8 => "int8",
        }
    }
}

/// How requests are tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// Nodes that are asked for one answer, until its first token.
    pub attempts: u32,
    /// How long a node may take to grant or refuse.
    pub grant_timeout: Span,
    /// Times that a begun answer goes on elsewhere when its node is lost.
    pub migrations: u32,
    /// How long a request may take in all.
    pub timeout: Span,
    /// How long a client may leave what was sent unread; then its request ends.
    pub client_stall: Span,
    /// How long running answers may go on when a process is told to stop.
    pub drain: Span,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            attempts: 3,
            grant_timeout: secs(2),
            migrations: 8,
            timeout: secs(600),
            client_stall: secs(30),
            drain: secs(20),
        }
    }
}

/// When a node is suspect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// How often a node reports.
    pub report_every: Span,
    /// Silence that makes it suspect, if it is longer than `gaps` usual gaps.
    pub silence: Span,
    /// See `silence`.
    pub gaps: u32,
    /// Work waiting and no engine step for so long makes it suspect.
    pub stall: Span,
}

impl Default for Health {
    fn default() -> Self {
        Self { report_every: millis(200), silence: secs(1), gaps: 5, stall: secs(2) }
    }
}

/// How connections live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wire {
    /// How often a quiet connection is kept awake.
    pub keep_alive: Span,
    /// Silence that ends a connection.
    pub idle_timeout: Span,
    /// How long a handshake may take.
    pub handshake: Span,
    /// The longest wait of a node between two tries to reach a coordinator.
    pub redial: Span,
    /// Streams that may be open at once on one connection.
    pub streams: u32,
}

impl Default for Wire {
    fn default() -> Self {
        Self { keep_alive: secs(1), idle_timeout: secs(5), handshake: secs(5), redial: millis(500), streams: 1024 }
    }
}

/// How failed actors come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Supervision {
    /// Restarts that are tolerated `within` a time; one more ends the parent.
    pub max_restarts: u32,
    /// See `max_restarts`.
    pub within: Span,
    /// The wait before the first restart; it doubles.
    pub backoff: Span,
    /// The longest wait.
    pub max_backoff: Span,
}

impl Default for Supervision {
    fn default() -> Self {
        Self { max_restarts: 5, within: secs(60), backoff: millis(100), max_backoff: secs(10) }
    }
}

const fn secs(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

const fn millis(millis: u64) -> Span {
    Span(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests;
