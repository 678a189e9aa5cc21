//! What all measurements run on: private servers, settings, the `upshot` binary.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::sync::Mutex;
use upshot_queue::{Client, Connector};
use upshot_servers::{MailOptions, MailServer, RabbitOptions, RabbitServer, RedisOptions, RedisServer};

use crate::{load, machine::Machine, priority, service::Service, slowlog};

/// The queue of the jobs that do nothing.
pub const QUEUE: &str = "bench";
/// What all of Upshot's keys start with.
pub const PREFIX: &str = "upshot";
const VHOST: &str = "bench";

/// The servers and where everything is.
#[derive(Debug)]
pub struct Stage {
    /// What the figures are worth.
    pub machine: Machine,
    /// The `upshot` binary.
    pub upshot: PathBuf,
    /// Where the API is to listen.
    pub api: String,
    rabbit: RabbitServer,
    redis: RedisServer,
    mail: MailServer,
    dir: TempDir,
    slow: Mutex<Vec<slowlog::Call>>,
}

impl Stage {
    /// Starts the servers and writes the settings.
    pub async fn set() -> anyhow::Result<Self> {
        let upshot = std::env::current_exe()?.with_file_name("upshot");
        ensure!(
            upshot.exists(),
            "{} is missing: build it with `cargo build --release -p upshot`",
            upshot.display()
        );
        let dir = tempfile::Builder::new().prefix("upshot-bench-").tempdir()?;
        let [amqp, keys, mails] = ["rabbitmq", "redis", "mail"].map(|name| dir.path().join(name));
        let vhosts = vec![VHOST.to_owned()];
        let (rabbit, redis, mail) = tokio::try_join!(
            RabbitServer::start(&amqp, RabbitOptions { vhosts, ephemeral: true, ..RabbitOptions::default() }),
            RedisServer::start_with(&keys, RedisOptions { ephemeral: true, ..RedisOptions::default() }),
            MailServer::start_with(&mails, MailOptions { ephemeral: true, ..MailOptions::default() }),
        )?;
        // A port that was free a moment ago; nobody else here takes it meanwhile.
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let machine = Machine::look(redis.port(), rabbit.port()).await?;
        let stage = Self { machine, upshot, api, rabbit, redis, mail, dir, slow: Mutex::default() };
        stage.write_settings()?;
        let link = upshot_runtime::amqp::connect(
            upshot_runtime::amqp::Address::of_url(stage.amqp()),
            "upshot-bench",
            u64::MAX,
        )
        .await?;
        upshot_runtime::amqp::declare(&link, None).await?;
        link.close().await;
        prepare(&stage.redis).await?;
        Ok(stage)
    }

    /// Another Redis, to compare with.
    pub async fn another_redis(&self) -> anyhow::Result<RedisServer> {
        let options = RedisOptions { ephemeral: true, ..RedisOptions::default() };
        let redis = RedisServer::start_with(&self.dir.path().join("another-redis"), options).await?;
        prepare(&redis).await?;
        Ok(redis)
    }

    /// Remembers the slow calls of another Redis.
    pub async fn note_slow_calls(&self, redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
        self.slow.lock().await.extend(slowlog::take(redis, PREFIX).await?);
        Ok(())
    }

    /// Ends everything and removes the folder.
    pub async fn clear(self) -> anyhow::Result<()> {
        self.mail.stop().await?;
        self.rabbit.stop().await?;
        self.redis.stop().await?;
        self.dir.close().context("the temporary folder is not removed")
    }

    /// Where everything is kept, the servers' data too.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// RabbitMQ's address.
    pub fn amqp(&self) -> String {
        self.rabbit.url(VHOST)
    }

    /// Redis' address.
    pub fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// The servers' processes.
    pub fn servers(&self) -> [u32; 2] {
        [self.rabbit.pid(), self.redis.pid()]
    }

    /// A connection that waits for slow answers.
    pub async fn redis(&self) -> anyhow::Result<MultiplexedConnection> {
        connect(&self.redis).await
    }

