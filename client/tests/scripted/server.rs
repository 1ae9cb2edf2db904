//! A coordinator that does what a test tells it to, over real QUIC.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::{Answer, ConnectOptions, Delta, FinishReason, Request, Retry, Started, Timeouts, Trust, Usage};
use protocol::config::Wire;
use protocol::frame::Frame;
use protocol::ids::{ClusterId, RequestId};
use protocol::message::{Answered, ClientHello, ClientRefused, ClientWelcome};
use protocol::units::{Nanos, Tokens};
use protocol::version::Versions;
use tempfile::TempDir;
use transport::connection::Connection;
use transport::frames::{FrameReader, FrameWriter};
use transport::pki::ClusterAuthority;
use transport::quic::{Listener, QuicConnection, Timing};

pub(crate) const KEY: &str = "a key";
pub(crate) const CLUSTER: ClusterId = ClusterId(7);

pub(crate) struct Server {
    listener: Listener,
    authority: ClusterAuthority,
    folder: TempDir,
}

#[expect(clippy::disallowed_methods, reason = "certificates are made for now, and TLS looks at the real clock")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

impl Server {
    /// Must run on a tokio runtime.
    pub(crate) fn start() -> Self {
        Self::over(tempfile::tempdir().unwrap())
    }

    fn over(folder: TempDir) -> Self {
        let authority = ClusterAuthority::load_or_create(folder.path(), now()).unwrap();
        let credentials = authority.coordinator(now()).unwrap();
        let listener =
            Listener::bind(([127, 0, 0, 1], 0).into(), &credentials, Timing::from(&Wire::default()), None).unwrap();
        Self { listener, authority, folder }
    }

    /// Another coordinator of the same cluster.
    pub(crate) fn beside(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["ca.crt", "ca.key"] {
            std::fs::copy(self.folder.path().join(file), folder.path().join(file)).unwrap();
        }
        Self::over(folder)
    }

    pub(crate) fn address(&self) -> String {
        self.listener.address().to_string()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        ClusterAuthority::certificate_path(self.folder.path())
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.authority.fingerprint().to_string()
    }

    /// Options that reach it, with quick retries.
    pub(crate) fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new(self.address(), KEY, Trust::CaFile(self.ca_file()));
        options.retry = Retry { attempts: 3, first: Duration::from_millis(1), max: Duration::from_millis(2) };
        options.timeouts = Timeouts { connect: Duration::from_secs(10), reply: Duration::from_secs(10) };
        options
    }

    /// Takes the next connection and reads its hello, which it does not answer.
    pub(crate) async fn hello(&mut self) -> (Arc<QuicConnection>, ClientHello, FrameWriter, FrameReader) {
        let connection = self.listener.accept().await.unwrap().connection;
        let (writer, mut reader) = connection.accept().await.unwrap();
        match reader.recv().await.unwrap() {
            Some(Frame::ClientHello(hello)) => (connection, hello, writer, reader),
            other => panic!("expected a hello, got {other:?}"),
        }
    }

    /// Takes the next client in.
    pub(crate) async fn welcome(&mut self) -> Guest {
        let (connection, hello, mut writer, _reader) = self.hello().await;
        assert_eq!(hello.key, KEY);
        let welcome = ClientWelcome { version: Versions::OURS.newest, cluster: CLUSTER };
        writer.send(welcome).await.unwrap();
        writer.finish();
        Guest { connection }
    }

    /// Refuses the next client.
    pub(crate) async fn refuse(&mut self, refused: ClientRefused) {
        let (connection, _hello, mut writer, _reader) = self.hello().await;
        writer.send(refused).await.unwrap();
        writer.finish();
        connection.closed().await;
    }
}

/// A client that was taken in.
pub(crate) struct Guest {
    pub(crate) connection: Arc<QuicConnection>,
}

impl Guest {
    /// The next stream and its first frame.
    pub(crate) async fn next(&self) -> (Frame, FrameWriter, FrameReader) {
        let (writer, mut reader) = self.connection.accept().await.unwrap();
        let frame = reader.recv().await.unwrap().unwrap();
        (frame, writer, reader)
    }

    /// The next request.
    pub(crate) async fn ask(&self) -> (Request, FrameWriter, FrameReader) {
        match self.next().await {
            (Frame::Ask(ask), writer, reader) => (ask.request, writer, reader),
            (other, ..) => panic!("expected a request, got {other:?}"),
        }
    }
}

/// Sends pieces of an answer.
pub(crate) async fn answer(writer: &mut FrameWriter, pieces: impl IntoIterator<Item = Answer>) {
    for answer in pieces {
        writer.send(Answered { answer }).await.unwrap();
    }
}

pub(crate) fn started() -> Answer {
    Answer::Started(Started {
        request: RequestId(1),
        model: "m".into(),
        node: "node-1".into(),
        prompt: Tokens::of(5),
        cached: Tokens::ZERO,
        ..Started::default()
    })
}

pub(crate) fn delta(text: &str) -> Answer {
    Answer::Delta(Delta { choice: 0, text: text.into(), logprobs: Vec::new(), calls: Vec::new() })
}

pub(crate) fn finished() -> Answer {
    Answer::Finished { choice: 0, reason: FinishReason::Stop }
}

pub(crate) const USAGE: Usage = Usage { prompt: Tokens(5), cached: Tokens(0), completion: Tokens(2), cost: Nanos(9) };

/// A whole answer.
pub(crate) fn whole(text: [&str; 2]) -> [Answer; 5] {
    [started(), delta(text[0]), delta(text[1]), finished(), Answer::Done { usage: USAGE }]
}
