//! A private Redis with a replica, and three sentinels that replace it when it is gone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::{Asked, field, is_linked};
use super::{PROGRAM, RedisOptions, RedisServer, Role};
use crate::folder::Folder;
use crate::ports;
use crate::ready::Question;
use crate::server::{Readiness, Server};
use crate::tether::Order;
use crate::{Error, TlsFiles};

/// The name by which the sentinels know the master.
const MASTER: &str = "master";
const SENTINEL: &str = "Redis Sentinel";
const SENTINELS: usize = 3;
/// Sentinels introduce themselves to each other every two seconds, through the master.
const READY: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);
/// Starts with another port if another program took the chosen one.
const STARTS: usize = 3;

/// A running master, its replica and their sentinels. Dropping it ends them
/// without waiting; prefer [`RedisSentinels::stop`].
#[derive(Debug)]
pub struct RedisSentinels {
    // Declared first: told to end first, so that they replace nothing.
    sentinels: Vec<Sentinel>,
    servers: Vec<RedisServer>,
    dir: PathBuf,
}

impl RedisSentinels {
    /// Starts them all with their data in `dir`; returns when the replica has
    /// the master's data and each sentinel knows of it and of the others.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start(dir: &Path, options: RedisOptions) -> Result<Self, Error> {
        let master = RedisServer::start_as(&dir.join("server-1"), options.clone(), Role::Alone).await?;
        let role = Role::ReplicaOf(master.announced_port());
        let replica = RedisServer::start_as(&dir.join("server-2"), options.clone(), role).await?;
        replica.asked().until(&["INFO", "replication"], READY, is_linked).await?;
        let mut sentinels = Vec::with_capacity(SENTINELS);
        for number in 1..=SENTINELS {
            let dir = dir.join(format!("sentinel-{number}"));
            sentinels.push(Sentinel::start(&dir, &options, master.announced_port()).await?);
        }
        let all = Self { sentinels, servers: vec![master, replica], dir: dir.to_owned() };
        all.ready().await?;
        Ok(all)
    }

    /// `redis+sentinel://127.0.0.1:port,…/master`, without any login.
    pub fn url(&self) -> String {
        self.address("redis", |sentinel| sentinel.port)
    }

    /// `rediss+sentinel://127.0.0.1:port,…/master`, of servers that speak TLS,
    /// which sentinels call by their IP addresses; without any login.
    pub fn tls_url(&self) -> String {
        self.address("rediss", |sentinel| sentinel.tls_port)
    }

    fn address(&self, scheme: &str, port: impl Fn(&Sentinel) -> u16) -> String {
        let all: Vec<String> =
            self.sentinels.iter().map(|each| format!("127.0.0.1:{}", port(each))).collect();
        format!("{scheme}+sentinel://{}/{MASTER}", all.join(","))
    }

    /// Both servers; the first is the master in the beginning.
    pub fn servers(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    /// Returns when every sentinel knows a replica that it could promote, and
    /// all other sentinels. To be called after a restart of a server.
    ///
    /// # Errors
    /// [`Error::NotReady`] when that does not come about.
    pub async fn ready(&self) -> Result<(), Error> {
        let others = (SENTINELS - 1).to_string();
        let knows = |answer: &[String]| {
            field(answer, "num-other-sentinels") == Some(&others) && field(answer, "flags") == Some("master")
        };
        let promotable = |answer: &[String]| {
            field(answer, "flags") == Some("slave") && field(answer, "master-link-status") == Some("ok")
        };
        for sentinel in &self.sentinels {
            sentinel.asked().until(&["SENTINEL", "MASTER", MASTER], READY, knows).await?;
            sentinel.asked().until(&["SENTINEL", "REPLICAS", MASTER], READY, promotable).await?;
        }
        Ok(())
    }

    /// The port of the server that the sentinels name the master now; that for
    /// TLS where it has one.
    pub async fn master_port(&self) -> Option<u16> {
        for sentinel in &self.sentinels {
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
            if let Ok([_, port]) = sentinel.asked().ask(&words).await.as_deref() {
                return port.parse().ok();
            }
        }
        None
    }

    /// Has the sentinels make the replica the master although the master works.
    ///
    /// # Errors
    /// [`Error::NotReady`] when the replica cannot be promoted.
    pub async fn fail_over(&self) -> Result<(), Error> {
        let Some(sentinel) = self.sentinels.first() else { return Ok(()) };
        sentinel.asked().until(&["SENTINEL", "FAILOVER", MASTER], READY, |_| true).await?;
        Ok(())
    }

    /// Ends the sentinels, then the servers.
    ///
    /// # Errors
    /// [`Error::NotEnded`] when one does not end.
    pub async fn stop(self) -> Result<(), Error> {
        for mut sentinel in self.sentinels {
            sentinel.server.stop().await?;
        }
        for server in self.servers {
            server.stop().await?;
        }
        // Empty where they were ephemeral, and else to stay.
        let _ = std::fs::remove_dir(&self.dir);
        Ok(())
    }

    /// The processes: servers, then sentinels.
    pub fn pids(&self) -> Vec<u32> {
        let servers = self.servers.iter().map(RedisServer::pid);
        servers.chain(self.sentinels.iter().map(|each| each.server.pid())).collect()
    }
}

