//! A private Redis with an append-only file.

mod ask;
mod cluster;
mod sentinels;

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folder::Folder;
use crate::ports;
use crate::program::Program;
use crate::ready::Question;
use crate::server::{Readiness, Server};
use crate::tether::Order;
use crate::users::{self, Passwords};
use crate::{Error, Service, TlsFiles};

pub(crate) use ask::encoded;
pub use cluster::RedisCluster;
pub use sentinels::RedisSentinels;

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
/// Starts with other ports if another program took the chosen ones.
const STARTS: usize = 3;

/// How a Redis is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The `redis-server` to use instead of the one found on this machine, such
    /// as a `valkey-server`, which takes the same arguments. Without one the variable
    /// `UPSHOT_TEST_REDIS_SERVER` may name it: whole suites run on another server then.
    pub program: Option<PathBuf>,
    /// Removes the folder when the server ends, even if this process is
    /// killed. The folder must be empty or missing at the start.
    pub ephemeral: bool,
    /// The password of the default user (`requirepass`).
    pub password: Option<String>,
    /// Without a `password`: makes one up at the first start and keeps it in the folder, so that
    /// other users of the machine are not let in.
    pub own_password: bool,
    /// Further users, each as a line of Redis' ACL: `name on >password ~key:* +@all`.
    pub users: Vec<String>,
    /// Adds the users of the services, for keys and channels with a prefix that matches this
    /// pattern; see [`crate::pattern_of`]. Only for a server by itself.
    pub services: Option<String>,
    /// The password of the default user of sentinels, which have users of their own.
    pub sentinel_password: Option<String>,
    /// Further users of the sentinels, as in `users`.
    pub sentinel_users: Vec<String>,
    /// Listens for TLS on a port of its own, besides the plain one.
    pub tls: Option<TlsFiles>,
    /// Writes every change to the disk before it is answered, and not within a second.
    pub always_fsync: bool,
    /// More arguments, which override those that are given anyway.
    pub arguments: Vec<String>,
}

impl RedisOptions {
    /// The program to start: the one that is named here, or by the variable.
    fn program(&self) -> Option<PathBuf> {
        self.program.clone().or_else(|| std::env::var_os("UPSHOT_TEST_REDIS_SERVER").map(PathBuf::from))
    }
}

/// A running Redis. Dropping it ends the server without waiting; prefer [`RedisServer::stop`].
#[derive(Debug)]
pub struct RedisServer {
    server: Server,
    program: PathBuf,
    options: RedisOptions,
    /// Of the services' users, if it has them.
    services: Option<Passwords>,
    /// What the server is besides: a node of a cluster, a replica.
    role: Role,
    ports: Ports,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ports {
    plain: u16,
    tls: u16,
    bus: u16,
}

/// What a server is among others.
#[derive(Debug, Clone, Copy)]
enum Role {
    Alone,
    /// A node of a cluster.
    Node,
    /// A replica of the server on this port.
    ReplicaOf(u16),
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
        Self::start_as(dir, options, Role::Alone).await
    }