    /// Bytes that Redis' data and structures take.
    pub async fn redis_memory(&self) -> anyhow::Result<f64> {
        Ok(info(&mut self.redis().await?, "used_memory").await?.parse()?)
    }

    /// Forgets all keys, before a measurement.
    pub async fn flush(&self) -> anyhow::Result<()> {
        let mut redis = self.redis().await?;
        self.note_slow_calls(&mut redis).await?;
        Ok(redis::cmd("FLUSHALL").arg("SYNC").query_async(&mut redis).await?)
    }

    /// Upshot's slow script calls so far.
    pub async fn slow_calls(&self) -> anyhow::Result<Vec<slowlog::Slow>> {
        let mut all = self.slow.lock().await;
        all.extend(slowlog::take(&mut self.redis().await?, PREFIX).await?);
        Ok(slowlog::by_script(all.clone()))
    }

    /// How to reach the queue from this process.
    pub fn connector(&self) -> anyhow::Result<Connector> {
        connector(&self.redis)
    }

    /// The queue of the jobs that do nothing.
    pub fn queue(&self) -> anyhow::Result<Client> {
        self.queue_on(&self.redis)
    }

    /// The same on another Redis.
    pub fn queue_on(&self, redis: &RedisServer) -> anyhow::Result<Client> {
        Ok(Client::new(&connector(redis)?, QUEUE.parse()?)?)
    }

    /// Starts `upshot NAME ARGUMENT…` with the bench's settings.
    pub async fn upshot(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Service> {
        let settings = self.dir.path().join("upshot.toml").display().to_string();
        let all = [&["--config", &settings, name], arguments].concat();
        Service::start(name, &self.upshot, all, &self.log(name)).await
    }

    /// Starts this program in another role.
    pub async fn ourselves(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Service> {
        let all = [&[name], arguments].concat();
        self.program(name, &std::env::current_exe()?, &all).await
    }

    /// Starts any program; its log is called by the name.
    pub async fn program(&self, name: &str, program: &Path, arguments: &[&str]) -> anyhow::Result<Service> {
        Service::start(name, program, arguments, &self.log(name)).await
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.log"))
    }

    fn write_settings(&self) -> anyhow::Result<()> {
        let dir = self.dir.path();
        std::fs::create_dir(dir.join("contracts"))?;
        std::fs::write(
            dir.join("contracts").join(format!("{}.schema.json", load::EVENT_TYPE)),
            load::CONTRACT,
        )?;
        let settings = include_str!("stage.toml")
            .replace("DIR", &dir.display().to_string())
            .replace("AMQP", &self.amqp())
            .replace("REDIS", &self.redis_url())
            .replace("SMTP", &self.mail.url())
            .replace("LISTEN", &self.api);
        Ok(std::fs::write(dir.join("upshot.toml"), settings)?)
    }
}

/// One line of Redis' `INFO`, by one command.
pub async fn info(redis: &mut MultiplexedConnection, name: &str) -> anyhow::Result<String> {
    let info: String = redis::cmd("INFO").query_async(redis).await?;
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("Redis says no `{name}`"))?.trim().to_owned())
}

/// Sets what makes measurements comparable.
async fn prepare(redis: &RedisServer) -> anyhow::Result<()> {
    priority::first(redis.pid());
    let mut redis = connect(redis).await?;
    // A rewrite of the append-only file in the middle of one round and not
    // of another would be noise.
    () = redis::cmd("CONFIG")
        .arg(&["SET", "auto-aof-rewrite-percentage", "0"])
        .query_async(&mut redis)
        .await?;
    slowlog::begin(&mut redis).await
}

/// A connection that waits for slow answers.
pub async fn connect(redis: &RedisServer) -> anyhow::Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    let client = redis::Client::open(redis.url())?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

fn connector(redis: &RedisServer) -> anyhow::Result<Connector> {
    Ok(Connector::new(upshot_queue::RedisOptions::new(redis.url(), PREFIX))?)
}