#[derive(Debug)]
struct Sentinel {
    server: Server,
    program: PathBuf,
    port: u16,
    tls_port: u16,
    /// Of the default user.
    password: Option<String>,
}

impl Sentinel {
    async fn start(dir: &Path, options: &RedisOptions, master: u16) -> Result<Self, Error> {
        let program = PROGRAM.find(options.program().as_deref())?;
        let server = Server::new(Folder::open(dir, options.ephemeral).await?);
        let password = options.sentinel_password.clone();
        let mut sentinel = Self { server, program, port: 0, tls_port: 0, password };
        for start in 1.. {
            [sentinel.port, sentinel.tls_port] =
                ports::claim(&sentinel.server.folder, ["sentinel", "tls"], start > 1)?;
            let taken = |sentinel: &Self| {
                [sentinel.port, sentinel.tls_port].into_iter().any(|port| !ports::is_free(port))
            };
            match sentinel.launch(&sentinel.config(master, options)).await {
                Err(Error::Ended { .. }) if start < STARTS && taken(&sentinel) => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(sentinel)
    }

    fn asked(&self) -> Asked<'_> {
        let password = self.password.as_deref();
        Asked { server: &self.server, program: SENTINEL, port: self.port, password }
    }

    /// A master that is gone for two seconds is replaced when two of three agree. A disk
    /// that others keep busy may hold one up for a second that nothing is wrong with.
    fn config(&self, master: u16, options: &RedisOptions) -> String {
        let mut lines = vec![
            format!("port {}", self.port),
            "bind 127.0.0.1".to_owned(),
            format!("sentinel monitor {MASTER} 127.0.0.1 {master} 2"),
            format!("sentinel down-after-milliseconds {MASTER} 2000"),
            format!("sentinel failover-timeout {MASTER} 6000"),
        ];
        if let Some(password) = &options.password {
            lines.push(format!("sentinel auth-pass {MASTER} {password}"));
        }
        // Sentinels log in to each other with this one as well.
        lines.extend(self.password.iter().map(|password| format!("requirepass {password}")));
        lines.extend(options.sentinel_users.iter().map(|user| format!("user {user}")));
        if let Some(TlsFiles { ca, cert, key }) = &options.tls {
            lines.push(format!("tls-port {}", self.tls_port));
            // With the servers and with each other.
            lines.push("tls-replication yes".to_owned());
            lines.push("tls-auth-clients optional".to_owned());
            for (name, file) in [("ca-cert", ca), ("cert", cert), ("key", key)] {
                lines.push(format!("tls-{name}-file \"{}\"", file.display()));
            }
        }
        lines.join("\n") + "\n"
    }

    async fn launch(&mut self, config: &str) -> Result<(), Error> {
        // A sentinel writes into its file what it learns of the others.
        let file = self.server.folder.write("sentinel.conf", config, 0o600)?;
        let order = Order {
            program: SENTINEL,
            name: "sentinel",
            command: self.program.clone(),
            arguments: vec![file.into(), "--sentinel".into()],
            environment: Vec::new(),
            grace: GRACE,
        };
        let remedy = format!("If nothing in it is needed, remove {}.", self.server.folder.path().display());
        let question = Question::Redis { password: self.password.clone() };
        self.server.launch(order, Readiness { port: self.port, question, limit: READY, remedy }).await
    }
}
