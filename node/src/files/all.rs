//! All models of a node, one after the other: what each engine opens, or why it cannot.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::config::{Config, Model, Source};
use tokio::sync::watch;
use transport::pki::Credentials;
use transport::quic::{Dialler, Timing};

use super::origin::Pace;
use super::progress::{Progress, tell};
use super::{NodeFiles, hub, obtain};

/// What the engine of each model opens, or why there is nothing to open.
pub(crate) type Places = BTreeMap<String, Result<PathBuf, String>>;

/// What fetching takes from the settings and the environment.
#[derive(Debug)]
pub(crate) struct Fetching<'a> {
    pub(crate) config: &'a Config,
    pub(crate) models: &'a BTreeMap<String, Model>,
}

impl Fetching<'_> {
    /// Whether a model comes from another node: that takes a certificate.
    pub(crate) fn needs_cluster(&self) -> bool {
        self.models.values().any(|model| model.fetched() == Some(&Source::Node))
    }

    fn files(&self, network: Option<Arc<Credentials>>) -> NodeFiles {
        let node = &self.config.node;
        let set =
            |key: &str| std::env::var(key).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        NodeFiles {
            folder: node.models.clone(),
            limit: node.models_limit.0,
            hub: node.hub.clone().or_else(|| set("HF_ENDPOINT")).unwrap_or_else(|| hub::PUBLIC.to_owned()),
            token: set("HF_TOKEN"),
            peers: node.peers.clone(),
            network: network.map(|own| (Dialler::new(Timing::from(&self.config.wire)), own)),
            pace: Pace::default(),
        }
    }
}

/// Fetches what is not there. `credentials` is asked only if a model comes from another node; `progress` hears how far
/// it is, and so does the log.
pub(crate) async fn obtain_all<E>(
    fetching: Fetching<'_>,
    credentials: impl Future<Output = Result<Arc<Credentials>, E>>,
    progress: watch::Sender<Progress>,
) -> Result<Places, E> {
    let network = if fetching.needs_cluster() { Some(credentials.await?) } else { None };
    let files = fetching.files(network);
    // It ends with the sender.
    tokio::spawn(tell(progress.subscribe()));
    let mut places = Places::new();
    for (name, model) in fetching.models {
        let place = obtain(name, model, &files, &progress).await;
        places.insert(name.clone(), place.map_err(|error| format!("its files cannot be fetched: {error}")));
    }
    Ok(places)
}
