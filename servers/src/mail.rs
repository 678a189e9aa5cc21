//! A mail catcher for tests: aiosmtpd, writing what it accepts into a Maildir.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::Error;
use crate::folder::Folder;
use crate::ports;
use crate::program::Program;
use crate::ready::Question;
use crate::server::{Readiness, Server};
use crate::tether::Order;

const NAME: &str = "aiosmtpd";
const PROGRAM: Program = Program {
    name: NAME,
    // Debian's module belongs to Debian's Python, not to another one in PATH.
    places: &["/usr/bin/python3"],
    file: "python3",
    debian: "python3-aiosmtpd",
    fedora: "python3-aiosmtpd",
    macos: "python3 -m pip install aiosmtpd",
};
const READY: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(2);
/// Starts with other ports if another program took the chosen ones.
const STARTS: usize = 3;

/// How a mail catcher is started.
#[derive(Debug, Clone, Default)]
pub struct MailOptions {
    /// The Python that has aiosmtpd, instead of the one found on this machine.
    pub program: Option<PathBuf>,
    /// Removes the folder when the server ends, even if this process is
    /// killed. The folder must be empty or missing at the start.
    pub ephemeral: bool,
    /// Accepts every mail and drops it.
    pub drops: bool,
}

/// A running mail catcher. Dropping it ends the server without waiting; prefer [`MailServer::stop`].
#[derive(Debug)]
pub struct MailServer {
    server: Server,
    python: PathBuf,
    port: u16,
    drops: bool,
}

/// A mail as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Headers and body, with `X-MailFrom` and `X-RcptTo` from the envelope.
    pub raw: Vec<u8>,
}

impl Mail {
    /// The first header of this name, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw);
        let mut lines = text.lines().take_while(|line| !line.is_empty());
        let first = lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })?;
        let folded = lines.take_while(|line| line.starts_with([' ', '\t']));
        Some(folded.fold(first, |value, line| format!("{value} {}", line.trim())))
    }
}

impl MailServer {
    /// Starts a mail catcher with its mails in `dir` and returns when it greets.
    ///
    /// # Errors
    /// When Python or aiosmtpd is missing, the folder is in use, or the server
    /// does not come up; the error's text names the remedy.
    pub async fn start(dir: &Path) -> Result<Self, Error> {
        Self::start_with(dir, MailOptions::default()).await
    }

    /// As [`MailServer::start`], with options.
    ///
    /// # Errors
    /// As [`MailServer::start`].
    pub async fn start_with(dir: &Path, options: MailOptions) -> Result<Self, Error> {
        let python = find_python(options.program).await?;
        let folder = Folder::open(dir, options.ephemeral).await?;
        let mut mail = Self { server: Server::new(folder), python, port: 0, drops: options.drops };
        for start in 1.. {
            [mail.port] = ports::claim(&mail.server.folder, ["smtp"], start > 1)?;
            match mail.launch().await {
                Err(Error::Ended { .. }) if start < STARTS && !ports::is_free(mail.port) => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(mail)
    }

    /// `smtp://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process; after a kill, the process that was.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Every mail accepted so far, oldest first. Reads the folder, so it works
    /// while the server is down too.
    ///
    /// # Errors
    /// [`Error::Folder`] when the folder cannot be read.
    pub fn messages(&self) -> Result<Vec<Mail>, Error> {
        let new = self.maildir().join("new");
        let mut files = Vec::new();
        for entry in fs::read_dir(&new).map_err(Error::folder("read", &new))? {
            let entry = entry.map_err(Error::folder("read", &new))?;
            let written = entry.metadata().and_then(|meta| meta.modified());
            files.push((written.map_err(Error::folder("read", &new))?, entry.path()));
        }
        files.sort();
        let read = |path: PathBuf| fs::read(&path).map_err(Error::folder("read", &path));
        files.into_iter().map(|(_, path)| Ok(Mail { raw: read(path)? })).collect()
    }

    /// Ends the server in order.
    ///
    /// # Errors
    /// [`Error::NotEnded`] when it does not end.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.server.stop().await
    }

    /// Kills the server with SIGKILL and returns when it is gone. The folder
    /// stays locked and the port stays chosen for [`MailServer::restart`].
    ///
    /// # Errors
    /// [`Error::NotEnded`] when it does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.server.kill().await
    }

    /// Starts the server again on the same port with the same mails, after
    /// ending it where it still runs.
    ///
    /// # Errors
    /// As [`MailServer::start`].
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

    /// Continues a frozen server (SIGCONT).
    ///
    /// # Errors
    /// [`Error::Signal`] when it does not run.
    pub fn resume(&self) -> Result<(), Error> {
        self.server.resume()
    }

    fn maildir(&self) -> PathBuf {
        self.server.folder.join("maildir")
    }

    async fn launch(&mut self) -> Result<(), Error> {
        // Python's mailbox module makes a Maildir only where nothing is yet.
        let maildir = self.maildir();
        for part in ["maildir/new", "maildir/cur", "maildir/tmp"] {
            self.server.folder.subfolder(part)?;
        }
        let address = format!("127.0.0.1:{}", self.port);
        let handler = if self.drops { "aiosmtpd.handlers.Sink" } else { "aiosmtpd.handlers.Mailbox" };
        let mut arguments: Vec<_> =
            ["-m", "aiosmtpd", "-n", "-l", &address, "-c", handler].map(Into::into).into();
        if !self.drops {
            arguments.push(maildir.into());
        }
        let order = Order {
            program: NAME,
            name: "mail",
            command: self.python.clone(),
            arguments,
            environment: Vec::new(),
            grace: GRACE,
        };
        let remedy = format!("If the mails are not needed, remove {}.", self.server.folder.path().display());
        let readiness = Readiness { port: self.port, question: Question::Smtp, limit: READY, remedy };
        self.server.launch(order, readiness).await
    }
}

/// The first Python of this machine that has aiosmtpd.
async fn find_python(given: Option<PathBuf>) -> Result<PathBuf, Error> {
    let candidates = given.map_or_else(|| PROGRAM.candidates(), |path| vec![path]);
    for python in candidates.iter().filter(|path| path.is_file()) {
        let probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('aiosmtpd') is None)";
        if let Ok(output) = Command::new(python).args(["-c", probe]).output().await
            && output.status.success()
        {
            return Ok(python.clone());
        }
    }
    Err(PROGRAM.missing(&candidates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_and_unfolded() {
        let mail = Mail { raw: b"A: 1\r\nMessage-ID:\r\n <x@y>\r\nB: 2\r\n\r\nC: 3\r\n".to_vec() };
        assert_eq!(mail.header("message-id").as_deref().map(str::trim), Some("<x@y>"));
        assert_eq!(mail.header("b").as_deref(), Some("2"));
        assert_eq!(mail.header("c"), None);
    }
}
