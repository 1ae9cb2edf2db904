//! Which of an operator's wishes a node can do, by what it says of its models.

use protocol::message::OrderAction;
use protocol::serving::{LoadState, ModelPlace};

use super::NotOrdered;

/// Whether there is anything to do. What a node does with an order that comes too late is its own business.
pub(super) fn check(node: &str, places: &[ModelPlace], action: &OrderAction) -> Result<(), NotOrdered> {
    let (model, loads) = match action {
        OrderAction::Drain { .. } | OrderAction::Resume => return Ok(()),
        OrderAction::Load { model } => (model, true),
        OrderAction::Unload { model, .. } => (model, false),
    };
    let Some(place) = places.iter().find(|place| place.model == *model) else {
        let names: Vec<&str> = places.iter().map(|place| place.model.as_str()).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(NotOrdered::NoModel { node: node.to_owned(), model: model.clone(), there });
    };
    let how = match (&place.state, loads) {
        (LoadState::Loaded, true) => "loaded already",
        (LoadState::Loading { .. }, true) => "being loaded already",
        (LoadState::Idle | LoadState::Failed { .. }, false) => "not loaded",
        (LoadState::Unloading, false) => "being unloaded already",
        _ => return Ok(()),
    };
    Err(NotOrdered::Already { node: node.to_owned(), model: model.clone(), how })
}
