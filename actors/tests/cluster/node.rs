//! A node that follows a script, frame by frame.

use std::sync::Arc;
use std::time::Duration;

use actors::mock;
use protocol::codec;
use protocol::engine::{Card, HASHING, Load, RefusalReason};
use protocol::frame::Frame;
use protocol::ids::{Incarnation, NodeId, TokenId};
use protocol::job::{Finish, Job, JobUsage, Sampled};
use protocol::message::{
    Begun, Drain, Finished, Granted, Hello, Refused, Report, Role, Submit, TextChunk, TokenBatch, WorkerReport,
};
use protocol::units::{Blocks, Tokens};
use protocol::version::Versions;
use tokio::sync::{Notify, mpsc, watch};
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter};
use transport::memory::MemoryConnection;

/// What a node does with a job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Script {
    /// Says this and ends the turn.
    Say(&'static str),
    /// Says this again and again.
    SayForEver(&'static str),
    /// Refuses; come back in three seconds.
    Refuse,
    /// Serves as many streams as it may already.
    Full,
    /// Never answers.
    Silence,
    /// Grants and computes nothing.
    Stall,
    /// Loses the connection when asked.
    Vanish,
    /// Answers with what does not belong there.
    Nonsense,
    /// Says this and loses the connection.
    DieAfter(&'static str),
}

pub(crate) fn card() -> Card {
    Card {
        model: "mock".into(),
        architecture: "mock".into(),
        weights: [0; 32],
        text: mock::bundle().hash(),
        context: Tokens(1000),
        vocabulary: 257,
        block: Tokens(32),
        blocks: Blocks(10),
        jobs: 10,
        dtype: "none".into(),
        device: "none".into(),
        block_bytes: 4096,
    }
}

pub(crate) fn hello(id: u64) -> Hello {
    Hello {
        versions: Versions::OURS,
        node: NodeId(id),
        name: format!("node-{id}"),
        incarnation: Incarnation(1),
        build: "test".into(),
        cards: vec![card()],
        hashing: HASHING,
        role: Role::Any,
        peer: None,
    }
}

/// A running script.
pub(crate) struct Node {
    connection: Arc<MemoryConnection>,
    muted: watch::Sender<bool>,
    drain: mpsc::Sender<()>,
    cancelled: Arc<Notify>,
}

impl Node {
    /// Follows the script on a connection whose hello was welcomed.
    pub(crate) fn new(connection: Arc<MemoryConnection>, control: (FrameWriter, FrameReader), script: Script) -> Self {
        let (muted, mute) = watch::channel(false);
        let (drain, drained) = mpsc::channel(1);
        let cancelled = Arc::new(Notify::new());
        tokio::spawn(report(control, mute, drained));
        tokio::spawn(serve(Arc::clone(&connection), script, Arc::clone(&cancelled)));
        Self { connection, muted, drain, cancelled }
    }

    pub(crate) fn mute(&self, muted: bool) {
        self.muted.send_replace(muted);
    }

    pub(crate) fn sever(&self) {
        self.connection.sever();
    }

    pub(crate) async fn drain(&self) {
        self.drain.send(()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Waits until an attempt was cancelled.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

async fn report(control: (FrameWriter, FrameReader), mute: watch::Receiver<bool>, mut drain: mpsc::Receiver<()>) {
    let (mut writer, _reader) = control;
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut draining = false;
    for sequence in 1.. {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(()) = drain.recv() => {
                writer.send(Drain {}).await.unwrap();
                draining = true;
            }
        }
        let worker = WorkerReport { ready: true, ..WorkerReport::default() };
        let report = Report { incarnation: Incarnation(1), sequence, workers: vec![worker], draining };
        if !*mute.borrow() && writer.send(report).await.is_err() {
            return;
        }
    }
}

async fn serve(connection: Arc<MemoryConnection>, script: Script, cancelled: Arc<Notify>) {
    while let Ok((mut writer, mut reader)) = connection.accept().await {
        let (connection, cancelled) = (Arc::clone(&connection), Arc::clone(&cancelled));
        tokio::spawn(async move {
            match reader.recv().await {
                Ok(Some(Frame::FetchText(_))) => {
                    let mut bytes = Vec::new();
                    codec::encode(&mock::bundle(), &mut bytes).unwrap();
                    writer.send(TextChunk { bytes, last: true }).await.unwrap();
                    writer.finish();
                }
                Ok(Some(Frame::Submit(_))) if matches!(script, Script::Full) => {
                    writer.reset(Code::Full);
                    reader.stop(Code::Full);
                }
                Ok(Some(Frame::Submit(Submit { job, .. }))) => {
                    let stopped = writer.stopped();
                    tokio::select! {
                        _ = stopped => cancelled.notify_one(),
                        () = follow(script, &mut writer, &job, &connection) => writer.finish(),
                    }
                }
                _ => {}
            }
        });
    }
}

async fn follow(script: Script, writer: &mut FrameWriter, job: &Job, connection: &MemoryConnection) {
    let granted = Granted { cached: Tokens(0), queue: Tokens(0) };
    match script {
        Script::Refuse => {
            let reason = RefusalReason::QueueFull { limit: 1 };
            let refused = Refused { reason, retry_after: Some(Duration::from_secs(3)), load: Load::default() };
            writer.send(refused).await.unwrap();
        }
        Script::Full | Script::Silence => std::future::pending().await,
        Script::Vanish => connection.sever(),
        Script::Nonsense => writer.send(Drain {}).await.unwrap(),
        Script::Stall => {
            writer.send(granted).await.unwrap();
            std::future::pending::<()>().await;
        }
        Script::Say(words) => {
            writer.send(granted).await.unwrap();
            writer.send(Begun { cached: Tokens(0) }).await.unwrap();
            let said = say(writer, words, 0).await + 1;
            let end = job.limits.stop_ids[0];
            send(writer, vec![end], said - 1).await;
            let usage = JobUsage { generated: Tokens(said), ..JobUsage::default() };
            writer.send(Finished { finish: Finish::Stop, usage }).await.unwrap();
        }
        Script::SayForEver(words) => {
            writer.send(granted).await.unwrap();
            let mut said = 0;
            loop {
                said += say(writer, words, said).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Script::DieAfter(words) => {
            writer.send(granted).await.unwrap();
            say(writer, words, 0).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            connection.sever();
        }
    }
}

/// One token per byte. Returns how many.
async fn say(writer: &mut FrameWriter, words: &str, first: u64) -> u64 {
    let text = text::Text::new(mock::bundle()).unwrap();
    let tokens = text.encode(words, text::Special::Plain).unwrap();
    let count = tokens.len() as u64;
    send(writer, tokens, first).await;
    count
}

async fn send(writer: &mut FrameWriter, tokens: Vec<TokenId>, first: u64) {
    let tokens = tokens.into_iter().map(|token| Sampled { token, logprobs: None }).collect();
    // A reader that has left is met by the next write too.
    let _ = writer.send(TokenBatch { first: Tokens(first), tokens }).await;
}
