//! The QUIC door for clients: a key first, then a stream per request.
//!
//! Rules: nothing is answered before the key is known. A stream that the client resets or leaves cancels
//! its request; a malformed frame ends its stream alone.

use std::sync::Arc;
use std::time::Duration;

use protocol::answer::{Answer, ErrorKind, JobError};
use protocol::escrow::{EscrowAnswer, EscrowTell};
use protocol::frame::Frame;
use protocol::ids::ClusterId;
use protocol::manage::{AnswerManage, AskManage, Managed, UsagePlace};
use protocol::message::{Answered, Ask, ClientHello, ClientRefused, ClientWelcome, Ordered, Status};
use protocol::version::Versions;
use tokio::sync::Semaphore;
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter, RecvError, SendError};

use crate::refusals::Refusals;
use crate::service::{Caller, Service};
use crate::wishes;

/// How the door behaves.
#[derive(Clone, Copy, Debug)]
pub struct DoorSettings {
    /// The cluster.
    pub cluster: ClusterId,
    /// How long a first frame may take.
    pub patience: Duration,
    /// Requests of one client at once; one more is reset.
    pub streams: usize,
}

/// Serves a client's connection to its end.
pub async fn serve(
    connection: Arc<dyn Connection>,
    service: Arc<dyn Service>,
    settings: DoorSettings,
    refusals: Refusals,
) {
    let address = connection.peer().address.clone();
    let Some((caller, key)) = greet(&*connection, &*service, settings, &refusals).await else {
        connection.close(Code::Refused, "no valid hello came");
        return;
    };
    tracing::debug!("a client has connected from {address} with key {}", caller.key);
    let places = Arc::new(Semaphore::new(settings.streams));
    // Dropped with this future, and with it every request of the client.
    let mut asks = tokio::task::JoinSet::new();
    while let Ok((writer, reader)) = connection.accept().await {
        while asks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            writer.reset(Code::Full);
            continue;
        };
        // A key may be changed or revoked while its client is connected.
        let (service, caller) = (Arc::clone(&service), service.authenticate(&key));
        asks.spawn(async move {
            let _place = place;
            if let Err(error) = one(writer, reader, &*service, caller, settings.patience).await {
                tracing::debug!("a client's stream has ended: {error}");
            }
        });
    }
}

/// The hello: who it is, and its key; none if the client may not ask.
async fn greet(
    connection: &dyn Connection,
    service: &dyn Service,
    settings: DoorSettings,
    refusals: &Refusals,
) -> Option<(Caller, String)> {
    let (mut writer, mut reader) = tokio::time::timeout(settings.patience, connection.accept()).await.ok()?.ok()?;
    let Ok(Frame::ClientHello(hello)) = reader.recv_within(settings.patience, "a hello").await else { return None };
    match admit(&hello, service) {
        Ok((caller, version)) => {
            writer.send(ClientWelcome { version, cluster: settings.cluster }).await.ok()?;
            writer.finish();
            Some((caller, hello.key))
        }
        Err(refused) => {
            refusals.tell(&connection.peer().address, "a client", &refused).await;
            writer.send(refused).await.ok()?;
            writer.finish();
            // The client closes when it has read why.
            let _ = tokio::time::timeout(settings.patience, connection.closed()).await;
            None
        }
    }
}

fn admit(hello: &ClientHello, service: &dyn Service) -> Result<(Caller, protocol::version::Version), ClientRefused> {
    let version = Versions::OURS.agree(hello.versions).map_err(ClientRefused::Version)?;
    let caller = service.authenticate(&hello.key).map_err(ClientRefused::Denied)?;
    Ok((caller, version))
}

