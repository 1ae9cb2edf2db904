//! The actor of one link: it dials, keeps a session, and dials again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use policy::restart::{Backoff, Jitter};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::session::{Over, session};
use super::{Dialer, Shared};

/// The actor of one link.
#[derive(Debug)]
pub struct Link;

/// What a link needs, for every start anew.
pub struct LinkArgs {
    pub(super) shared: Arc<Shared>,
    pub(super) dialer: Arc<dyn Dialer>,
}

impl std::fmt::Debug for LinkArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkArgs").field("address", &self.dialer.address()).finish_non_exhaustive()
    }
}

/// What a link hears.
#[derive(Debug)]
pub enum LinkMsg {
    /// Its task has ended: in order, or not.
    Ended {
        /// By a panic.
        panicked: bool,
    },
}

/// Ends the link's task when it goes.
#[derive(Debug)]
pub struct LinkState {
    stop: Option<DropGuard>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Actor for Link {
    type Msg = LinkMsg;
    type State = LinkState;
    type Arguments = LinkArgs;

    async fn pre_start(&self, myself: ActorRef<LinkMsg>, args: LinkArgs) -> Result<LinkState, ActorProcessingErr> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let (end, ended) = oneshot::channel();
        tokio::spawn(async move {
            let keeping = AssertUnwindSafe(keep(&args.shared, args.dialer.as_ref())).catch_unwind();
            let panicked = tokio::select! {
                biased;
                () = stop.cancelled() => false,
                outcome = keeping => outcome.is_err(),
            };
            // Both fail only if the actor is gone, and then nobody needs to know.
            drop(myself.send_message(LinkMsg::Ended { panicked }));
            let _ = end.send(());
        });
        Ok(LinkState { stop: Some(guard), ended: Some(ended) })
    }

    async fn handle(
        &self,
        myself: ActorRef<LinkMsg>,
        message: LinkMsg,
        _: &mut LinkState,
    ) -> Result<(), ActorProcessingErr> {
        let LinkMsg::Ended { panicked } = message;
        if panicked {
            return Err("its task panicked".into());
        }
        myself.stop(None);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<LinkMsg>, state: &mut LinkState) -> Result<(), ActorProcessingErr> {
        state.stop = None;
        if let Some(ended) = state.ended.take() {
            // An error means that the task is gone already.
            drop(ended.await);
        }
        Ok(())
    }
}

/// The longest wait after a coordinator has refused the node.
const REFUSED: Duration = Duration::from_secs(10);

/// Keeps the link until the node leaves.
async fn keep(shared: &Arc<Shared>, dialer: &dyn Dialer) {
    let address = dialer.address();
    let mut jitter = Jitter::new(shared.settings.seed ^ hash(address));
    // Tries in vain, and refusals, in a row.
    let (mut attempt, mut refused) = (0_u32, 0_u32);
    let mut told = String::new();
    loop {
        let dialled = tokio::select! {
            biased;
            () = shared.leaving() => return,
            dialled = dialer.dial() => dialled,
        };
        let mut backoff = None;
        let over = match dialled {
            Ok(connection) => session(shared, connection, address).await,
            Err(reason) => Over::Failed(format!("cannot connect: {reason}")),
        };
        let reason = match over {
            Over::Left => return,
            Over::Lost(reason) => {
                // It worked until now: begin afresh.
                attempt = 0;
                told.clear();
                format!("connection lost: {reason}")
            }
            Over::Refused(refusal) => {
                // Who says no again and again will hardly say yes half a second later.
                let usual = shared.settings.backoff;
                backoff = Some(Backoff { longest: usual.longest.max(REFUSED), ..usual });
                format!("refused: {refusal}")
            }
            Over::Failed(reason) => reason,
        };
        if reason == told {
            tracing::debug!("{address}: {reason}");
        } else {
            tracing::warn!("{address}: {reason}; trying again until it works");
            told = reason;
        }
        let wait = if let Some(backoff) = backoff {
            refused = refused.saturating_add(1);
            backoff.full_jitter(refused - 1, jitter.draw())
        } else {
            (attempt, refused) = (attempt.saturating_add(1), 0);
            shared.settings.backoff.full_jitter(attempt - 1, jitter.draw())
        };
        tokio::select! {
            biased;
            () = shared.leaving() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// FNV-1a: links of one node wait differently.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
