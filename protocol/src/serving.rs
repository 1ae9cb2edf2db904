//! Which models a node serves, and which it could: told with every change, as models come and go.
//!
//! Rule: from the frame on, reports have one entry for each of its cards, in their order.

use serde::{Deserialize, Serialize};

use crate::engine::Card;

/// The most models that a node's settings may have.
pub const MAX_MODELS: usize = 256;
/// The most characters of a reason.
pub const MAX_REASON: usize = 200;

/// A node serves these from now on, and no others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    /// What its engines are.
    pub cards: Vec<Card>,
    /// Every model of its settings.
    pub models: Vec<ModelPlace>,
}

/// A model of a node's settings, and how far it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPlace {
    /// Its name.
    pub model: String,
    /// How far it is.
    pub state: LoadState,
}

/// How far a model is on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadState {
    /// It could be loaded, and is not.
    Idle,
    /// It is on its way.
    Loading {
        /// Percent of its files that are there, while they are fetched.
        fetched: Option<u8>,
    },
    /// It is served.
    Loaded,
    /// It takes no new work; what runs is coming to its end.
    Unloading,
    /// It could not be loaded, or failed too often.
    Failed {
        /// Why.
        reason: String,
    },
}

impl LoadState {
    /// It failed for this reason, of which as much is kept as may be told.
    pub fn failed(reason: &str) -> Self {
        Self::Failed { reason: reason.chars().take(MAX_REASON).collect() }
    }
}
