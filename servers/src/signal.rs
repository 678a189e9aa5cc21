//! Sends signals to processes, through the shell's `kill` (unsafe code is forbidden here).

use std::process::{Command, Stdio};

use crate::Error;

/// A signal that a test or a server needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`: asks to end.
    Terminate,
    /// `SIGKILL`: ends at once; nothing of the process runs any more.
    Kill,
    /// `SIGSTOP`: freezes.
    Stop,
    /// `SIGCONT`: continues after a stop.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// Sends `signal` to the process `pid`. Blocks for the millisecond that takes.
///
/// # Errors
/// [`Error::Signal`] when there is no such process or it belongs to someone else.
pub fn send(pid: u32, signal: Signal) -> Result<(), Error> {
    let failed = |reason: String| Error::Signal { signal: signal.name(), pid, reason };
    // `kill` as a program is missing on minimal systems; the shell's own is not.
    let output = Command::new("/bin/sh")
        .args(["-c", "kill -\"$1\" \"$2\"", "sh", signal.name(), &pid.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Whether the process `pid` exists (one that has ended but has not been
/// waited for still does).
pub fn exists(pid: u32) -> bool {
    let probe = Command::new("/bin/sh")
        .args(["-c", "kill -0 \"$1\"", "sh", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}
