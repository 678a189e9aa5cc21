//! The life of one server process in its folder: launch, stop, kill, freeze.

use std::time::Duration;

use crate::folder::Folder;
use crate::ready::{self, Question};
use crate::signal::{self, Signal};
use crate::tether::{Order, Tether};
use crate::{Error, LogTail};

/// How to find out that a server is ready.
pub(crate) struct Readiness {
    pub port: u16,
    pub question: Question,
    /// How long it may take.
    pub limit: Duration,
    /// What to try if it does not come up.
    pub remedy: String,
}

/// A server that runs, or may run again, in a folder of its own.
#[derive(Debug)]
pub(crate) struct Server {
    // Declared first: the server is told to end before the folder is unlocked.
    tether: Option<Tether>,
    pid: u32,
    pub folder: Folder,
}

impl Server {
    /// A server that has not been launched yet.
    pub(crate) fn new(folder: Folder) -> Self {
        Self { tether: None, pid: 0, folder }
    }

    /// Starts the process and returns when it answers.
    pub(crate) async fn launch(&mut self, order: Order, readiness: Readiness) -> Result<(), Error> {
        let Readiness { port, question, limit, remedy } = readiness;
        let program = order.program;
        let mut tether = Tether::start(&self.folder, order).await?;
        self.pid = tether.pid();
        ready::wait(&mut tether, program, port, question, limit, &remedy).await?;
        self.tether = Some(tether);
        Ok(())
    }

    /// The process; after its end, the one that was.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the server in order.
    pub(crate) async fn stop(&mut self) -> Result<(), Error> {
        match self.tether.take() {
            Some(tether) => tether.stop().await,
            None => Ok(()),
        }
    }

    /// Ends the server with SIGKILL; its folder stays.
    pub(crate) async fn kill(&mut self) -> Result<(), Error> {
        match self.tether.take() {
            Some(tether) => tether.kill().await,
            None => Ok(()),
        }
    }

    /// Ends the server such that it can be launched again.
    pub(crate) async fn end_for_restart(&mut self) -> Result<(), Error> {
        // An orderly end would remove an ephemeral server's folder.
        if self.folder.ephemeral { self.kill().await } else { self.stop().await }
    }

    /// The end of its log, for an error.
    pub(crate) fn log_tail(&self) -> LogTail {
        self.tether.as_ref().map_or_else(|| LogTail::read(self.folder.path(), 0), Tether::log_tail)
    }

    /// Freezes the process.
    pub(crate) fn pause(&self) -> Result<(), Error> {
        signal::send(self.pid, Signal::Stop)
    }

    /// Continues a frozen process.
    pub(crate) fn resume(&self) -> Result<(), Error> {
        signal::send(self.pid, Signal::Continue)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where a watchdog runs, it removes the folder after the server's end.
        if self.tether.is_none() {
            self.folder.remove_if_ephemeral();
        }
    }
}
