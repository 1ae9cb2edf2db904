//! What the engine of a model opens: fetched if it has to be, and handed to other nodes from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::config::Model;
use tokio::sync::watch;

use crate::files::{Fetching, FileServer, Places, Progress, obtain_all};
use crate::options::{EngineKind, Plan};
use crate::run::{RunError, credentials};
use crate::state::State;

/// Where the files of models are found.
#[derive(Clone)]
pub(crate) struct Sources<'a> {
    plan: &'a Plan,
    state: &'a State,
    files: Arc<FileServer>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(plan: &'a Plan, state: &'a State, files: Arc<FileServer>) -> Self {
        // What lies here needs no engine to be handed out.
        for (name, model) in plan.models.iter().filter(|(_, model)| !model.path.as_os_str().is_empty()) {
            files.add(name, &model.path);
        }
        Self { plan, state, files }
    }

    /// What the engines of these models open. Fetches what is not there; `progress` hears how far that is.
    pub(super) async fn places(&self, names: &[String], progress: watch::Sender<Progress>) -> Result<Places, RunError> {
        let wanted = self.plan.models.iter().filter(|(name, _)| names.contains(name));
        if self.plan.engine == EngineKind::Mock {
            // It opens nothing.
            return Ok(wanted.map(|(name, model)| (name.clone(), Ok(model.path.clone()))).collect());
        }
        let models: BTreeMap<String, Model> = wanted.map(|(name, model)| (name.clone(), model.clone())).collect();
        let fetching = Fetching { config: &self.plan.config, models: &models };
        let places = obtain_all(fetching, credentials(self.plan, self.state), progress).await?;
        for (name, place) in &places {
            if let Ok(path) = place {
                self.files.add(name, path);
            }
        }
        Ok(places)
    }
}
