//! A service that answers by a script and tells what it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coordinator::service::{AnswerStream, Caller, ModelInfo, RateState, Service};
use futures_util::future::BoxFuture;
use protocol::answer::{Answer, ClusterStatus, Delta, ErrorKind, FinishReason, JobError, Started, TokenText, Usage};
use protocol::ids::{RequestId, TokenId};
use protocol::manage::{Manage, Managed};
use protocol::request::Request;
use protocol::units::{Nanos, Tokens};
use tokio::sync::{Notify, mpsc};

/// The only key that may not manage.
pub(crate) const KEY: &str = "sk-test";
/// The only one that may.
pub(crate) const ADMIN: &str = "sk-admin";
/// The only model.
pub(crate) const MODEL: &str = "lab/small";
/// What it says, token by token; the last character comes in two tokens.
pub(crate) const TOKENS: [&[u8]; 5] = [b"Hello", b",", " wörld".as_bytes(), b" \xe2\x82", b"\xac"];
/// Its text.
pub(crate) const TEXT: &str = "Hello, wörld €";

/// What happens to a request.
pub(crate) enum Script {
    /// Refused at once.
    Refuse(JobError),
    /// These pieces, and the end of the channel.
    Pieces(Vec<Answer>),
    /// These pieces, and then nothing until the asker leaves.
    Hold(Vec<Answer>),
    /// These pieces, and the others once it is told to go on.
    Gate(Vec<Answer>, Arc<Notify>, Vec<Answer>),
}

type Plot = dyn Fn(&Request) -> Script + Send + Sync;
type Keeper = dyn Fn(Manage) -> Result<Managed, JobError> + Send + Sync;

/// The scripted service.
pub(crate) struct Fake {
    plot: Box<Plot>,
    asked: mpsc::Sender<Request>,
    left: mpsc::Sender<()>,
    ready: AtomicBool,
    /// What comes of operators' wishes.
    pub(crate) keeper: Box<Keeper>,
    /// What is left of the key's limits.
    pub(crate) rates: RateState,
}

/// What the service has seen.
pub(crate) struct Seen {
    /// Every request that was asked.
    pub(crate) asked: mpsc::Receiver<Request>,
    /// One for each held answer whose asker left.
    pub(crate) left: mpsc::Receiver<()>,
}

impl Fake {
    /// With a script per request.
    pub(crate) fn new(plot: impl Fn(&Request) -> Script + Send + Sync + 'static) -> (Arc<Self>, Seen) {
        Self::made(plot, |_| {})
    }

    /// With a script per request, and whatever else differs.
    pub(crate) fn made(
        plot: impl Fn(&Request) -> Script + Send + Sync + 'static,
        change: impl FnOnce(&mut Self),
    ) -> (Arc<Self>, Seen) {
        let (asked, asked_rx) = mpsc::channel(10_000);
        let (left, left_rx) = mpsc::channel(100);
        let keeper = Box::new(|wish| panic!("nobody was to ask for this: {wish:?}"));
        let ready = AtomicBool::new(true);
        let mut fake = Self { plot: Box::new(plot), asked, left, ready, keeper, rates: RateState::default() };
        change(&mut fake);
        (Arc::new(fake), Seen { asked: asked_rx, left: left_rx })
    }

    /// That answers everything well.
    pub(crate) fn well() -> (Arc<Self>, Seen) {
        Self::new(|request| Script::Pieces(answer(request)))
    }

    /// Whether a node serves.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

impl Service for Fake {
    fn authenticate(&self, key: &str) -> Result<Caller, JobError> {
        if key == KEY || key == ADMIN {
            let admin = key == ADMIN;
            Ok(Caller { key: "test".to_owned(), salt: [7; 16], admin, settings: Arc::default() })
        } else {
            Err(JobError::new(ErrorKind::Unauthorized, "the API key is not known: see the key file"))
        }
    }

