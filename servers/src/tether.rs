//! Ties a server's life to ours: it runs under a small shell that holds a pipe
//! to us and ends the server when that pipe closes, be it by our wish, by a
//! panic or by SIGKILL. See `tether.sh` for the other end.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::folder::Folder;
use crate::signal::{self, Signal};
use crate::{Error, LogTail};

/// The watchdog.
const SCRIPT: &str = include_str!("tether.sh");
/// How much longer than its grace a server's end may take: SIGKILL, reaping, removal.
const MARGIN: Duration = Duration::from_secs(15);
/// What a server needs of our environment. The rest could change how it runs.
const INHERITED: [&str; 6] = ["PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH"];

/// What is to be run.
pub(crate) struct Order {
    /// The server, as people call it.
    pub program: &'static str,
    /// Names its log and its files in the folder.
    pub name: &'static str,
    pub command: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(&'static str, OsString)>,
    /// Between SIGTERM and SIGKILL, in whole seconds.
    pub grace: Duration,
}

/// A running server. Dropping it ends the server, without waiting.
#[derive(Debug)]
pub(crate) struct Tether {
    program: &'static str,
    pid: u32,
    shell: Child,
    line: Option<ChildStdin>,
    grace: Duration,
    log: PathBuf,
    log_start: u64,
    exit: PathBuf,
}

impl Tether {
    /// Starts the server; it need not be ready yet.
    pub(crate) async fn start(folder: &Folder, order: Order) -> Result<Self, Error> {
        let Order { program, name, command, arguments, environment, grace } = order;
        let lock = folder.server_lock(name).await?;
        let (log, log_start) = folder.log(name)?;
        let inherited = INHERITED.iter().filter_map(|key| Some((*key, std::env::var_os(key)?)));
        let spawned = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "upshot-tether"])
            .arg(folder.path())
            .args([name, &grace.as_secs().to_string(), if folder.ephemeral { "yes" } else { "no" }])
            .arg(&command)
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(environment)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(lock)
            .stderr(Stdio::piped())
            // Ctrl-C at a terminal goes to the foreground group: to us alone.
            .process_group(0)
            .spawn();
        let mut shell =
            spawned.map_err(|source| Error::Spawn { program, command: command.clone(), source })?;
        let line = shell.stdin.take();
        let mut reported = String::new();
        if let Some(stderr) = shell.stderr.take() {
            let read = BufReader::new(stderr).read_line(&mut reported).await;
            read.map_err(|source| Error::Spawn { program, command, source })?;
        }
        let exit = folder.join(&format!("{name}.exit"));
        // Zero cannot be a process of ours; the server has then ended, as `check` will tell.
        let pid = reported.trim().parse().unwrap_or(0);
        tracing::debug!(program, pid, "started");
        Ok(Self { program, pid, shell, line, grace, log, log_start, exit })
    }

    /// The server's own process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// An error if the server has ended by itself.
    pub(crate) fn check(&mut self, remedy: &str) -> Result<(), Error> {
        match self.shell.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(Error::Ended {
                program: self.program,
                status: self.status(),
                log: self.log_tail(),
                remedy: remedy.to_owned(),
            }),
        }
    }

    /// The end of what the server logged since its start.
    pub(crate) fn log_tail(&self) -> LogTail {
        LogTail::read(&self.log, self.log_start)
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        signal::send(self.pid, signal)
    }

    /// Ends the server in order and waits until it and its watchdog are gone.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        drop(self.line.take());
        self.ended().await
    }

    /// Kills the server with SIGKILL and waits until it is gone.
    pub(crate) async fn kill(mut self) -> Result<(), Error> {
        // It may have ended already, which is as well.
        let _ = self.signal(Signal::Kill);
        // The pipe stays open: its closing would remove an ephemeral folder.
        self.ended().await
    }

    async fn ended(&mut self) -> Result<(), Error> {
        let waited = self.grace + MARGIN;
        match timeout(waited, self.shell.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::NotEnded { program: self.program, pid: self.pid, waited }),
        }
    }

    fn status(&self) -> String {
        match fs::read_to_string(&self.exit) {
            Ok(status) => format!("exit status {}", status.trim()),
            Err(_) => "exit status unknown".to_owned(),
        }
    }
}
