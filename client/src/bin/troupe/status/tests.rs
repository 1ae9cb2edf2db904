use protocol::tree::TreeLine;
use protocol::units::{Blocks, Tokens};

use super::*;

fn node(name: &str, state: NodeState, models: Vec<ModelStatus>) -> NodeStatus {
    NodeStatus {
        id: "00".into(),
        name: name.into(),
        state,
        build: "0.1.0".into(),
        address: "127.0.0.1:40000".into(),
        models,
        silent: Duration::from_millis(120),
        tree: Vec::new(),
        places: Vec::new(),
    }
}

fn model() -> ModelStatus {
    ModelStatus {
        model: "smollm2".into(),
        dtype: "bf16".into(),
        device: "cpu".into(),
        context: Tokens::of(8192),
        running: 12,
        waiting: 3,
        prefill: Tokens::ZERO,
        blocks_used: Blocks::of(40),
        blocks_total: Blocks::of(400),
        steps: 9,
    }
}

#[test]
fn columns_stand_under_each_other() {
    let status = ClusterStatus {
        cluster: "troupe".into(),
        nodes: vec![
            node("node-1", NodeState::Ready, vec![model()]),
            node("a-longer-name", NodeState::Starting, Vec::new()),
        ],
        requests: 1,
        tree: Vec::new(),
    };
    let expected = "\
troupe: 2 nodes, 1 request in hand
NODE           STATE     MODEL    DTYPE  DEVICE  RUNNING  WAITING    KV BLOCKS  SILENT  ADDRESS
node-1         ready     smollm2  bf16   cpu          12        3  40/400  10%  120 ms  127.0.0.1:40000
a-longer-name  starting  -        -      -             -        -            -  120 ms  127.0.0.1:40000
";
    assert_eq!(table(&status), expected);
}

#[test]
fn an_empty_cluster_says_what_to_do() {
    let text = table(&ClusterStatus { cluster: "troupe".into(), ..ClusterStatus::default() });
    assert!(text.contains("0 nodes") && text.contains("troupe-node"), "{text}");
}

#[test]
fn a_node_cannot_move_the_cursor_and_a_cache_without_blocks_is_no_division_by_zero() {
    let nothing = ModelStatus { blocks_used: Blocks::ZERO, blocks_total: Blocks::ZERO, ..model() };
    let cells = row(&node("\u{1b}[2Jx", NodeState::Suspect, Vec::new()), Some(&nothing));
    assert_eq!(cells[0], "?[2Jx");
    assert_eq!(cells[7], "0/0   0%");
}

#[test]
fn a_model_that_does_not_run_is_told_with_its_reason() {
    let mut sick = node("node-1", NodeState::Ready, vec![model()]);
    let why = Some("its file is cut short".to_owned());
    let dead = TreeLine { state: ActorState::Dead, failure: why, ..TreeLine::running(0, "model big") };
    sick.tree = vec![TreeLine::running(0, "links"), dead];
    let status = ClusterStatus { nodes: vec![sick], ..ClusterStatus::default() };
    let text = table(&status);
    assert!(text.ends_with("\nnode-1: model big does not run: its file is cut short\n"), "{text}");
}
