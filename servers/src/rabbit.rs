//! A private RabbitMQ node with an epmd of its own, both on loopback only.

mod config;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::folder::Folder;
use crate::ports;
use crate::program::Program;
use crate::ready::{self, Question};
use crate::server::{Readiness, Server};
use crate::tether::{Order, Tether};
use crate::{Error, Service, TlsFiles};
use config::{Config, Ports};

const NAME: &str = "RabbitMQ";
const EPMD_NAME: &str = "epmd (Erlang's port mapper)";
const PROGRAM: Program = Program {
    name: NAME,
    // The script of this name in Debian's and Fedora's sbin insists on running
    // as the system service's user; this is the one that it wraps.
    places: &["/usr/lib/rabbitmq/bin/rabbitmq-server"],
    file: "rabbitmq-server",
    debian: "rabbitmq-server",
    fedora: "rabbitmq-server",
    macos: "brew install rabbitmq",
};
const EPMD: Program = Program {
    name: EPMD_NAME,
    places: &["/usr/bin/epmd"],
    file: "epmd",
    debian: "rabbitmq-server",
    fedora: "rabbitmq-server",
    macos: "brew install rabbitmq",
};
/// About 5 s here; a slow disk or a large backlog takes longer.
const READY: Duration = Duration::from_secs(120);
const GRACE: Duration = Duration::from_secs(20);
const EPMD_READY: Duration = Duration::from_secs(10);
const EPMD_GRACE: Duration = Duration::from_secs(1);
/// Starts with other ports if another program took the chosen ones.
const STARTS: usize = 3;

/// How a RabbitMQ node is started.
#[derive(Debug, Clone, Default)]
pub struct RabbitOptions {
    /// The virtual hosts to be there, in addition to those of earlier starts. The user of
    /// [`RabbitServer::url`] may do everything in them, the user of each [`Service`] what that needs.
    pub vhosts: Vec<String>,
    /// The `rabbitmq-server` to use instead of the one found on this machine.
    pub program: Option<PathBuf>,
    /// Removes the folder when the node ends, even if this process is killed.
    /// The folder must be empty or missing at the start.
    pub ephemeral: bool,
    /// Listens for TLS on a port of its own, besides the plain one.
    pub tls: Option<RabbitTls>,
    /// A file of definitions whose vhosts, users and permissions it has instead of the services' own.
    pub definitions: Option<PathBuf>,
}

/// How a node speaks TLS.
#[derive(Debug, Clone)]
pub struct RabbitTls {
    /// Its files.
    pub files: TlsFiles,
    /// Refuses clients that show no certificate of the same authority.
    pub demands_certificate: bool,
}

/// A running RabbitMQ node. Dropping it ends the node without waiting; prefer [`RabbitServer::stop`].
#[derive(Debug)]
pub struct RabbitServer {
    // Declared first: the node is told to end before its port mapper.
    server: Server,
    epmd: Option<Tether>,
    program: PathBuf,
    epmd_program: PathBuf,
    config: Config,
}

impl RabbitServer {
    /// Starts a node with its data in `dir` and returns when it answers AMQP.
    ///
    /// # Errors
    /// When a program is missing, the folder is in use, or the node does not
    /// come up; the error's text names the remedy.
    pub async fn start(dir: &Path, options: RabbitOptions) -> Result<Self, Error> {
        let program = PROGRAM.find(options.program.as_deref())?;
        let epmd_program = EPMD.find(None)?;
        let folder = Folder::open(dir, options.ephemeral).await?;
        let config = Config::new(&folder, options.vhosts, options.tls, options.definitions)?;
        let mut rabbit = Self { server: Server::new(folder), epmd: None, program, epmd_program, config };
        for start in 1.. {
            let ports =
                ports::claim(&rabbit.server.folder, ["amqp", "distribution", "epmd", "amqps"], start > 1)?;
            let [amqp, distribution, epmd, amqps] = ports;
            rabbit.config.ports = Ports { amqp, distribution, epmd, amqps };
            let launched = rabbit.launch().await;
            let Err(error) = launched else { break };
            rabbit.stop_epmd().await?;
            let taken = ports.into_iter().any(|port| !ports::is_free(port));
            if !(matches!(error, Error::Ended { .. }) && taken && start < STARTS) {
                return Err(error);
            }
        }
        Ok(rabbit)
    }

    /// `amqp://upshot:password@127.0.0.1:port/vhost`, the vhost percent-encoded.
    pub fn url(&self, vhost: &str) -> String {
        self.config.url(self.config.ports.amqp, vhost)
    }

