//! One connection's life: hello, then reports one way and streams the other, until it is over.

use std::sync::Arc;
use std::time::Duration;

use protocol::frame::Frame;
use protocol::message::{Drain, Goodbye, Refusal, Welcome};
use protocol::serving::Serving;
use protocol::tree::Tree;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{Duplex, FrameWriter};

use super::{Offer, Shared, Stage, stream};
use crate::watch;

/// How often reports may be wanted.
const REPORTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));
/// How long a goodbye may take to arrive.
const LINGER: Duration = Duration::from_millis(500);
/// Control goes before answers.
const CONTROL: i32 = 10;

/// How a session ended.
#[derive(Debug)]
pub(super) enum Over {
    /// The node leaves.
    Left,
    /// It was not taken in.
    Refused(Refusal),
    /// It did not get as far as a welcome.
    Failed(String),
    /// It was taken in, and then the connection was lost.
    Lost(String),
}

/// Presents the node and serves until the connection or the node comes to its end.
pub(super) async fn session(shared: &Arc<Shared>, connection: Arc<dyn Connection>, address: &str) -> Over {
    let (mut writer, mut reader) = match connection.open().await {
        Ok(control) => control,
        Err(lost) => return Over::Failed(lost.to_string()),
    };
    writer.set_priority(CONTROL);
    let patience = shared.settings.patience;
    let mut offer = shared.offer.subscribe();
    let told = offer.borrow_and_update().clone();
    let hello = shared.hello(&told);
    let versions = hello.versions;
    if let Err(lost) = say(&mut writer, hello, patience).await {
        return Over::Failed(lost);
    }
    let welcome = match reader.recv_within(patience, "a welcome").await {
        Ok(Frame::Welcome(welcome)) => welcome,
        Ok(Frame::Refusal(refusal)) => {
            connection.close(Code::Done, "refused");
            return Over::Refused(refusal);
        }
        Ok(other) => {
            connection.close(Code::Unexpected, "expected a welcome");
            return Over::Failed(format!("expected a welcome, got {:?}", other.kind()));
        }
        Err(error) => return Over::Failed(error.to_string()),
    };
    if let Err(mismatch) =
        versions.agree(protocol::version::Versions { oldest: welcome.version, newest: welcome.version })
    {
        connection.close(Code::Refused, "version");
        return Over::Refused(Refusal::Version(mismatch));
    }
    tracing::info!("connected to {address}, cluster {}", welcome.cluster);
    shared.connected.send_modify(|count| *count += 1);
    // When the session is over, so is everything that it served.
    let life = CancellationToken::new();
    let _end = life.clone().drop_guard();
    let over = serve(shared, &connection, (writer, reader), &welcome, &life, (offer, told)).await;
    shared.connected.send_modify(|count| *count = count.saturating_sub(1));
    over
}

async fn serve(
    shared: &Arc<Shared>,
    connection: &Arc<dyn Connection>,
    (mut writer, mut reader): Duplex,
    welcome: &Welcome,
    life: &CancellationToken,
    (mut offer, mut told): (watch::Receiver<Offer>, Offer),
) -> Over {
    let mut ticks = interval(welcome.report_every.clamp(REPORTS.0, REPORTS.1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stage = shared.stage.subscribe();
    stage.mark_changed();
    let mut tree = shared.tree.subscribe();
    tree.mark_changed();
    // The hello had the cards, not what else there could be.
    if !told.models.is_empty() {
        offer.mark_changed();
    }
    let (telling, own, dead) = (Arc::clone(shared), Arc::clone(connection), life.clone());
    tokio::spawn(async move { dead.run_until_cancelled(super::events::tell(&telling, &own)).await });
    let patience = shared.settings.patience;
    let lost = loop {
        tokio::select! {
            biased;
            _ = stage.changed() => {
                let now = *stage.borrow_and_update();
                match now {
                    Stage::Serving => {}
                    // Ending is Draining to a coordinator that missed the one for the other.
                    Stage::Draining | Stage::Ending => {
                        if let Err(lost) = say(&mut writer, Drain {}, patience).await {
                            break lost;
                        }
                    }
                    Stage::Leaving => {
                        // What still runs has had its time.
                        life.cancel();
                        leave(connection, writer).await;
                        return Over::Left;
                    }
                }
            }
            _ = offer.changed() => {
                // Reports are about what was told last.
                told = offer.borrow_and_update().clone();
                let serving = Serving { cards: told.cards(), models: told.models.clone() };
                if let Err(lost) = say(&mut writer, serving, patience).await {
                    break lost;
                }
            }
            _ = tree.changed() => {
                let lines = tree.borrow_and_update().clone();
                if !lines.is_empty() && let Err(lost) = say(&mut writer, Tree { lines }, patience).await {
                    break lost;
                }
            }
            frame = reader.recv() => match frame {
                Ok(Some(Frame::Order(order))) => shared.obey(order.action),
                Ok(Some(Frame::Goodbye(goodbye))) => break format!("the coordinator leaves: {}", goodbye.reason),
                Ok(Some(other)) => {
                    connection.close(Code::Unexpected, "a frame that has no place on the control stream");
                    break format!("{:?} has no place on the control stream", other.kind());
                }
                Ok(None) => break "the coordinator has ended the control stream".to_owned(),
                Err(error) => break error.to_string(),
            },
            _ = ticks.tick() => {
                if let Err(lost) = say(&mut writer, shared.report(&told), patience).await {
                    break lost;
                }
            }
            incoming = connection.accept() => match incoming {
                Ok((writer, reader)) => {
                    let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() else {
                        writer.reset(Code::Full);
                        reader.stop(Code::Full);
                        continue;
                    };
                    let (shared, life) = (Arc::clone(shared), life.clone());
                    let serving = shared.serving.clone();
                    serving.spawn(async move {
                        let _permit = permit;
                        tokio::select! {
                            biased;
                            () = life.cancelled() => {}
                            () = stream::serve(&shared, writer, reader) => {}
                        }
                    });
                }
                Err(error) => break error.to_string(),
            },
        }
    };
    connection.close(Code::Done, "");
    Over::Lost(lost)
}

/// Sends on the control stream. A coordinator that does not read it is as good as lost.
async fn say(writer: &mut FrameWriter, frame: impl Into<Frame>, patience: Duration) -> Result<(), String> {
    match timeout(patience, writer.send(frame)).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the coordinator has read nothing for {patience:?}")),
    }
}

/// Says goodbye, and leaves what was sent the time to arrive.
async fn leave(connection: &Arc<dyn Connection>, mut writer: FrameWriter) {
    let goodbye = Goodbye { reason: "the node stops".to_owned() };
    if say(&mut writer, goodbye, LINGER).await.is_ok() {
        writer.finish();
        // A coordinator that closes first has heard it all; one that does not has had its time.
        drop(timeout(LINGER, connection.closed()).await);
    }
    connection.close(Code::Stopping, "the node stops");
}
