use super::*;

#[test]
fn the_ready_file_is_read_when_it_is_there_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ready.json");
    assert!(read_ready(&path).unwrap().is_none(), "not there yet");
    let text =
        r#"{"http":"127.0.0.1:1","quic":"127.0.0.1:2","admin_key_file":"k","join_token_file":"t","ca_file":"c"}"#;
    fs::write(&path, text).unwrap();
    let reach = read_ready(&path).unwrap().unwrap();
    assert_eq!((reach.http.as_str(), reach.quic.as_str()), ("127.0.0.1:1", "127.0.0.1:2"));
    fs::write(&path, text.replace("ca_file", "x")).unwrap();
    assert!(read_ready(&path).unwrap_err().to_string().contains("`ca_file`"));
}

#[test]
fn a_cluster_that_listens_everywhere_is_reached_by_loopback() {
    assert_eq!(from_here("0.0.0.0:7600".into()), "127.0.0.1:7600");
    assert_eq!(from_here("[::]:7600".into()), "[::1]:7600");
    assert_eq!(from_here("192.168.1.5:7600".into()), "192.168.1.5:7600");
}

#[test]
fn only_ready_nodes_with_our_model_count() {
    let node = |state: &str, model: &str| serde_json::json!({"state": state, "models": [{"model": model}]});
    let status = serde_json::json!({
        "nodes": [node("ready", MODEL), node("starting", MODEL), node("ready", "other"), {"state": "ready", "models": []}]
    });
    assert_eq!(count_serving(&status), 1);
    assert_eq!(count_serving(&serde_json::Value::Null), 0);
}

#[test]
fn a_signal_ends_the_waiting() {
    let (interrupts, tell) = Interrupts::by_hand();
    tell.send(()).unwrap();
    let waited: Result<(), _> = wait_for(&mut [], &interrupts, || Ok(None));
    assert!(matches!(waited, Err(ClusterError::Interrupted)));
}

#[test]
fn nodes_never_share_less_than_one_thread() {
    assert_eq!(threads_per_node(100_000), 1);
    assert!(threads_per_node(1) >= 1);
}
