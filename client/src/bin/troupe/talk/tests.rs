use protocol::answer::{ModelStatus, NodeState, NodeStatus};
use protocol::units::{Blocks, Tokens};

use super::*;

fn cluster(nodes: &[&[&str]]) -> ClusterStatus {
    let model = |name: &&str| ModelStatus {
        model: (*name).to_owned(),
        dtype: "f32".into(),
        device: "cpu".into(),
        context: Tokens::of(2048),
        running: 0,
        waiting: 0,
        prefill: Tokens::ZERO,
        blocks_used: Blocks::ZERO,
        blocks_total: Blocks::of(10),
        steps: 0,
    };
    let node = |models: &&[&str]| NodeStatus {
        id: "1".into(),
        name: "n".into(),
        state: NodeState::Ready,
        build: "0".into(),
        address: "a".into(),
        models: models.iter().map(model).collect(),
        silent: std::time::Duration::ZERO,
        tree: Vec::new(),
        places: Vec::new(),
    };
    ClusterStatus { cluster: "c".into(), nodes: nodes.iter().map(node).collect(), requests: 0, tree: Vec::new() }
}

#[test]
fn the_only_model_is_the_default() {
    assert_eq!(only_model(&cluster(&[&["a"], &["a"]])).unwrap(), "a");
}

#[test]
fn without_exactly_one_model_the_choice_is_named() {
    let several = only_model(&cluster(&[&["b"], &["a", "b"]])).unwrap_err().to_string();
    assert!(several.ends_with("--model: a, b"), "{several}");
    let none = only_model(&cluster(&[&[]])).unwrap_err().to_string();
    assert!(none.contains("no node serves"), "{none}");
}

#[test]
fn a_value_out_of_range_is_refused_before_it_is_sent() {
    let wild = Sampling { temperature: Some(9.0), max_tokens: Some(0), ..Sampling::default() };
    let error = wild.check().unwrap_err().to_string();
    assert!(error.contains("temperature is 9") && error.contains("max_tokens is 0"), "{error}");
    assert!(Sampling::default().check().is_ok());
}

#[test]
fn what_an_answer_cost_is_told_if_it_cost_anything() {
    let usage = Usage { prompt: Tokens(12), cached: Tokens(8), completion: Tokens(5), cost: Nanos(1_500_000) };
    assert_eq!(cost_line(&usage).unwrap(), "[0.0015 for 12 tokens, of which 8 cached, and 5 back]");
    assert_eq!(cost_line(&Usage { cost: Nanos::ZERO, ..usage }), None);
}
