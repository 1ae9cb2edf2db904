//! What people are shown of a cluster.

use super::*;

pub(super) fn status() -> Any<ClusterStatus> {
    let counts = (any::<(u32, u32, u64)>(), tokens(), tokens(), blocks(), blocks());
    let model = (text(), text(), text(), counts).prop_map(|(model, dtype, device, counts)| {
        let ((running, waiting, steps), context, prefill, blocks_used, blocks_total) = counts;
        ModelStatus { model, dtype, device, context, running, waiting, prefill, blocks_used, blocks_total, steps }
    });
    use NodeState::{Draining, Idle, Ready, Starting, Suspect};
    let state = select(vec![Ready, Starting, Idle, Suspect, Draining]);
    let node = (vec(text(), 4), state, vec(model, 0..3), span(), vec(line(), 0..3), vec(place(), 0..3));
    let node = node.prop_map(|(words, state, models, silent, tree, places)| {
        let [id, name, build, address] = <[String; 4]>::try_from(words).unwrap();
        NodeStatus { id, name, state, build, address, models, silent, tree, places }
    });
    (text(), vec(node, 0..4), any::<u64>(), vec(line(), 0..3))
        .prop_map(|(cluster, nodes, requests, tree)| ClusterStatus { cluster, nodes, requests, tree })
        .boxed()
}

pub(super) fn place() -> Any<ModelPlace> {
    let loading = option::of(any::<u8>()).prop_map(|fetched| LoadState::Loading { fetched });
    let failed = text().prop_map(|reason| LoadState::Failed { reason });
    let plain = select(vec![LoadState::Idle, LoadState::Loaded, LoadState::Unloading]);
    (text(), prop_oneof![loading, failed, plain]).prop_map(|(model, state)| ModelPlace { model, state }).boxed()
}

pub(super) fn line() -> Any<TreeLine> {
    let state = select(vec![ActorState::Running, ActorState::Restarting, ActorState::Dead, ActorState::Done]);
    (any::<(u8, u32)>(), text(), state, option::of(text()))
        .prop_map(|((depth, restarts), name, state, failure)| TreeLine { depth, name, state, restarts, failure })
        .boxed()
}
