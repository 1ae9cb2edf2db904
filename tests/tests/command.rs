//! The command `troupe`: what it prints, and how it ends. With the mock engine.

use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::cluster::{Cluster, Engine, MODEL, run, troupe};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The one line of an error, and its exit code.
fn error(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with("troupe: ") && said.trim_end().lines().count() == 1, "{said}");
    said
}

#[tokio::test]
async fn status_shows_the_nodes() {
    let cluster = Cluster::start(2, Engine::Mock).await;
    let table = out(&run(cluster.troupe(&["status"])).await);
    for word in ["NODE", "node-1", "node-2", "ready", MODEL] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
}

#[tokio::test]
async fn chat_keeps_a_conversation_and_the_only_model_is_its_default() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    // The mock's text may hold line breaks; with this seed it holds none, so that a line is an answer.
    let mut command = cluster.troupe(&["chat", "--max-tokens", "4", "--seed", "1"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"Hello!\n/reset\nAgain!\n/quit\nnever read\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(out(&output).lines().filter(|line| !line.is_empty()).count(), 2, "two answers: {}", out(&output));
}

#[tokio::test]
async fn submit_prints_pieces_as_json() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    let arguments = ["submit", "--model", MODEL, "--prompt", "Once", "--max-tokens", "4", "--jsonl"];
    let output = run(cluster.troupe(&arguments)).await;
    let lines: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"started"), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"done"), "{kinds:?}");
    assert_eq!(lines.last().unwrap()["completion_tokens"], 4);
    assert_eq!(lines[0]["node"], "node-1");
}

#[tokio::test]
async fn every_refusal_is_one_line_with_its_exit_code() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    let reach = &cluster.reach;

    let unknown = run(cluster.troupe(&["submit", "--model", "gpt-9", "--prompt", "x"])).await;
    assert!(error(&unknown, 1).contains("gpt-9"));
    let range = run(cluster.troupe(&["chat", "--ask", "x", "--temperature", "9"])).await;
    assert!(error(&range, 2).contains("temperature"));

    let wrong = cluster.folder().join("wrong.key");
    std::fs::write(&wrong, "wrong\n").unwrap();
    let mut command = troupe(cluster.folder());
    command.args(["--server", &reach.quic, "status", "--key-file"]).arg(&wrong).arg("--ca-file").arg(&reach.ca_file);
    assert!(error(&run(command).await, 3).contains("key"));

    let mut command = troupe(cluster.folder());
    command
        .args(["--server", &reach.quic, "status", "--fingerprint", &"0".repeat(64), "--key-file"])
        .arg(&reach.key_file);
    assert!(error(&run(command).await, 3).contains("trusted cluster"));

    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = troupe(elsewhere.path());
    command.arg("status");
    assert!(error(&run(command).await, 2).contains("--key-file"));
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_error() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    let arguments = ["submit", "--model", MODEL, "--prompt", "Once", "--max-tokens", "1000", "--jsonl"];
    let mut command = cluster.troupe(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    cluster.idle().await;
}

#[tokio::test]
async fn ctrl_c_cancels_the_answer_and_ends_with_130() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    let arguments = ["submit", "--model", MODEL, "--prompt", "Once", "--max-tokens", "4000", "--jsonl"];
    let mut child = cluster.troupe(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("started"), "{first}");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    // Perhaps nothing more came before the signal.
    for line in lines.map(Result::unwrap) {
        assert!(!line.contains("done"), "it was cancelled before its end: {line}");
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    cluster.idle().await;
}
