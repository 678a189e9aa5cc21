//! What can go wrong with a private server, and what the caller can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lines of a server's log that an error quotes.
const TAIL_LINES: usize = 12;

/// Why a private server could not be started, stopped or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's program is not on this machine.
    #[error("{program} is not installed (looked for {looked_for}).\n{remedy}")]
    Missing {
        /// The server, as people call it.
        program: &'static str,
        /// Every place that was tried.
        looked_for: String,
        /// How to install it, a line for each system.
        remedy: String,
    },
    /// Another process holds the data folder.
    #[error(
        "the data folder {path} is in use by {owner}. End that process, or choose another data folder",
        path = path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that holds it, if known.
        owner: String,
    },
    /// An ephemeral server was asked for in a folder that has content.
    #[error(
        "the folder {path} is not empty, and an ephemeral server removes its folder when it ends. \
         Give it a folder of its own",
        path = path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder's name has a character that a shell reads.
    #[error(
        "the data folder {path:?} has {char:?} in its name, which the start scripts of the servers cannot \
         take: choose another folder, of ASCII letters, digits and / . _ - + @ , = :"
    )]
    Name {
        /// The folder.
        path: PathBuf,
        /// The first such character.
        char: char,
    },
    /// The data folder or a file in it could not be used.
    #[error("could not {action} {path}: {source}", path = path.display())]
    Folder {
        /// What was tried (`create`, `lock`, …).
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// No free port was found on 127.0.0.1.
    #[error("found no free port on 127.0.0.1 between {from} and {to}: {source}")]
    NoPort {
        /// First port tried from.
        from: u16,
        /// Last port tried.
        to: u16,
        /// The last refusal.
        source: io::Error,
    },
    /// The server's process could not be started at all.
    #[error("could not start {program} ({command}): {source}", command = command.display())]
    Spawn {
        /// The server.
        program: &'static str,
        /// What was to be run.
        command: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The server ended before it answered, or while it was expected to run.
    #[error("{program} ended by itself ({status}).\n{log}\n{remedy}")]
    Ended {
        /// The server.
        program: &'static str,
        /// Its exit status, as the shell counts (128 + signal).
        status: String,
        /// The end of its log.
        log: LogTail,
        /// What to try.
        remedy: String,
    },
    /// The server runs but has not answered in time.
    #[error("{program} has not answered on 127.0.0.1:{port} within {waited:?}.\n{log}\n{remedy}")]
    NotReady {
        /// The server.
        program: &'static str,
        /// Where it should listen.
        port: u16,
        /// How long it was waited for.
        waited: Duration,
        /// The end of its log.
        log: LogTail,
        /// What to try.
        remedy: String,
    },
    /// The server did not end in time after it was told to.
    #[error("{program} (process {pid}) has not ended within {waited:?}")]
    NotEnded {
        /// The server.
        program: &'static str,
        /// Its process.
        pid: u32,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A signal could not be sent.
    #[error("could not send {signal} to process {pid}: {reason}")]
    Signal {
        /// The signal's name.
        signal: &'static str,
        /// The process.
        pid: u32,
        /// What `kill` said.
        reason: String,
    },
}

impl Error {
    /// A [`Error::Folder`] for `map_err`.
    pub(crate) fn folder(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Folder { action, path, source }
    }
}

/// The last lines of a server's log, for a person to read.
#[derive(Debug, Clone)]
pub struct LogTail {
    path: PathBuf,
    lines: Vec<String>,
}

impl LogTail {
    /// Reads the tail of `path`, of what was written after the byte `from`.
    pub(crate) fn read(path: &Path, from: u64) -> Self {
        let bytes = std::fs::read(path).unwrap_or_default();
        let start = usize::try_from(from).unwrap_or(0).min(bytes.len());
        let text = String::from_utf8_lossy(&bytes[start..]);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let skip = lines.len().saturating_sub(TAIL_LINES);
        Self { path: path.to_owned(), lines: lines[skip..].iter().map(|line| (*line).to_owned()).collect() }
    }

    /// Whether any of the lines contains `text`.
    pub fn contains(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(f, "Its log {} is empty.", self.path.display());
        }
        write!(f, "The end of its log {}:", self.path.display())?;
        self.lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
