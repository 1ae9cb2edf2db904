//! Ctrl-C, heard at any time and answered where it matters.

use std::sync::Arc;

use tokio::sync::Notify;

/// Ctrl-C. One that comes while nobody waits for it is kept for the next who does.
#[derive(Debug)]
pub(crate) struct Interrupts {
    pressed: Arc<Notify>,
}

impl Interrupts {
    /// From now on Ctrl-C does not end the program by itself.
    pub(crate) fn catch() -> Self {
        let pressed = Arc::new(Notify::new());
        let heard = Arc::clone(&pressed);
        tokio::spawn(async move {
            // An error says that the system gives no such signal: then it ends the program as ever.
            while tokio::signal::ctrl_c().await.is_ok() {
                heard.notify_one();
            }
        });
        Self { pressed }
    }

    /// Resolves when it is pressed.
    pub(crate) async fn pressed(&self) {
        self.pressed.notified().await;
    }
}
