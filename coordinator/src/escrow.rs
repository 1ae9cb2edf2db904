//! Budgets that several coordinators share: the way from one that spends slices of them to the one that has them.
//!
//! Rules: it is a client of the holder, with the admin key and the authority that all coordinators of a cluster share. What
//! is told and when is said by [`actors::cost::escrow`]; here it is carried, and the connection made anew when it is lost.
//! What operators ask of keys, budgets and usage goes the same way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actors::cost::{Accounts, Part};
use policy::escrow::Settings;
use policy::restart::{Backoff, Jitter};
use protocol::answer::{Answer, ErrorKind, JobError};
use protocol::config::Config;
use protocol::escrow::{EscrowAnswer, EscrowTell, GranteeId};
use protocol::frame::Frame;
use protocol::manage::{AskManage, Manage, Managed};
use protocol::message::{Answered, ClientHello, ClientRefused};
use protocol::version::Versions;
use tokio::sync::watch;
use tokio::time::timeout;
use transport::connection::Connection;
use transport::pki::{PkiError, read_secret};
use transport::quic::{DialError, Dialler, QuicConnection, Timing, Trust};

use crate::state::State;

/// How long a request waits for a larger slice.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long an operator's wish may take at the holder.
const MANAGE: Duration = Duration::from_secs(10);
/// How long one try to reach the holder may take.
const DIAL: Duration = Duration::from_secs(1);
/// Between two tries to reach the holder.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2) };
/// When a wish that failed is worth another try.
const RETRY: Duration = Duration::from_secs(1);

/// Which part this coordinator has, as the settings say.
///
/// # Errors
/// The system gives no random numbers.
pub fn part(config: &Config) -> Result<Part, getrandom::Error> {
    let ttl = config.accounts.grant.0;
    let settings = Settings { interval: config.accounts.settle_every.0, ..Settings::lasting(ttl) };
    Ok(match &config.accounts.holder {
        None => Part::Holder(settings),
        Some(_) => Part::Grantee { settings, id: GranteeId(getrandom::u64()?) },
    })
}

/// The way to the coordinator that has keys, budgets and usage.
#[derive(Debug)]
pub struct Upward {
    address: String,
    accounts: Accounts,
    dialler: Dialler,
    authority: PathBuf,
    admin_key: PathBuf,
    /// How long it may take to be taken in, and to be answered.
    dial: Duration,
    patience: Duration,
    link: watch::Sender<Option<Arc<QuicConnection>>>,
}

/// Why there is no way, or no more.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Key(#[from] PkiError),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Lost(String),
    #[error("it refuses: {0}")]
    Refused(String),
}

impl Upward {
    /// To the holder that the settings name; none if this coordinator is the holder.
    pub fn new(config: &Config, state: &State, accounts: &Accounts) -> Option<Arc<Self>> {
        let address = config.accounts.holder.clone()?;
        // Nobody opens streams to a client.
        let timing = Timing { streams: 0, ..Timing::from(&config.wire) };
        let patience = (config.accounts.grant.0 / 4).min(Settings::default().patience);
        Some(Arc::new(Self {
            address,
            accounts: accounts.clone(),
            dialler: Dialler::new(timing),
            authority: state.ca_file(),
            admin_key: state.admin_key_file(),
            // A holder that comes back is noticed by a new try sooner than by an old one.
            dial: config.wire.handshake.0.min(DIAL),
            patience,
            link: watch::Sender::default(),
        }))
    }

    /// Tells and hears, for ever.
    pub async fn run(self: Arc<Self>) {
        let (mut attempt, mut jitter) = (0_u32, Jitter::new(getrandom::u64().unwrap_or_default()));
        loop {
            let why = match timeout(self.dial, self.connect()).await {
                Err(_) => Broken::Late(self.dial),
                Ok(Err(broken)) => broken,
                Ok(Ok(connection)) => {
                    tracing::info!("connected with {}, which has the budgets", self.address);
                    let connection = Arc::new(connection);
                    self.link.send_replace(Some(Arc::clone(&connection)));
                    let broken = self.talk(&connection, &mut attempt).await;
                    self.link.send_replace(None);
                    broken
                }
            };
            if attempt == 0 {
                tracing::warn!("the coordinator {} has the budgets and cannot be asked: {why}", self.address);
            } else {
                tracing::debug!("the coordinator {} still cannot be asked: {why}", self.address);
            }
            tokio::time::sleep(BACKOFF.half_jitter(attempt.min(16), jitter.draw())).await;
            attempt = attempt.saturating_add(1);
        }
    }

