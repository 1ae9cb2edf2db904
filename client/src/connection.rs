//! The connection that a client and its clones share: dialled when it is needed, dialled again by the
//! next call after it was lost.
//!
//! With one coordinator, only connecting is ever repeated: once a request's first byte may have left, a failure
//! is reported and the request is not sent again. With several, one that is lost before it has said anything of
//! a request is left, and the request goes to the next: at worst it is computed twice, but answered once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use protocol::answer::{Answer, ClusterStatus};
use protocol::frame::Frame;
use protocol::ids::ClusterId;
use protocol::manage::{AskManage, Manage, Managed};
use protocol::message::{Answered, Ask, AskStatus, OrderAction, OrderNode};
use protocol::request::Request;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter, SendError};

use crate::backoff;
use crate::error::{ConnectError, StatusError, SubmitError};
use crate::options::ConnectOptions;
use crate::session::Session;
use crate::stream::JobStream;

/// How long a coordinator may take to replay what was asked lately.
const REPLAY: Duration = Duration::from_secs(60);

/// A client of one cluster. Clones share its connection and are cheap.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: ConnectOptions,
    /// Locked while dialling, so that callers who find the connection lost wait for one dial.
    state: Mutex<State>,
}

enum State {
    /// The address at this place is asked first.
    Lost(usize),
    Open(Session, usize),
    Closed,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Wrong options, or no coordinator that takes us in.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let client = Self { shared: Arc::new(Shared { options, state: Mutex::new(State::Lost(0)) }) };
        client.session().await?;
        Ok(client)
    }

    /// Submits a job. Its answer comes as a stream; what the cluster has against the request comes
    /// there too.
    ///
    /// # Errors
    /// There is no connection, the request is too large, or the connection was lost meanwhile.
    pub async fn submit(&self, request: impl Into<Request>) -> Result<JobStream, SubmitError> {
        let request = request.into();
        let choices = request.params.n.unwrap_or(1);
        let others = self.shared.options.addresses.len().saturating_sub(1);
        let mut again = Again { client: self.clone(), request, left: others };
        loop {
            match self.send(&again.request).await {
                Ok(pipe) => return Ok(JobStream::new(pipe, choices, again)),
                Err(SubmitError::Interrupted(_)) if again.left > 0 => again.left -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn send(&self, request: &Request) -> Result<Pipe, SubmitError> {
        let mut pipe = self.open().await?;
        match pipe.writer.send(Ask { request: request.clone() }).await {
            Ok(()) => Ok(pipe),
            Err(SendError::Frame(error)) => Err(SubmitError::TooLarge(error.to_string())),
            Err(SendError::Stream(error)) => Err(SubmitError::Interrupted(error.to_string())),
        }
    }

    /// How the cluster is.
    ///
    /// # Errors
    /// There is no connection, no answer, or the key may not see it.
    pub async fn status(&self) -> Result<ClusterStatus, StatusError> {
        match self.exchange(AskStatus {}).await? {
            Frame::Status(status) => Ok(status.status),
            Frame::Answered(Answered { answer: Answer::Failed(error) }) => Err(StatusError::Refused(error)),
            other => Err(StatusError::Protocol(format!("a {:?} came as a status", other.kind()))),
        }
    }

    /// Makes a node take nothing new, or take work again. Says what happens now.
    ///
    /// # Errors
    /// There is no connection, no answer, no such node, or the key may not.
    pub async fn order(&self, node: &str, action: OrderAction) -> Result<String, StatusError> {
        match self.exchange(OrderNode { node: node.to_owned(), action }).await? {
            Frame::Ordered(ordered) => ordered.outcome.map_err(StatusError::Refused),
            other => Err(StatusError::Protocol(format!("a {:?} came for an order", other.kind()))),
        }
    }

    /// Manages keys, budgets, usage, prices and decisions. It is not sent twice: whoever finds the connection lost looks
    /// first what has become of it.
    ///
    /// # Errors
    /// There is no connection, no answer, something is wrong with what is wanted, or the key may not.
    pub async fn manage(&self, manage: Manage) -> Result<Managed, StatusError> {
        let reply = self.shared.options.timeouts.reply;
        // A replay takes its time.
        let within = if matches!(manage, Manage::Scale(_)) { reply.max(REPLAY) } else { reply };
        match self.exchange_within(AskManage { manage }, within).await? {
            Frame::AnswerManage(answer) => answer.outcome.map_err(StatusError::Refused),
            other => Err(StatusError::Protocol(format!("a {:?} came for a wish", other.kind()))),
        }
    }

    /// One frame there, one back.
    async fn exchange(&self, asked: impl Into<Frame>) -> Result<Frame, StatusError> {
        self.exchange_within(asked, self.shared.options.timeouts.reply).await
    }

    async fn exchange_within(&self, asked: impl Into<Frame>, reply: Duration) -> Result<Frame, StatusError> {
        let asked = asked.into();
        let mut pipe = self.open().await?;
        let answer = timeout(reply, async {
            match pipe.writer.send(asked).await {
                Ok(()) => pipe.read().await.map_err(StatusError::Interrupted),
                Err(SendError::Frame(error)) => Err(StatusError::TooLarge(error.to_string())),
                Err(SendError::Stream(error)) => Err(StatusError::Interrupted(error.to_string())),
            }
        });
        match answer.await.map_err(|_| StatusError::TimedOut(reply))?? {
            Some(frame) => {
                pipe.finish();
                Ok(frame)
            }
            None => Err(StatusError::Interrupted("its stream ended".to_owned())),
        }
    }

    /// Which cluster this is.
    ///
    /// # Errors
    /// There is no connection, and none could be made.
    pub async fn cluster(&self) -> Result<ClusterId, ConnectError> {
        Ok(self.session().await?.cluster)
    }

    /// Closes the connection, for all clones, and waits until the coordinator was told: running jobs
    /// are cancelled at once instead of after its idle timeout.
    pub async fn close(&self) {
        let mut state = self.shared.state.lock().await;
        if let State::Open(session, _) = std::mem::replace(&mut *state, State::Closed) {
            session.close().await;
        }
    }

    /// A stream of its own. An open connection may prove to be lost only now; then it is dialled again,
    /// once: nothing was sent yet.
    async fn open(&self) -> Result<Pipe, ConnectError> {
        let session = self.session().await?;
        if let Ok((writer, reader)) = session.connection.open().await {
            return Ok(Pipe { writer, reader });
        }
        let session = self.session().await?;
        let (writer, reader) = session.connection.open().await.map_err(|lost| ConnectError::Unreachable {
            address: session.connection.peer().address.clone(),
            attempts: 1,
            reason: lost.to_string(),
        })?;
        Ok(Pipe { writer, reader })
    }

    /// The open session, or a new one.
    async fn session(&self) -> Result<Session, ConnectError> {
        let mut state = self.shared.state.lock().await;
        let first = match &*state {
            State::Closed => return Err(ConnectError::Closed),
            State::Open(session, _) if !session.is_lost() => return Ok(session.clone()),
            State::Open(_, at) => at.wrapping_add(1),
            State::Lost(first) => *first,
        };
        *state = State::Lost(first);
        let (session, at) = dial(&self.shared.options, first).await?;
        *state = State::Open(session.clone(), at);
        Ok(session)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("addresses", &self.shared.options.addresses).finish_non_exhaustive()
    }
}

/// Dials all addresses in turn, from one on, until one takes us in; when none answers, all of them again, after
/// a wait. Says which it was.
async fn dial(options: &ConnectOptions, first: usize) -> Result<(Session, usize), ConnectError> {
    let attempts = options.retry.attempts.max(1);
    let mut tries = 0;
    loop {
        tries += 1;
        let mut last = ConnectError::NoAddress;
        let count = options.addresses.len();
        for (at, address) in options.addresses.iter().enumerate().cycle().skip(first % count.max(1)).take(count) {
            match Session::dial(address, options, tries).await {
                Ok(session) => return Ok((session, at)),
                Err(error) if error.is_transient() => last = error,
                Err(error) => return Err(error),
            }
        }
        if !last.is_transient() || tries >= attempts {
            return Err(last);
        }
        let wait = backoff::wait(&options.retry, tries, random());
        tracing::debug!(error = %last, ?wait, "no connection, trying again");
        sleep(wait).await;
    }
}

/// For jitter alone. A system without randomness waits the longest time.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}

/// A request that may be sent again.
#[derive(Debug)]
pub(crate) struct Again {
    client: Client,
    request: Request,
    /// How often.
    left: usize,
}

impl Again {
    /// Sends it to the next coordinator. None if that is not to be, or cannot be done.
    pub(crate) async fn send(&mut self) -> Option<Pipe> {
        self.left = self.left.checked_sub(1)?;
        self.client.send(&self.request).await.ok()
    }
}

/// The two halves of a stream. To drop it resets it.
#[derive(Debug)]
pub(crate) struct Pipe {
    writer: FrameWriter,
    reader: FrameReader,
}

impl Pipe {
    /// The next frame; none at the end; else why there is none.
    pub(crate) async fn read(&mut self) -> Result<Option<Frame>, String> {
        self.reader.recv().await.map_err(|error| error.to_string())
    }

    /// All was said.
    pub(crate) fn finish(self) {
        self.writer.finish();
    }

    /// Nobody wants the rest.
    pub(crate) fn reset(self) {
        self.writer.reset(Code::Cancelled);
        self.reader.stop(Code::Cancelled);
    }
}
