//! How processes start, stop and come back; what a person reads when they cannot. With the mock engine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};

use client::Ask;
use nix::sys::signal::Signal;
use tests::cluster::{Cluster, Engine, MODEL, Plan, coordinator_command, run};
use tests::process::Process;
use tests::{build, wait};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs what should fail at its start, and gives what it says.
async fn fails(command: Command, code: i32) -> String {
    let output = tokio::time::timeout(wait::PATIENCE, run(command)).await;
    let output = output.unwrap_or_else(|_| panic!("it runs, although it cannot"));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

async fn answers(cluster: &Cluster) {
    let client = cluster.client().await;
    let ask = Ask::chat(MODEL).user("Hello!").max_tokens(4);
    let whole = client.submit(ask).await.unwrap().collect().await.unwrap();
    assert!(!whole.text().is_empty());
    client.close().await;
}

#[tokio::test]
async fn sigterm_ends_every_process_in_order() {
    let mut cluster = Cluster::start(2, Engine::Mock).await;
    answers(&cluster).await;
    let mut nodes: Vec<Process> = cluster.nodes.drain(..).flatten().collect();
    for node in &mut nodes {
        node.signal(Signal::SIGTERM);
    }
    for node in &mut nodes {
        let status = node.end().await;
        assert!(status.success(), "a node: {status}\n{}", node.tail());
    }
    cluster.ready(0).await;
    cluster.coordinator.signal(Signal::SIGTERM);
    let status = cluster.coordinator.end().await;
    assert!(status.success(), "the coordinator: {status}\n{}", cluster.coordinator.tail());
}

#[tokio::test]
async fn nodes_come_back_to_a_coordinator_that_was_restarted() {
    let mut cluster = Cluster::start(2, Engine::Mock).await;
    let key = cluster.reach.key.clone();
    cluster.coordinator.signal(Signal::SIGKILL);
    cluster.coordinator.end().await;
    cluster.restart_coordinator().await;
    assert_eq!(cluster.reach.key, key, "keys outlive a restart");
    cluster.ready(2).await;
    answers(&cluster).await;
}

#[tokio::test]
async fn a_node_with_the_token_of_another_cluster_is_told() {
    let (cluster, other) = (Cluster::start(0, Engine::Mock).await, Cluster::start(0, Engine::Mock).await);
    let foreign = with_token(&cluster, &other.reach.token_file);
    let said = fails(foreign, 1).await;
    assert!(said.contains("trusted cluster") && said.contains("join token"), "{said}");

    let secret = std::fs::read_to_string(&cluster.reach.token_file).unwrap();
    let (known, _) = secret.trim().rsplit_once('.').unwrap();
    let forged = cluster.folder().join("forged.token");
    std::fs::write(&forged, format!("{known}.{}", "0".repeat(64))).unwrap();
    let said = fails(with_token(&cluster, &forged), 1).await;
    assert!(said.contains("token is not of this cluster"), "{said}");
    assert!(cluster.coordinator.log().contains("token"), "{}", cluster.coordinator.log());
}

fn with_token(cluster: &Cluster, token: &Path) -> Command {
    let mut command = Command::new(build::program("troupe-node"));
    command.current_dir(cluster.folder());
    for argument in cluster.node_command(0).get_args() {
        let is_token = Path::new(argument) == cluster.reach.token_file;
        command.arg(if is_token { token.as_os_str() } else { argument });
    }
    command
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = tcp.local_addr().unwrap().to_string();
    let said = fails(coordinator_command(folder.path(), &taken, "127.0.0.1:0"), 1).await;
    assert!(said.contains(&taken) && said.contains("in use"), "{said}");

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = udp.local_addr().unwrap().to_string();
    let said = fails(coordinator_command(folder.path(), "127.0.0.1:0", &taken), 1).await;
    assert!(said.contains(&taken) && said.contains("in use"), "{said}");
}

#[tokio::test]
async fn a_bad_configuration_tells_all_its_faults() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cluster.toml");
    let faults = "[coordinator]\nmax_requests = 0\nspeed = 3\n\n[wire]\nkeep_alive = \"soon\"\n";
    std::fs::write(&config, faults).unwrap();
    for program in ["troupe-coordinator", "troupe-node"] {
        let mut command = Command::new(build::program(program));
        command.current_dir(folder.path()).arg("--config").arg(&config);
        let said = fails(command, 2).await;
        for fault in ["max_requests", "speed", "keep_alive", "soon"] {
            assert!(said.contains(fault), "{program} does not tell of {fault}: {said}");
        }
    }
}

#[tokio::test]
async fn a_model_that_is_none_is_told() {
    let cluster = Cluster::start(0, Engine::Torch).await;
    let broken = cluster.folder().join("broken.gguf");
    std::fs::write(&broken, b"GGUF\x03\0\0\0 and then nothing").unwrap();
    let mut command = Command::new(build::program("troupe-node"));
    command.current_dir(cluster.folder()).args(["--join", &cluster.reach.quic]);
    command.arg("--token-file").arg(&cluster.reach.token_file).arg("--state").arg(cluster.folder().join("node-1"));
    command.arg("--model").arg(format!("{MODEL}={}", broken.display()));
    let said = fails(command, 1).await;
    assert!(said.contains("broken.gguf"), "{said}");
}

#[tokio::test]
async fn people_see_who_runs_and_what_does_not() {
    let broken = ["--model".to_owned(), "broken=nowhere.gguf".to_owned()];
    let mut plan = Plan::new(1, Engine::Torch);
    plan.node_arguments = broken.into();
    let cluster = Cluster::of(plan).await;
    let tree = wait::until("the node tells who runs", || async {
        let text = text(&run(cluster.troupe(&["status", "--tree"])).await);
        if text.contains("model broken") { Ok(text) } else { Err(text) }
    })
    .await;
    let lines = [
        "supervisor",
        "├─ doors",
        "├─ health",
        "└─ cost",
        "└─ link to node-1",
        "model smollm2",
        "└─ worker smollm2",
        "links",
    ];
    for line in lines {
        assert!(tree.contains(line), "no line of {line}:\n{tree}");
    }
    let broken = tree.lines().find(|line| line.contains("model broken")).unwrap();
    assert!(broken.contains("dead") && broken.contains("nowhere.gguf"), "{tree}");
    let status = text(&run(cluster.troupe(&["status"])).await);
    assert!(status.contains("node-1: model broken does not run: ") && status.contains("nowhere.gguf"), "{status}");
}