    async fn connect(&self) -> Result<QuicConnection, Broken> {
        let key = read_secret(&self.admin_key)?.trim().to_owned();
        let trust = Trust::CaFile(self.authority.clone());
        let connection = self.dialler.client(&self.address, &trust).await?;
        let agent = "troupe-coordinator".to_owned();
        match ask(&connection, ClientHello { versions: Versions::OURS, key, agent }).await? {
            Frame::ClientWelcome(_) => Ok(connection),
            Frame::ClientRefused(ClientRefused::Version(mismatch)) => Err(Broken::Refused(mismatch.to_string())),
            Frame::ClientRefused(ClientRefused::Denied(error)) => Err(Broken::Refused(format!(
                "{error}; coordinators of one cluster share their authority: `troupe-coordinator authority export`"
            ))),
            other => Err(Broken::Lost(format!("a {:?} came for a hello", other.kind()))),
        }
    }

    /// Until the connection is lost, or the holder refuses.
    async fn talk(&self, connection: &QuicConnection, attempt: &mut u32) -> Broken {
        loop {
            tokio::select! {
                biased;
                lost = connection.closed() => return Broken::Lost(lost.to_string()),
                () = self.accounts.due() => {}
            }
            let Some(tell) = self.accounts.tell() else { continue };
            let answer = match timeout(self.patience, exchange(connection, tell)).await {
                // All is told again then.
                Err(_) => continue,
                Ok(Err(broken)) => return broken,
                Ok(Ok(answer)) => answer,
            };
            match self.accounts.answered(answer) {
                Ok(()) => *attempt = 0,
                Err(refusal) => return Broken::Refused(refusal.to_string()),
            }
        }
    }

    /// Has the holder do what an operator wants of keys, budgets and usage.
    ///
    /// # Errors
    /// What the holder says, or that it cannot be reached.
    pub async fn manage(&self, manage: Manage) -> Result<Managed, JobError> {
        let unreachable = |why: String| {
            let message = format!(
                "the coordinator {} keeps keys, budgets and usage for all, and cannot be asked: {why}; try again when it is back",
                self.address
            );
            JobError::new(ErrorKind::Overloaded, message).retry_after(RETRY)
        };
        let connection = self.link.borrow().clone();
        let connection = connection.ok_or_else(|| unreachable("there is no connection".to_owned()))?;
        let answer = match timeout(MANAGE, ask(&connection, AskManage { manage })).await {
            Err(_) => return Err(unreachable(format!("no answer within {MANAGE:?}, perhaps it is done all the same"))),
            Ok(Err(broken)) => return Err(unreachable(format!("{broken}, perhaps it is done all the same"))),
            Ok(Ok(Frame::AnswerManage(answer))) => answer.outcome?,
            Ok(Ok(other)) => return Err(unreachable(format!("a {:?} came for an answer", other.kind()))),
        };
        if let Managed::KeyCreated { record, .. } | Managed::Key(record) = &answer {
            // It is good here at once.
            self.accounts.learn(record.clone());
        }
        Ok(answer)
    }
}

/// Says one thing on a stream of its own, and hears one.
async fn ask(connection: &QuicConnection, frame: impl Into<Frame>) -> Result<Frame, Broken> {
    let (mut writer, mut reader) = connection.open().await.map_err(|lost| Broken::Lost(lost.to_string()))?;
    let sent = writer.send(frame).await;
    let heard = reader.recv().await;
    match (sent, heard) {
        (Ok(()), Ok(Some(frame))) => {
            writer.finish();
            Ok(frame)
        }
        // What it says before it hangs up tells more.
        (Err(_), Ok(Some(frame @ Frame::ClientRefused(_)))) => Ok(frame),
        (Err(error), _) => Err(Broken::Lost(error.to_string())),
        (_, Ok(None)) => Err(Broken::Lost("its stream ended".to_owned())),
        (_, Err(error)) => Err(Broken::Lost(error.to_string())),
    }
}

async fn exchange(connection: &QuicConnection, tell: EscrowTell) -> Result<EscrowAnswer, Broken> {
    match ask(connection, tell).await? {
        Frame::EscrowAnswer(answer) => Ok(answer),
        Frame::Answered(Answered { answer: Answer::Failed(error) }) => Err(Broken::Refused(error.to_string())),
        other => Err(Broken::Lost(format!("a {:?} came for an answer", other.kind()))),
    }
}
