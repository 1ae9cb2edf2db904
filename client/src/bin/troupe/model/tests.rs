use protocol::answer::{ModelStatus, NodeState};
use protocol::serving::ModelPlace;
use protocol::units::{Blocks, Tokens};

use super::*;

fn node(name: &str, loaded: usize, places: &[(&str, LoadState)]) -> NodeStatus {
    let model = ModelStatus {
        model: "x".into(),
        dtype: "bf16".into(),
        device: "cpu".into(),
        context: Tokens::of(8192),
        running: 0,
        waiting: 0,
        prefill: Tokens::ZERO,
        blocks_used: Blocks::ZERO,
        blocks_total: Blocks::of(10),
        steps: 0,
    };
    let place = |(model, state): &(&str, LoadState)| ModelPlace { model: (*model).to_owned(), state: state.clone() };
    NodeStatus {
        id: format!("id-{name}"),
        name: name.into(),
        state: NodeState::Ready,
        build: "0".into(),
        address: "a".into(),
        models: vec![model; loaded],
        silent: Duration::ZERO,
        tree: Vec::new(),
        places: places.iter().map(place).collect(),
    }
}

fn cluster(nodes: Vec<NodeStatus>) -> ClusterStatus {
    ClusterStatus { cluster: "c".into(), nodes, requests: 0, tree: Vec::new() }
}

#[test]
fn a_model_goes_to_the_node_with_the_fewest() {
    let (idle, failed) = (LoadState::Idle, LoadState::failed("no file"));
    let status = cluster(vec![
        node("a", 2, &[("m", idle.clone())]),
        node("c", 1, &[("m", idle.clone())]),
        node("b", 1, &[("m", failed)]),
        node("d", 0, &[("m", LoadState::Loaded), ("n", LoadState::Loading { fetched: None })]),
        node("e", 0, &[]),
    ]);
    assert_eq!(best(&status, "m").unwrap(), "id-b");
    assert!(best(&status, "n").unwrap_err().to_string().contains("on its way"));
    assert!(best(&status, "o").unwrap_err().to_string().contains("no node has 'o'"));
    assert_eq!(having(&status, "m").unwrap(), ["id-d"]);
    assert!(having(&status, "o").is_err());
}

#[test]
fn the_table_has_a_line_for_each_model_of_each_node() {
    let places = [("m", LoadState::Loaded), ("long-name", LoadState::Loading { fetched: Some(40) })];
    let status = cluster(vec![node("a\u{7}", 1, &places), node("b", 0, &[("m", LoadState::failed("no file"))])]);
    let lines = [
        "MODEL      NODE  STATE",
        "long-name  a?    fetching its files, 40 %",
        "m          a?    loaded",
        "m          b     failed: no file",
    ];
    assert_eq!(table(&status).lines().collect::<Vec<_>>(), lines);
    assert!(table(&cluster(vec![node("a", 0, &[])])).contains("troupe-node"));
}

#[test]
fn what_was_before_is_not_taken_for_what_came_of_it() {
    let (idle, failed) = (LoadState::Idle, LoadState::failed("no file"));
    let goal = |before: &LoadState| Goal::Loaded { before: Some(before.clone()) };
    assert_eq!(goal(&failed).course(&failed, false, false), Course::Before);
    assert_eq!(goal(&failed).course(&failed, true, false), Course::Failed("no file".into()), "again");
    assert_eq!(goal(&failed).course(&failed, false, true), Course::Failed("no file".into()), "nothing else comes");
    assert_eq!(goal(&idle).course(&failed, false, false), Course::Failed("no file".into()), "too quick to be seen");
    assert_eq!(goal(&idle).course(&idle, false, false), Course::Before);
    assert!(matches!(goal(&idle).course(&idle, true, false), Course::Failed(_)));
    assert_eq!(goal(&idle).course(&LoadState::Loading { fetched: None }, false, false), Course::Under);
    assert_eq!(goal(&idle).course(&LoadState::Loaded, true, false), Course::Done);
    assert_eq!(Goal::Unloaded.course(&LoadState::Loaded, false, false), Course::Before);
    assert_eq!(Goal::Unloaded.course(&LoadState::Unloading, false, false), Course::Under);
    assert_eq!(Goal::Unloaded.course(&idle, false, false), Course::Done);
}
