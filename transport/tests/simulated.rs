//! QUIC over a simulated network that loses, delays and parts: what was sent arrives whole, once and in order, or both ends
//! hear that the other is gone. In virtual time, from a seed.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::frame::Frame;
use protocol::message::Begun;
use protocol::units::Tokens;
use tokio::sync::mpsc;
use tokio::time::Instant;
use transport::connection::Connection;
use transport::error::{Lost, StreamError};
use transport::frames::RecvError;
use transport::pki::{ClusterAuthority, Credentials};
use transport::quic::{Dialler, Listener};

#[path = "support/ends.rs"]
#[expect(dead_code, reason = "shared with the contract")]
mod support;
#[path = "support/udp.rs"]
mod udp;

use support::{NODE, TIMING, now};
use udp::Socket;

/// Frames of an answer, one each 10 ms.
const FRAMES: u64 = 400;

fn begun(number: u64) -> Frame {
    Begun { cached: Tokens(number) }.into()
}

/// What the coordinator and a node that has joined hold.
fn credentials() -> (Credentials, Credentials) {
    let folder = tempfile::tempdir().unwrap();
    let authority = ClusterAuthority::load_or_create(folder.path(), now()).unwrap();
    let request = transport::pki::NodeRequest::new(NODE).unwrap();
    let certificate = authority.sign_node(&request.request, NODE, now()).unwrap();
    let node = request.signed(certificate.to_vec(), authority.certificate().to_vec());
    (authority.coordinator(now()).unwrap(), node)
}

/// What happens to the way between the two.
#[derive(Clone, Copy)]
enum Way {
    Open,
    /// Nothing passes for so long, once a quarter of the answer is there.
    Parted(Duration),
    /// What the node says does not reach the coordinator, from then on.
    Deaf,
}

/// A node answers on the first stream that the coordinator opens. What the coordinator reads of it: numbers, and at last
/// the end or how it was lost; and when that was.
fn answer(seed: u64, lost: f64, way: Way) -> (Vec<u64>, Result<(), RecvError>, Duration) {
    let (coordinator, node) = credentials();
    let node = Arc::new(node);
    let (said, mut told) = mpsc::channel(1);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .fail_rate(lost)
        .repair_rate(if lost > 0.0 { 0.5 } else { 0.0 })
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .simulation_duration(Duration::from_secs(300))
        .udp_capacity(4_096)
        .build();
    sim.host("node", move || {
        let node = Arc::clone(&node);
        async move {
            let remote = SocketAddr::new(turmoil::lookup("coordinator"), 4_433);
            let connection = Dialler::new(TIMING).node_over(Socket::bind(0).await?, remote, &node, !seed).await?;
            while let Ok((mut writer, _reader)) = connection.accept().await {
                for number in 0..FRAMES {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if writer.send(begun(number)).await.is_err() {
                        break;
                    }
                }
                writer.finish();
            }
            Ok(())
        }
    });
    sim.client("coordinator", async move {
        let mut listener = Listener::over(Socket::bind(4_433).await?, &coordinator, TIMING, seed)?;
        let incoming = listener.accept().await.unwrap();
        let began = Instant::now();
        let (mut writer, mut reader) = incoming.connection.open().await?;
        writer.send(begun(0)).await?;
        let mut came = Vec::new();
        let end = loop {
            match reader.recv().await {
                Ok(Some(Frame::Begun(Begun { cached }))) => came.push(cached.0),
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
            match way {
                Way::Parted(span) if came.len() as u64 == FRAMES / 4 => {
                    turmoil::partition("node", "coordinator");
                    tokio::spawn(async move {
                        tokio::time::sleep(span).await;
                        turmoil::repair("node", "coordinator");
                    });
                }
                Way::Deaf if came.len() as u64 == FRAMES / 4 => turmoil::partition_oneway("node", "coordinator"),
                _ => {}
            }
        };
        said.try_send((came, end, began.elapsed()))?;
        Ok(())
    });
    sim.run().unwrap();
    told.try_recv().unwrap()
}

#[test]
fn an_answer_is_whole_over_a_way_that_loses() {
    for seed in 0..4 {
        let (came, end, _) = answer(seed, 0.02, Way::Open);
        assert_eq!((came, end), ((0..FRAMES).collect(), Ok(())), "seed {seed}");
    }
}

#[test]
fn a_way_that_is_parted_for_less_than_the_patience_loses_nothing() {
    let parted = TIMING.idle_timeout / 4;
    for seed in 0..4 {
        let (came, end, took) = answer(seed, 0.0, Way::Parted(parted));
        assert_eq!((came, end), ((0..FRAMES).collect(), Ok(())), "seed {seed}");
        assert!(took > parted, "seed {seed}: {took:?}");
    }
}

#[test]
fn a_way_that_is_parted_for_longer_ends_in_silence_within_the_patience() {
    for way in [Way::Parted(TIMING.idle_timeout * 2), Way::Deaf] {
        let (came, end, took) = answer(1, 0.0, way);
        assert_eq!(came, (0..came.len() as u64).collect::<Vec<_>>(), "none twice, none left out");
        assert_eq!(end, Err(StreamError::Lost(Lost::Silent).into()));
        let begun = Duration::from_millis(10) * came.len() as u32;
        assert!(took < begun + TIMING.idle_timeout * 2, "{took:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for (lost, way) in [(0.02, Way::Open), (0.0, Way::Parted(TIMING.idle_timeout / 4))] {
        assert_eq!(answer(7, lost, way), answer(7, lost, way));
    }
}
