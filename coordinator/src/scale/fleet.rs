//! A profile of the nodes that are here, from what they have measured.

use std::time::Duration;

use actors::cluster::directory::Machine;
use protocol::config::Model;
use protocol::message::Rates;
use protocol::units::{Blocks, Nanos, Tokens};
use replay::plan::target::shown;
use replay::profile::Profile;

/// The nodes of a model, as if all were alike.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) profile: Profile,
    pub(super) speed: Rates,
    /// What of it is not quite so.
    pub(super) notes: Vec<String>,
}

/// The median of what the nodes have measured; none if none has measured how fast it computes prompts, and steps.
///
/// What nodes do not tell is as in the settings of the model (tokens of a step, of a prompt in it, sequences), or as by
/// default. Rates are those of the work that there was: what longer contexts cost is in them, on average.
pub(super) fn of(model: &str, machines: &[Machine], settings: &Model, hour: Option<Nanos>) -> Option<Fleet> {
    let card = &machines.first()?.card;
    let known: Vec<Rates> = machines.iter().map(|machine| machine.rates).filter(|rates| rates.prefill > 0).collect();
    let batch = settings.max_batch.min(card.jobs).max(1);
    let prefill = median(known.iter().map(|rates| rates.prefill))?;
    // The two parts of a step belong together: told apart by a fit, one is too small by what the other is too large.
    let half = (batch / 2).max(1);
    let whole = |rates: &Rates| rates.step.saturating_add(rates.sequence.saturating_mul(half));
    let steps = known.iter().filter(|rates| !whole(rates).is_zero());
    let (_, step, sequence) = median(steps.clone().map(|rates| (whole(rates), rates.step, rates.sequence)))?;
    let mut notes = Vec::new();
    if let Some((slowest, fastest)) = spread(known.iter().map(|rates| rates.prefill), |rate| f64::from(*rate)) {
        notes.push(format!(
            "nodes differ: they compute {slowest} to {fastest} prompt tokens/s, and all are taken for {prefill}"
        ));
    }
    if let Some((fastest, slowest)) = spread(steps.map(whole), Duration::as_secs_f64) {
        notes.push(format!(
            "nodes differ: a step of {} sequences takes them {} to {}, and all are taken for {}",
            half,
            shown(fastest),
            shown(slowest),
            shown(step.saturating_add(sequence.saturating_mul(half)))
        ));
    }
    if known.len() < machines.len() {
        let rest = machines.len() - known.len();
        notes.push(format!("{rest} of {} nodes have not measured how fast they are yet", machines.len()));
    }
    let room = machines.iter().map(|machine| machine.card.blocks);
    if let Some((least, most)) = spread(room, |blocks| blocks.0 as f64) {
        notes.push(format!(
            "nodes differ: they have room for {} to {} blocks, and all are taken alike",
            least.0, most.0
        ));
    }
    let blocks = median(machines.iter().map(|machine| machine.card.blocks))?;
    let profile = Profile {
        name: model.to_owned(),
        source: "measured by the nodes".to_owned(),
        prefill: Duration::from_secs(1) / prefill.max(1),
        prefill_context: Duration::ZERO,
        step,
        sequence,
        sequence_context: Duration::ZERO,
        blocks: blocks.max(Blocks(1)),
        block: card.block.max(Tokens(1)),
        queue: card.jobs,
        batch,
        step_tokens: Tokens(settings.step_tokens.into()),
        chunk: Tokens(settings.prefill_chunk.into()),
        context: card.context,
        hour: hour.unwrap_or_default(),
        price_source: "cluster.toml".to_owned(),
    };
    Some(Fleet { profile, speed: Rates { prefill, step, sequence }, notes })
}

fn median<T: Ord + Copy>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut all: Vec<T> = all.collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

/// The least and the most, if they are apart by more than a quarter.
fn spread<T: Ord + Copy>(all: impl Iterator<Item = T> + Clone, figure: impl Fn(&T) -> f64) -> Option<(T, T)> {
    let (least, most) = (all.clone().min()?, all.max()?);
    (figure(&most) > 1.25 * figure(&least)).then_some((least, most))
}

#[cfg(test)]
mod tests;