    fn ask(&self, _: &Caller, request: Request) -> Result<AnswerStream, JobError> {
        if request.model != MODEL {
            let message = format!("the model '{}' is not in the cluster", request.model);
            return Err(JobError::new(ErrorKind::UnknownModel, message));
        }
        let script = (self.plot)(&request);
        self.asked.try_send(request).unwrap();
        let go_on = || {
            let gate = Arc::new(Notify::new());
            gate.notify_one();
            gate
        };
        let (pieces, gate, rest, hold) = match script {
            Script::Refuse(error) => return Err(error),
            Script::Pieces(pieces) => (pieces, go_on(), Vec::new(), false),
            Script::Hold(pieces) => (pieces, go_on(), Vec::new(), true),
            Script::Gate(pieces, gate, rest) => (pieces, gate, rest, false),
        };
        let (tx, rx) = mpsc::channel(1);
        let left = self.left.clone();
        tokio::spawn(async move {
            for piece in pieces {
                let _ = tx.send(piece).await;
            }
            gate.notified().await;
            for piece in rest {
                let _ = tx.send(piece).await;
            }
            if hold {
                tx.closed().await;
                left.send(()).await.unwrap();
            }
        });
        Ok(AnswerStream::new(rx))
    }

    fn models(&self, _: &Caller) -> Vec<ModelInfo> {
        vec![ModelInfo { name: MODEL.to_owned(), context: Tokens(2048) }]
    }

    fn status(&self) -> ClusterStatus {
        ClusterStatus::default()
    }

    fn order(&self, node: &str, _: protocol::message::OrderAction) -> Result<String, JobError> {
        Ok(node.to_owned())
    }

    fn manage(&self, caller: &Caller, manage: Manage) -> BoxFuture<'static, Result<Managed, JobError>> {
        assert!(caller.admin, "a door let {caller:?} through");
        Box::pin(std::future::ready((self.keeper)(manage)))
    }

    fn rates(&self, _: &Caller) -> RateState {
        self.rates
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// The first piece.
pub(crate) fn started() -> Answer {
    Answer::Started(Started {
        request: RequestId(0xabc),
        model: MODEL.to_owned(),
        node: "node-a".to_owned(),
        prompt: Tokens(12),
        cached: Tokens(8),
        ..Started::default()
    })
}

/// Text without log-probabilities.
pub(crate) fn delta(choice: u32, text: &str) -> Answer {
    Answer::Delta(Delta { choice, text: text.to_owned(), logprobs: Vec::new(), calls: Vec::new() })
}

/// The end of a choice.
pub(crate) fn finished(choice: u32) -> Answer {
    Answer::Finished { choice, reason: FinishReason::Stop }
}

/// The end.
pub(crate) fn done(choices: u64) -> Answer {
    Answer::Done {
        usage: Usage { prompt: Tokens(12), cached: Tokens(8), completion: Tokens(5 * choices), cost: Nanos(1_500_000) },
    }
}

/// A good answer: all choices say [`TEXT`], in turns, the second ended by length.
pub(crate) fn answer(request: &Request) -> Vec<Answer> {
    let choices = request.params.n.unwrap_or(1);
    let tops = request.params.logprobs;
    let token = |bytes: &[u8]| TokenText {
        token: TokenId(5),
        bytes: bytes.to_vec(),
        logprob: -0.25,
        top: (0..tops.unwrap_or(0)).map(|i| (TokenId(u32::from(i)), vec![b'a' + i], -1.0 - f32::from(i))).collect(),
    };
    let mut pieces = vec![started()];
    let mut say = |text: &str, tokens: &[&[u8]]| {
        for choice in 0..choices {
            let logprobs = if tops.is_some() { tokens.iter().map(|bytes| token(bytes)).collect() } else { Vec::new() };
            pieces.push(Answer::Delta(Delta { choice, text: text.to_owned(), logprobs, calls: Vec::new() }));
        }
    };
    let [hello, comma, world, euro, rest] = TOKENS;
    say("Hello", &[hello]);
    say(", wörld", &[comma, world]);
    say(" €", &[euro, rest]);
    for choice in 0..choices {
        let reason = if choice == 1 { FinishReason::Length } else { FinishReason::Stop };
        pieces.push(Answer::Finished { choice, reason });
    }
    pieces.push(done(u64::from(choices)));
    pieces
}
