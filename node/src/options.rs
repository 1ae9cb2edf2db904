//! What the command line and `cluster.toml` say together: the command line wins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use protocol::config::{Config, ConfigError, Dtype, KvQuantization, LoadAt, Model, Quantization};
use protocol::units::Memory;

/// Serves models to a Troupe cluster from this machine.
#[derive(Debug, Parser)]
#[command(name = "troupe-node", version)]
pub(crate) struct Options {
    /// The cluster's settings; without it, defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A coordinator to connect to; may be repeated. Instead of node.coordinators.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    join: Vec<String>,
    /// The cluster's join token, in a file; needed at the first start only.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where identity and certificate are kept. Instead of node.state.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A model to serve; may be repeated. Only these are served; [models.NAME] gives the settings.
    #[arg(long, value_name = "NAME=PATH", value_parser = named_path)]
    model: Vec<(String, PathBuf)>,
    /// How people call this node. Instead of node.name.
    #[arg(long)]
    name: Option<String>,
    /// `cpu`, or `cuda:0` and so on. Instead of node.device.
    #[arg(long)]
    device: Option<String>,
    /// Threads of the engine. Instead of node.threads.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Where Prometheus metrics are served. Instead of node.metrics.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// The arithmetic, `bf16` or `f32`, of every model.
    #[arg(long, value_parser = dtype)]
    dtype: Option<Dtype>,
    /// How weights of every model are stored, `none`, `int8` or `int4`.
    #[arg(long, value_parser = quantization)]
    quantization: Option<Quantization>,
    /// How keys and values of every model are stored, `none` or `int8`.
    #[arg(long, value_parser = kv_quantization)]
    kv_quantization: Option<KvQuantization>,
    /// Memory for the KV cache of every model, as `512MiB`, or `60%` of what is free.
    #[arg(long, value_name = "SIZE")]
    kv_memory: Option<Memory>,
    /// Only fetches the files of models that have a source, says where they lie, and ends. Of all models, or of those
    /// that are named.
    #[arg(long, value_name = "MODEL", num_args = 0..)]
    fetch_only: Option<Vec<String>>,
    /// `mock` needs no model: it answers with made-up words, to try a cluster out.
    #[arg(long, value_enum, default_value_t = EngineKind::Torch)]
    engine: EngineKind,
}

/// Which engine runs the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineKind {
    /// The model itself, in our kernels or libtorch.
    Torch,
    /// None at all.
    Mock,
}

/// Everything the node needs to know, decided.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) models: BTreeMap<String, Model>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) engine: EngineKind,
    /// Whether it ends once all files are there.
    pub(crate) fetch_only: bool,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadOptions {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is at fault:\n{source}")]
    Config { path: PathBuf, source: ConfigError },
    #[error("no model to serve: give --model NAME=PATH, or --config with a [models.NAME] section, or --engine mock")]
    NoModel,
    #[error("the model '{0}' is given twice: each --model needs a name of its own")]
    Twice(String),
    #[error("there is no model '{name}' to fetch: the settings have {known}")]
    NotKnown { name: String, known: String },
    #[error("no coordinator to connect to: give --join HOST:PORT")]
    NoCoordinator,
    #[error("the name has {0} bytes: give 1 to 128")]
    Name(usize),
    #[error("kv_memory is {0}: {problem}", problem = Memory::POSSIBLE)]
    KvMemory(Memory),
}

impl Options {
    /// Reads the file, if there is one, and lets the command line win.
    pub(crate) fn plan(self) -> Result<Plan, BadOptions> {
        let mut config = match &self.config {
            Some(path) => read(path)?,
            None => Config::default(),
        };
        if !self.join.is_empty() {
            config.node.coordinators = self.join;
        }
        let node = &mut config.node;
        node.state = self.state.unwrap_or_else(|| std::mem::take(&mut node.state));
        node.device = self.device.unwrap_or_else(|| std::mem::take(&mut node.device));
        node.name = self.name.or(node.name.take());
        node.threads = self.threads.or(node.threads);
        node.metrics = self.metrics.or(node.metrics);
        if node.coordinators.is_empty() {
            return Err(BadOptions::NoCoordinator);
        }
        if let Some(name) = node.name.as_ref().filter(|name| name.is_empty() || name.len() > 128) {
            return Err(BadOptions::Name(name.len()));
        }
        let mut models = BTreeMap::new();
        for (name, path) in self.model {
            // Who is named here is wanted now.
            let known = config.models.get(&name).cloned().unwrap_or_default();
            let model = Model { path, load: LoadAt::Start, ..known };
            if models.insert(name.clone(), model).is_some() {
                return Err(BadOptions::Twice(name));
            }
        }
        let named = !models.is_empty();
        for (name, model) in config.models.iter().filter(|(_, model)| !named || model.load == LoadAt::Asked) {
            models.entry(name.clone()).or_insert_with(|| model.clone());
        }
        if models.is_empty() && self.engine == EngineKind::Mock {
            models.insert("mock".to_owned(), Model::default());
        }
        if models.is_empty() {
            return Err(BadOptions::NoModel);
        }
        if let Some(named) = self.fetch_only.as_ref().filter(|named| !named.is_empty()) {
            let known = || models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            if let Some(name) = named.iter().find(|name| !models.contains_key(*name)) {
                return Err(BadOptions::NotKnown { name: name.clone(), known: known() });
            }
            models.retain(|name, _| named.contains(name));
        }
        for model in models.values_mut() {
            model.dtype = self.dtype.unwrap_or(model.dtype);
            model.quantization = self.quantization.unwrap_or(model.quantization);
            model.kv_quantization = self.kv_quantization.unwrap_or(model.kv_quantization);
            model.kv_memory = self.kv_memory.unwrap_or(model.kv_memory);
            if !model.kv_memory.is_possible() {
                return Err(BadOptions::KvMemory(model.kv_memory));
            }
        }
        let fetch_only = self.fetch_only.is_some();
        Ok(Plan { config, models, token_file: self.token_file, engine: self.engine, fetch_only })
    }
}

fn read(path: &Path) -> Result<Config, BadOptions> {
    let text = std::fs::read_to_string(path).map_err(|source| BadOptions::Read { path: path.to_owned(), source })?;
    Config::parse(&text).map_err(|source| BadOptions::Config { path: path.to_owned(), source })
}

fn host_and_port(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, as 192.0.2.1:7600".to_owned()),
    }
}

fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !path.is_empty() && is_name(name) => Ok((name.to_owned(), path.into())),
        _ => Err("write NAME=PATH, as small=models/small.gguf".to_owned()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && !name.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn dtype(text: &str) -> Result<Dtype, String> {
    [Dtype::Bf16, Dtype::F32]
        .into_iter()
        .find(|dtype| dtype.as_str() == text)
        .ok_or_else(|| "write bf16 or f32".to_owned())
}

fn quantization(text: &str) -> Result<Quantization, String> {
    let found = Quantization::ALL.into_iter().find(|quantization| quantization.as_str() == text);
    found.ok_or_else(|| "write none, int8 or int4".to_owned())
}

fn kv_quantization(text: &str) -> Result<KvQuantization, String> {
    let found = KvQuantization::ALL.into_iter().find(|quantization| quantization.as_str() == text);
    found.ok_or_else(|| "write none or int8".to_owned())
}

#[cfg(test)]
mod tests;
