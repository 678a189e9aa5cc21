//! A process under measurement, which ends when we end, however that comes about.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use upshot_servers::signal::Signal;

/// See `service.sh` for the other end of the pipe.
const SCRIPT: &str = include_str!("service.sh");
/// Nothing that ends by itself takes this long.
const PATIENCE: Duration = Duration::from_secs(300);
/// A service that needs longer to stop is reported.
const GRACE: Duration = Duration::from_secs(40);

/// A running process. Dropping it ends it without waiting.
#[derive(Debug)]
pub struct Service {
    name: String,
    pid: u32,
    shell: Child,
    line: Option<ChildStdin>,
    log: PathBuf,
}

impl Service {
    /// Starts a program; what it logs goes into `log`.
    pub async fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "upshot-bench-service"])
            .arg(program)
            .args(arguments)
            // A variable for `upshot` would change what is measured.
            .env_clear()
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let line = shell.stdin.take();
        let mut reported = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout).read_line(&mut reported).await?;
        }
        let pid = reported.trim().parse().with_context(|| format!("{name} does not start"))?;
        Ok(Self { name: name.to_owned(), pid, shell, line, log: log.to_owned() })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// An error with the end of its log if it has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.shell.try_wait()? {
            bail!("{} ended early ({status}): {}", self.name, self.last_words());
        }
        Ok(())
    }

    /// Ends it with SIGKILL.
    pub fn kill(&self) -> anyhow::Result<()> {
        Ok(upshot_servers::signal::send(self.pid, Signal::Kill)?)
    }

    /// Ends it in good order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.line.take());
        match tokio::time::timeout(GRACE, self.shell.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => bail!("{} (process {}) has not stopped within {GRACE:?}", self.name, self.pid),
        }
    }

    /// Waits until it has ended by itself; what it has said.
    pub async fn finish(mut self) -> anyhow::Result<String> {
        let ended = tokio::time::timeout(PATIENCE, self.shell.wait()).await;
        let status = ended.with_context(|| format!("{} has not ended within {PATIENCE:?}", self.name))??;
        ensure!(status.success(), "{} failed ({status}): {}", self.name, self.last_words());
        fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}
