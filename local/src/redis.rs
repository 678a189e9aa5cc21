//! A private Redis with an append-only file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
use crate::folder::Folder;
use crate::ports;
use crate::program::Program;
use crate::ready::Question;
use crate::server::{Readiness, Server};
use crate::tether::Order;

const NAME: &str = "Redis";
const PROGRAM: Program = Program {
    name: NAME,
    places: &["/usr/bin/redis-server"],
    file: "redis-server",
    debian: "redis-server",
    fedora: "redis",
    macos: "brew install redis",
};
/// Loading a large append-only file takes a while.
const READY: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);
/// Starts with other ports when the chosen ones were taken meanwhile.
const STARTS: usize = 3;

/// How a Redis is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The `redis-server` to use instead of the one found on this machine.
    pub program: Option<PathBuf>,
    /// Removes the folder when the server ends, even if this process is
    /// killed. The folder must be empty or missing at the start.
    pub ephemeral: bool,
}

/// A running Redis. Dropping it ends the server without waiting; prefer [`RedisServer::stop`].
#[derive(Debug)]
pub struct RedisServer {
    server: Server,
    program: PathBuf,
    port: u16,
}

impl RedisServer {
    /// Starts a Redis with its data in `dir` and returns when it answers.
    ///
    /// # Errors
    /// When the program is missing, the folder is in use, or the server does
    /// not come up; the error's text names the remedy.
    pub async fn start(dir: &Path) -> Result<Self, Error> {
        Self::start_with(dir, RedisOptions::default()).await
    }

    /// As [`RedisServer::start`], with options.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_with(dir: &Path, options: RedisOptions) -> Result<Self, Error> {
        let program = PROGRAM.find(options.program.as_deref())?;
        let folder = Folder::open(dir, options.ephemeral).await?;
        let mut redis = Self { server: Server::new(folder), program, port: 0 };
        for start in 1.. {
            [redis.port] = ports::claim(&redis.server.folder, ["redis"], start > 1)?;
            match redis.launch().await {
                Err(Error::Ended { .. }) if start < STARTS && !ports::is_free(redis.port) => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(redis)
    }

    /// `redis://127.0.0.1:port/`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process; after a kill, the process that was.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Ends the server in order: its data is on disk afterwards.
    ///
    /// # Errors
    /// [`Error::NotEnded`] when it does not end.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.server.stop().await
    }

    /// Kills the server with SIGKILL and returns when it is gone. The data
    /// folder stays locked and the port stays chosen for [`RedisServer::restart`].
    ///
    /// # Errors
    /// [`Error::NotEnded`] when it does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.server.kill().await
    }

    /// Starts the server again on the same port with the same data, after
    /// ending it where it still runs.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.server.end_for_restart().await?;
        self.launch().await
    }

    /// Freezes the server (SIGSTOP): connections stay open, nothing answers.
    ///
    /// # Errors
    /// [`Error::Signal`] when it does not run.
    pub fn pause(&self) -> Result<(), Error> {
        self.server.pause()
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Errors
    /// [`Error::Signal`] when it does not run.
    pub fn resume(&self) -> Result<(), Error> {
        self.server.resume()
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let folder = &self.server.folder;
        let order = Order {
            program: NAME,
            name: "redis",
            command: self.program.clone(),
            arguments: self.arguments(folder.subfolder("data")?),
            environment: Vec::new(),
            grace: GRACE,
        };
        let remedy = format!(
            "If the append-only file is damaged, `redis-check-aof --fix` mends it; if nothing in it is needed, \
             remove {}.",
            folder.path().display()
        );
        let readiness = Readiness { port: self.port, question: Question::Redis, limit: READY, remedy };
        self.server.launch(order, readiness).await
    }

    fn arguments(&self, data: PathBuf) -> Vec<OsString> {
        let port = self.port.to_string();
        let mut arguments = vec!["--port".into(), port.into(), "--dir".into(), data.into()];
        let fixed = "--bind 127.0.0.1 --daemonize no --appendonly yes --appendfsync everysec \
                     --maxmemory-policy noeviction --hash-max-listpack-value 1024";
        arguments.extend(fixed.split(' ').map(OsString::from));
        // Without this, a server without a configuration file takes snapshots
        // beside the append-only file.
        arguments.extend(["--save".into(), "".into()]);
        arguments
    }
}
