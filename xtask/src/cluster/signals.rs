//! Ctrl-C and SIGTERM as something to wait for, so that the cluster is stopped in order.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::ClusterError;

/// Signals that came in.
#[derive(Debug)]
pub(crate) struct Interrupts {
    came: Receiver<()>,
}

impl Interrupts {
    /// From now on, these signals do not end this program. Child processes start with the usual
    /// handlers: signals are caught, not masked, since a mask would be inherited.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn catch() -> Result<Self, ClusterError> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(ClusterError::Signals)?;
        let (tell, came) = sync_channel(1);
        let wait = move || {
            for _ in signals.forever() {
                // Full means that one is waiting to be seen already.
                let _ = tell.try_send(());
            }
        };
        thread::Builder::new().name("signals".into()).spawn(wait).map_err(ClusterError::Signals)?;
        Ok(Self { came })
    }

    /// Waits for `time`; true at once when a signal comes.
    pub(crate) fn within(&self, time: Duration) -> bool {
        !matches!(self.came.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    #[cfg(test)]
    pub(super) fn by_hand() -> (Self, std::sync::mpsc::SyncSender<()>) {
        let (tell, came) = sync_channel(1);
        (Self { came }, tell)
    }
}