#[derive(Debug, thiserror::Error)]
enum DoorError {
    #[error(transparent)]
    Recv(#[from] RecvError),
    #[error(transparent)]
    Send(#[from] SendError),
}

async fn one(
    mut writer: FrameWriter,
    mut reader: FrameReader,
    service: &dyn Service,
    caller: Result<Caller, JobError>,
    patience: Duration,
) -> Result<(), DoorError> {
    let first = reader.recv_within(patience, "a request").await;
    let caller = &match (&first, caller) {
        (_, Ok(caller)) => caller,
        (first, Err(error)) => {
            match first {
                Ok(Frame::OrderNode(_)) => writer.send(Ordered { outcome: Err(error) }).await?,
                Ok(Frame::AskManage(_)) => writer.send(AnswerManage { outcome: Err(error) }).await?,
                _ => writer.send(Answered { answer: Answer::Failed(error) }).await?,
            }
            writer.finish();
            return Ok(());
        }
    };
    match first {
        Ok(Frame::Ask(ask)) => answer(&mut writer, reader, ask, service, caller).await?,
        Ok(Frame::OrderNode(order)) => {
            let outcome = caller.operator("give orders to nodes");
            let outcome = outcome.and_then(|_| service.order(&order.node, order.action));
            writer.send(Ordered { outcome }).await?;
        }
        Ok(Frame::AskStatus(_)) => match caller.operator("see the cluster's status") {
            Ok(_) => writer.send(Status { status: service.status() }).await?,
            // The answer to this question has no place for a refusal.
            Err(error) => writer.send(Answered { answer: Answer::Failed(error) }).await?,
        },
        Ok(Frame::EscrowTell(tell)) => match synced(tell, service, caller).await {
            Ok(answer) => writer.send(answer).await?,
            Err(error) => writer.send(Answered { answer: Answer::Failed(error) }).await?,
        },
        Ok(Frame::AskManage(ask)) => tell(&mut writer, managed(ask, service, caller).await).await?,
        Ok(other) => {
            writer.reset(Code::Unexpected);
            return Err(RecvError::Unexpected { wanted: "a request", got: other.kind() }.into());
        }
        Err(error) => {
            writer.reset(error.code());
            return Err(error.into());
        }
    }
    writer.finish();
    Ok(())
}

/// What comes of an operator's wish.
async fn managed(ask: AskManage, service: &dyn Service, caller: &Caller) -> AnswerManage {
    let allowed = caller.operator("manage keys, budgets and usage").and_then(|_| wishes::check(&ask.manage));
    let outcome = match allowed {
        Ok(()) => service.manage(caller, ask.manage).await,
        Err(error) => Err(error),
    };
    AnswerManage { outcome }
}

/// Says it. Of usage, as much as a frame holds: the rest is on the next page.
async fn tell(writer: &mut FrameWriter, mut answer: AnswerManage) -> Result<(), SendError> {
    loop {
        match writer.send(answer.clone()).await {
            Err(SendError::Frame(error)) => answer = AnswerManage { outcome: shorter(answer, &error.to_string()) },
            sent => return sent,
        }
    }
}

fn shorter(answer: AnswerManage, why: &str) -> Result<Managed, JobError> {
    let failed = |problem: &str| JobError::new(ErrorKind::Internal, format!("{problem} ({why}): ask over HTTP"));
    match answer.outcome {
        Ok(Managed::Usage { mut records, .. }) if records.len() > 1 => {
            records.truncate(records.len() / 2);
            let next = records.last().map(|record| UsagePlace { at: record.at, request: record.request });
            Ok(Managed::Usage { records, next })
        }
        // Nothing of it may be shown here, and an error that does not fit is a fault.
        Ok(_) => Err(failed("the answer is too long for a frame")),
        Err(_) => Err(failed("the refusal is too long for a frame")),
    }
}

/// What another coordinator may spend.
async fn synced(tell: EscrowTell, service: &dyn Service, caller: &Caller) -> Result<EscrowAnswer, JobError> {
    caller.operator("spend shared budgets as a coordinator does")?;
    service.sync(tell).await
}

/// Passes the answer on until it ends or the client leaves.
async fn answer(
    writer: &mut FrameWriter,
    mut reader: FrameReader,
    ask: Ask,
    service: &dyn Service,
    caller: &Caller,
) -> Result<(), SendError> {
    let mut answers = match service.ask(caller, ask.request) {
        Ok(answers) => answers,
        Err(error) => return writer.send(Answered { answer: Answer::Failed(error) }).await,
    };
    let stopped = writer.stopped();
    let speak = async {
        while let Some(answer) = answers.next().await {
            writer.send(Answered { answer }).await?;
        }
        Ok(())
    };
    tokio::select! {
        biased;
        spoken = speak => spoken,
        error = stopped => Err(error.into()),
        error = leaves(&mut reader) => Err(error),
    }
}

/// Resolves when the client resets its half. One that only finishes it still listens.
async fn leaves(reader: &mut FrameReader) -> SendError {
    match reader.recv().await {
        Err(RecvError::Stream(error)) => error.into(),
        _ => std::future::pending().await,
    }
}
