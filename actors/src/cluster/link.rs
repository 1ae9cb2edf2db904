//! One connection to one node: its hello, its reports, its end.

use std::sync::Arc;
use std::time::Duration;

use protocol::engine::Card;
use protocol::frame::Frame;
use protocol::ids::{ClusterId, NodeId};
use protocol::message::{Hello, Order, Refusal, Welcome};
use protocol::serving::Serving;
use protocol::version::Versions;
use transport::connection::Connection;
use transport::error::{Code, Lost};
use transport::frames::{FrameReader, FrameWriter, RecvError};

use super::directory::{Directory, Membership};
use super::events;
use super::index::{IndexedNode, PrefixIndex};
use super::texts::Texts;

/// Control frames go before answers.
const CONTROL: i32 = 20;

/// What a link needs to know.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// The cluster.
    pub cluster: ClusterId,
    /// How long a hello may take.
    pub patience: Duration,
    /// Where it is kept what the node has cached.
    pub index: Arc<PrefixIndex>,
}

/// Why a link came to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// The node was not taken in.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The node has said goodbye.
    #[error("it leaves: {0}")]
    Goodbye(String),
    /// The node has broken the protocol.
    #[error("it broke the protocol: {0}")]
    Fault(String),
    /// The connection is gone.
    #[error("{0}")]
    Lost(String),
}

/// Serves a node's connection to its end.
pub async fn serve(
    connection: Arc<dyn Connection>,
    certified: NodeId,
    settings: LinkSettings,
    directory: Arc<Directory>,
    texts: Arc<Texts>,
) -> LinkEnd {
    let end = run(&connection, certified, &settings, &directory, &texts).await;
    let (code, reason) = match &end {
        LinkEnd::Refused(refusal) => (Code::Refused, refusal.to_string()),
        LinkEnd::Fault(why) => (Code::Unexpected, why.clone()),
        LinkEnd::Goodbye(_) | LinkEnd::Lost(_) => (Code::Done, String::new()),
    };
    connection.close(code, &reason);
    end
}

async fn run(
    connection: &Arc<dyn Connection>,
    certified: NodeId,
    settings: &LinkSettings,
    directory: &Arc<Directory>,
    texts: &Arc<Texts>,
) -> LinkEnd {
    let opened = tokio::time::timeout(settings.patience, connection.accept()).await;
    let (mut writer, mut reader) = match opened {
        Ok(Ok(stream)) => stream,
        Ok(Err(lost)) => return LinkEnd::Lost(lost.to_string()),
        Err(_) => return Refusal::Unexpected("nothing came".to_owned()).into(),
    };
    writer.set_priority(CONTROL);
    let joined = match reader.recv_within(settings.patience, "a hello").await {
        Ok(Frame::Hello(hello)) => join(hello, certified, connection, directory),
        Ok(other) => Err(Refusal::Unexpected(format!("got {:?}", other.kind()))),
        Err(RecvError::Stream(error)) => return LinkEnd::Lost(error.to_string()),
        Err(error) => Err(Refusal::Unexpected(error.to_string())),
    };
    let (hello, membership, version) = match joined {
        Ok(joined) => joined,
        Err(refusal) => {
            if writer.send(refusal.clone()).await.is_ok() {
                writer.finish();
                // The node closes when it has read why.
                let _ = tokio::time::timeout(settings.patience, connection.closed()).await;
            }
            return refusal.into();
        }
    };
    let welcome = Welcome { version, cluster: settings.cluster, report_every: directory.report_every() };
    if let Err(error) = writer.send(welcome).await {
        return LinkEnd::Lost(error.to_string());
    }
    tracing::info!("node {} has connected from {}: {}", hello.name, connection.peer().address, models(&hello.cards));
    let told = Told { name: &hello.name, connection, texts, indexed: settings.index.join(hello.node, &hello.cards) };
    told.fetch_words(&hello.cards);
    let indexed = &told.indexed;
    tokio::select! {
        biased;
        end = listen(reader, writer, membership, &told) => end,
        lost = streams(connection, &hello.name, indexed) => LinkEnd::Lost(lost.to_string()),
    }
}