    /// The same with the user of a service.
    pub fn url_of(&self, service: Service, vhost: &str) -> String {
        self.config.url_of(service, self.config.ports.amqp, vhost)
    }

    /// As [`RabbitServer::url`], through another port, such as a [`crate::Proxy`]'s.
    pub fn url_via(&self, port: u16, vhost: &str) -> String {
        self.config.url(port, vhost)
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.config.ports.amqp
    }

    /// Where a node that speaks TLS listens for it on 127.0.0.1.
    pub fn tls_port(&self) -> u16 {
        self.config.ports.amqps
    }

    /// The node's process; after a kill, the process that was.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The process of the node's port mapper, while it runs.
    pub fn epmd_pid(&self) -> Option<u32> {
        self.epmd.as_ref().map(Tether::pid)
    }

    /// Ends the node in order, then its port mapper.
    ///
    /// # Errors
    /// [`Error::NotEnded`] when one does not end.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.server.stop().await?;
        self.stop_epmd().await
    }

    /// Gives a user another password, and closes all connections of the user.
    ///
    /// # Errors
    /// When the node does not do so.
    pub async fn change_password(&self, user: &str, password: &str) -> Result<(), Error> {
        let closing = ["close_all_user_connections", user, "the password has changed"];
        for words in [&["change_password", user, password][..], &closing] {
            self.control(words).await?;
        }
        Ok(())
    }

    /// Runs `rabbitmqctl`, which stands beside `rabbitmq-server`.
    async fn control(&self, words: &[&str]) -> Result<(), Error> {
        let program = self.program.with_file_name("rabbitmqctl");
        let environment = self.config.environment(&self.server.folder)?;
        let mut command = Command::new(&program);
        let ended = command.args(words).envs(environment).stdin(Stdio::null()).output().await;
        let ended = ended.map_err(Error::folder("run", &program))?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        Err(Error::folder("use", &program)(std::io::Error::other(said)))
    }

    /// Kills the node with SIGKILL and returns when it is gone. The data
    /// folder stays locked and the ports stay chosen for [`RabbitServer::restart`].
    ///
    /// A quorum queue that was declared less than a second earlier may be
    /// unusable after the restart (`INTERNAL_ERROR` for every consumer), because
    /// RabbitMQ before ra 2.11 writes its name late:
    /// <https://github.com/rabbitmq/ra/pull/443>.
    ///
    /// # Errors
    /// [`Error::NotEnded`] when it does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.server.kill().await
    }

    /// Starts the node again on the same port with the same data, after
    /// ending it where it still runs.
    ///
    /// # Errors
    /// As [`RabbitServer::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.server.end_for_restart().await?;
        self.launch().await
    }

    /// Freezes the node (SIGSTOP): connections stay open, nothing answers.
    ///
    /// # Errors
    /// [`Error::Signal`] when it does not run.
    pub fn pause(&self) -> Result<(), Error> {
        self.server.pause()
    }

    /// Continues a frozen node (SIGCONT).
    ///
    /// # Errors
    /// [`Error::Signal`] when it does not run.
    pub fn resume(&self) -> Result<(), Error> {
        self.server.resume()
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let folder = &self.server.folder;
        let remedy =
            format!("If nothing in its data is needed, remove {} and start again.", folder.path().display());
        let environment = self.config.write(folder)?;
        if self.epmd.is_none() {
            let mut epmd = Tether::start(folder, self.epmd_order()).await?;
            let port = self.config.ports.epmd;
            ready::wait(&mut epmd, EPMD_NAME, port, Question::Epmd, EPMD_READY, &remedy).await?;
            self.epmd = Some(epmd);
        }
        let order = Order {
            program: NAME,
            name: "rabbitmq",
            command: self.program.clone(),
            arguments: Vec::new(),
            environment,
            grace: GRACE,
        };
        let port = self.config.ports.amqp;
        let readiness = Readiness { port, question: Question::Amqp, limit: READY, remedy };
        self.server.launch(order, readiness).await
    }

    fn epmd_order(&self) -> Order {
        let port = self.config.ports.epmd.to_string();
        Order {
            program: EPMD_NAME,
            name: "epmd",
            command: self.epmd_program.clone(),
            arguments: ["-port", &port, "-address", "127.0.0.1"].map(Into::into).into(),
            environment: Vec::new(),
            grace: EPMD_GRACE,
        }
    }

    async fn stop_epmd(&mut self) -> Result<(), Error> {
        match self.epmd.take() {
            Some(epmd) => epmd.stop().await,
            None => Ok(()),
        }
    }
}
