//! Child processes end when we do, even if we are killed.

use std::process::Command;

/// Lets the kernel end the child with this program (on Linux; elsewhere only an orderly end does it).
/// Start the child on the main thread: the kernel looks at the thread that started it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "what a child does before it runs can only be said so")]
pub(crate) fn end_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    use nix::sys::prctl::set_pdeathsig;
    use nix::sys::signal::Signal;

    let set = || set_pdeathsig(Signal::SIGTERM).map_err(Into::into);
    // SAFETY: between fork and exec only async-signal-safe work is allowed; this is one system call.
    unsafe { command.pre_exec(set) };
}

/// Nothing like it here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_parent(_: &mut Command) {}
