//! The time of day: an option may say `30d`, and a budget's increase ends.

use std::time::SystemTime;

use protocol::units::UnixMillis;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the shell's edge: people name times from now on")]
pub(crate) fn now() -> UnixMillis {
    UnixMillis::default().after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