/// Takes the streams that the node opens, one at a time: it has no more than one.
async fn streams(connection: &Arc<dyn Connection>, name: &str, indexed: &IndexedNode) -> Lost {
    loop {
        match connection.accept().await {
            Ok((writer, reader)) => events::listen(name, indexed, writer, reader).await,
            Err(lost) => return lost,
        }
    }
}

/// Who hears of other models.
struct Told<'a> {
    name: &'a str,
    connection: &'a Arc<dyn Connection>,
    texts: &'a Arc<Texts>,
    indexed: IndexedNode,
}

impl Told<'_> {
    /// The node serves these from now on.
    fn serving(&self, serving: Serving, membership: &Membership) -> Result<(), Refusal> {
        let cards = serving.cards.clone();
        membership.serving(serving)?;
        if self.indexed.serves(&cards) {
            tracing::info!("node {} serves {} now", self.name, models(&cards));
            self.fetch_words(&cards);
        }
        Ok(())
    }

    /// Fetches what a request will need, before there is one.
    fn fetch_words(&self, cards: &[Card]) {
        for card in cards {
            let (texts, connection, hash) = (Arc::clone(self.texts), Arc::clone(self.connection), card.text);
            tokio::spawn(async move {
                // A failure is met again, and reported, when a request needs the words.
                if let Err(error) = texts.get(hash, connection).await {
                    tracing::warn!("a model's words cannot be had: {error}");
                }
            });
        }
    }
}

fn models(cards: &[Card]) -> String {
    let all: Vec<String> =
        cards.iter().map(|card| format!("{} ({}, {})", card.model, card.dtype, card.device)).collect();
    if all.is_empty() { "no model".to_owned() } else { all.join(", ") }
}

type Joined = (Hello, Membership, protocol::version::Version);

fn join(
    hello: Hello,
    certified: NodeId,
    connection: &Arc<dyn Connection>,
    directory: &Arc<Directory>,
) -> Result<Joined, Refusal> {
    let version = Versions::OURS.agree(hello.versions).map_err(Refusal::Version)?;
    if hello.node != certified {
        return Err(Refusal::Identity { certified, claimed: hello.node });
    }
    let membership = directory.join(hello.clone(), Arc::clone(connection))?;
    Ok((hello, membership, version))
}

/// Reads what the node says until it says no more. The writer is held so that the stream stays open.
async fn listen(
    mut reader: FrameReader,
    mut writer: FrameWriter,
    mut membership: Membership,
    told: &Told<'_>,
) -> LinkEnd {
    let end = loop {
        let frame = tokio::select! {
            biased;
            action = membership.ordered() => {
                if let Err(lost) = writer.send(Order { action }).await {
                    break LinkEnd::Lost(lost.to_string());
                }
                continue;
            }
            frame = reader.recv() => frame,
        };
        match frame {
            Ok(Some(Frame::Report(report))) => membership.report(report),
            Ok(Some(Frame::Drain(_))) => membership.drain(),
            Ok(Some(Frame::Tree(tree))) => membership.tree(tree),
            Ok(Some(Frame::Serving(serving))) => {
                if let Err(refusal) = told.serving(serving, &membership) {
                    break refusal.into();
                }
            }
            Ok(Some(Frame::Goodbye(goodbye))) => break LinkEnd::Goodbye(goodbye.reason),
            Ok(Some(other)) => break LinkEnd::Fault(format!("{:?} on the control stream", other.kind())),
            Ok(None) => break LinkEnd::Lost("the control stream was finished".to_owned()),
            Err(RecvError::Stream(error)) => break LinkEnd::Lost(error.to_string()),
            Err(error) => break LinkEnd::Fault(error.to_string()),
        }
    };
    writer.finish();
    end
}