    async fn start_as(dir: &Path, options: RedisOptions, role: Role) -> Result<Self, Error> {
        let program = PROGRAM.find(options.program().as_deref())?;
        let folder = Folder::open(dir, options.ephemeral).await?;
        let ports = Ports::default();
        let mut options = options;
        if options.own_password && options.password.is_none() {
            options.password = Some(folder.secret("password", 0o600)?);
        }
        let services = options.services.is_some().then(|| Passwords::new(&folder)).transpose()?;
        let mut redis = Self { server: Server::new(folder), program, options, services, role, ports };
        for start in 1.. {
            let [plain, tls, bus] = ports::claim(&redis.server.folder, ["redis", "tls", "bus"], start > 1)?;
            redis.ports = Ports { plain, tls, bus };
            let taken = || [plain, tls, bus].into_iter().any(|port| !ports::is_free(port));
            match redis.launch().await {
                Err(Error::Ended { .. }) if start < STARTS && taken() => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(redis)
    }

    /// `redis://127.0.0.1:port/`, with the password where it has one.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}/", self.login(), self.ports.plain)
    }

    /// The same with the user of a service; without a password if it has no such users.
    pub fn url_of(&self, service: Service) -> String {
        let password = self.services.as_ref().map_or("", |passwords| passwords.of(service));
        format!("redis://{}:{password}@127.0.0.1:{}/", service.user(), self.ports.plain)
    }

    /// `rediss://localhost:port/`, of a server that speaks TLS.
    pub fn tls_url(&self) -> String {
        format!("rediss://{}localhost:{}/", self.login(), self.ports.tls)
    }

    fn login(&self) -> String {
        let password = &self.options.password;
        password.as_ref().map_or_else(String::new, |password| format!(":{password}@"))
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.ports.plain
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

    /// Continues a frozen server (SIGCONT).
    ///
    /// # Errors
    /// [`Error::Signal`] when it does not run.
    pub fn resume(&self) -> Result<(), Error> {
        self.server.resume()
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let folder = &self.server.folder;
        let config = self.config(&folder.subfolder("data")?);
        let mut arguments = vec![OsString::from(folder.write("redis.conf", &config, 0o600)?)];
        arguments.extend(self.options.arguments.iter().map(OsString::from));
        let order = Order {
            program: NAME,
            name: "redis",
            command: self.program.clone(),
            arguments,
            environment: Vec::new(),
            grace: GRACE,
        };
        let remedy = format!(
            "If the append-only file is damaged, `redis-check-aof --fix` mends it; if nothing in it is needed, \
             remove {}.",
            folder.path().display()
        );
        let question = Question::Redis { password: self.options.password.clone() };
        let readiness = Readiness { port: self.ports.plain, question, limit: READY, remedy };
        self.server.launch(order, readiness).await
    }

    /// Where a replica, a sentinel or another node of a cluster finds it.
    fn announced_port(&self) -> u16 {
        if self.options.tls.is_some() { self.ports.tls } else { self.ports.plain }
    }

    fn asked(&self) -> ask::Asked<'_> {
        let password = self.options.password.as_deref();
        ask::Asked { server: &self.server, program: NAME, port: self.ports.plain, password }
    }

    /// The settings as Redis reads them out of a file: a command line is for all users to see,
    /// and there are passwords among them.
    fn config(&self, data: &Path) -> String {
        let Ports { plain, tls, bus } = self.ports;
        let mut lines = vec![format!("port {plain}"), line("dir", [data])];
        let mut add = |words: &str| lines.push(words.to_owned());
        add("bind 127.0.0.1");
        add("daemonize no");
        add("appendonly yes");
        add("maxmemory-policy noeviction");
        add("hash-max-listpack-value 1024");
        // Without this, it would take snapshots beside the append-only file.
        add("save \"\"");
        add(if self.options.always_fsync { "appendfsync always" } else { "appendfsync everysec" });
        match self.role {
            Role::Alone => {}
            // The cluster notices a dead node soon, and the slots of the other nodes stay
            // available.
            Role::Node => {
                add("cluster-enabled yes");
                add(&format!("cluster-port {bus}"));
                add("cluster-node-timeout 2000");
                add("cluster-require-full-coverage no");
            }
            Role::ReplicaOf(master) => add(&format!("replicaof 127.0.0.1 {master}")),
        }
        let of_services = match (&self.options.services, &self.services) {
            (Some(prefix), Some(passwords)) => users::of_redis(prefix, passwords),
            _ => Vec::new(),
        };
        for user in self.options.users.iter().chain(&of_services) {
            add(&line("user", user.split(' ')));
        }
        if let Some(files) = &self.options.tls {
            add(&format!("tls-port {tls}"));
            add("tls-auth-clients optional");
            add("tls-replication yes");
            if matches!(self.role, Role::Node) {
                // Without this the nodes do not tell each other's ports for TLS.
                add("tls-cluster yes");
            }
            add(&line("tls-ca-cert-file", [&files.ca]));
            add(&line("tls-cert-file", [&files.cert]));
            add(&line("tls-key-file", [&files.key]));
        }
        if let Some(password) = &self.options.password {
            add(&line("requirepass", [password]));
            add(&line("masterauth", [password]));
        }
        lines.join("\n") + "\n"
    }
}

/// A line of the file of settings, its values quoted.
fn line(name: &str, values: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let mut line = name.to_owned();
    for value in values {
        line.push_str(" \"");
        for byte in value.as_ref().as_bytes() {
            match byte {
                b'"' | b'\\' => line.extend(['\\', char::from(*byte)]),
                b' '..=b'~' => line.push(char::from(*byte)),
                // Writing to a String cannot fail.
                _ => drop(write!(line, "\\x{byte:02x}")),
            }
        }
        line.push('"');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_redis_reads_them() {
        assert_eq!(line("user", ["a", ">p\"\\ä\n"]), r#"user "a" ">p\"\\\xc3\xa4\x0a""#);
    }
}
