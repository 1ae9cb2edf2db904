//! A way that lets packets through in one direction only: between a node and the coordinator stands a relay. With the
//! mock engine.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use client::Ask;
use protocol::answer::NodeState;
use tests::cluster::{Cluster, Engine, MODEL};
use tests::process::Process;
use tests::wait;
use tokio::net::UdpSocket;

/// What a relay lets through.
#[derive(Default)]
struct Cut {
    to_node: AtomicBool,
    to_coordinator: AtomicBool,
}

/// Passes on what one node and the coordinator say to each other. The address is the node's to dial.
async fn relay(coordinator: SocketAddr, cut: Arc<Cut>) -> SocketAddr {
    let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    far.connect(coordinator).await.unwrap();
    let address = near.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut there, mut back) = (vec![0; 65_536], vec![0; 65_536]);
        let mut node = None;
        loop {
            tokio::select! {
                Ok((length, from)) = near.recv_from(&mut there) => {
                    node = Some(from);
                    if !cut.to_coordinator.load(Ordering::Relaxed) {
                        drop(far.send(&there[..length]).await);
                    }
                }
                Ok(length) = far.recv(&mut back) => {
                    if let Some(node) = node.filter(|_| !cut.to_node.load(Ordering::Relaxed)) {
                        drop(near.send_to(&back[..length], node).await);
                    }
                }
            }
        }
    });
    address
}

/// A node that knows the coordinator by the relay's address alone.
fn behind(cluster: &Cluster, relay: SocketAddr) -> Process {
    let usual = cluster.node_command(1);
    let mut command = Command::new(usual.get_program());
    command.current_dir(cluster.folder());
    let relay = relay.to_string();
    command.args(usual.get_args().map(|word| if word == cluster.reach.quic.as_str() { relay.as_ref() } else { word }));
    Process::start("node-2", command, cluster.folder())
}

async fn state(client: &client::Client) -> Option<NodeState> {
    let status = client.status().await.unwrap();
    status.nodes.iter().find(|node| node.name == "node-2").map(|node| node.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_in_one_direction_costs_no_answer_and_heals() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    let cut = Arc::new(Cut::default());
    let relay = relay(cluster.reach.quic.parse().unwrap(), Arc::clone(&cut)).await;
    let mut node = behind(&cluster, relay);
    cluster.ready(2).await;
    let client = cluster.client().await;
    for one_way in [&cut.to_node, &cut.to_coordinator] {
        one_way.store(true, Ordering::Relaxed);
        // Some are placed there before anybody can know.
        let asked = (0..12).map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let ask = Ask::chat(MODEL).user(format!("Question {number}")).max_tokens(8);
                client.submit(ask).await.unwrap().collect().await.unwrap().node().to_owned()
            })
        });
        for answer in asked.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap(), "node-1", "who cannot be heard, or cannot hear, answers nothing");
        }
        wait::until("the node gets nothing more", || async {
            match state(&client).await {
                None | Some(NodeState::Suspect) => Ok(()),
                other => Err(other),
            }
        })
        .await;
        one_way.store(false, Ordering::Relaxed);
        cluster.ready(2).await;
    }
    assert_eq!(node.ended(), None, "it has only waited");
    client.close().await;
}
