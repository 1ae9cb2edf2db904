//! Two coordinators of one cluster, each with its own links to all nodes. With the mock engine.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use client::{Ask, Client, ConnectOptions, Trust};
use nix::sys::signal::Signal;
use tests::cluster::{Cluster, Engine, MODEL, Reach, run};
use tests::http::Http;
use tests::process::Process;
use tests::wait;

async fn sees_two(cluster: &Cluster, reach: &Reach) {
    wait::until("a coordinator sees both nodes", || async {
        let mut command = tests::cluster::troupe(cluster.folder());
        command.args(["--server", &reach.quic]).arg("--key-file").arg(&reach.key_file);
        command.arg("--ca-file").arg(&reach.ca_file).args(["status", "--json"]);
        let said = String::from_utf8_lossy(&run(command).await.stdout).into_owned();
        let ready = said.matches("\"ready\"").count();
        if ready == 2 { Ok(()) } else { Err(said) }
    })
    .await;
}

async fn answers(client: &Client, number: usize) -> String {
    let ask = Ask::chat(MODEL).user(format!("Question {number}")).max_tokens(8).temperature(0.0);
    client.submit(ask).await.unwrap().collect().await.unwrap().text().to_owned()
}

#[tokio::test]
async fn clients_of_a_lost_coordinator_go_to_the_other() {
    let mut cluster = Cluster::start(0, Engine::Mock).await;
    let (_second, other) = cluster.second_coordinator().await;
    assert_eq!(other.key, cluster.reach.key, "one cluster has one admin key");
    let _nodes: Vec<Process> = (0..2)
        .map(|index| {
            // It joins with the first, and its certificate holds with both.
            let mut command = cluster.node_command(index);
            command.args(["--join", &other.quic]);
            Process::start(&format!("node-{}", index + 1), command, cluster.folder())
        })
        .collect();
    sees_two(&cluster, &cluster.reach).await;
    sees_two(&cluster, &other).await;

    for reach in [&cluster.reach, &other] {
        let models = Http::new(&reach.http, Some(&cluster.reach.key)).get("/v1/models").await;
        assert_eq!(models.status, 200, "both serve HTTP with the same key");
    }
    let addresses = [cluster.reach.quic.clone(), other.quic.clone()];
    let trust = Trust::CaFile(cluster.reach.ca_file.clone());
    let client = Client::connect(ConnectOptions::to_any(addresses, cluster.reach.key.as_str(), trust)).await.unwrap();
    let before = answers(&client, 0).await;
    for number in 0..20 {
        if number == 5 {
            cluster.coordinator.signal(Signal::SIGKILL);
            cluster.coordinator.end().await;
        }
        assert!(!answers(&client, number).await.is_empty(), "request {number}");
    }
    assert_eq!(answers(&client, 0).await, before, "the other coordinator's answer is the same");

    cluster.restart_coordinator().await;
    sees_two(&cluster, &cluster.reach).await;
    assert!(!answers(&cluster.client().await, 1).await.is_empty());
}
