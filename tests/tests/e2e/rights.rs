//! The users and secrets of `deploy/`: each service runs with what it needs, a producer may publish
//! and nothing else, and passwords are rotated under load.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lapin::{
    BasicProperties,
    options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use upshot_queue::{Client, Connector, RedisOptions as Options, State};
use upshot_runtime::amqp::{self, Address, EVENTS, INTAKE, OUTCOMES, PublishError, Publisher};
use upshot_servers::{MailOptions, MailServer, RabbitOptions, RabbitServer, RedisOptions, RedisServer};
use upshot_tests::{PATIENCE, Process, Stage, orders::order};

/// An installation whose users and passwords `deploy/secrets.sh` made.
struct Installation {
    rabbit: RabbitServer,
    redis: RedisServer,
    mail: MailServer,
    secrets: PathBuf,
    folder: TempDir,
}

impl Installation {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        // Nothing listens at these addresses: the ports are known once the servers run.
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/secrets.sh");
        let mut making = Command::new("sh");
        making.arg(script).arg(&secrets).env("AMQP_HOST", "AMQP").env("REDIS_HOST", "REDIS");
        assert!(making.status().unwrap().success());
        let acl = ["--aclfile".to_owned(), secrets.join("users.acl").display().to_string()];
        let redis = RedisOptions { ephemeral: true, arguments: acl.into(), ..RedisOptions::default() };
        let definitions = Some(secrets.join("definitions.json"));
        let rabbit = RabbitOptions { ephemeral: true, definitions, ..RabbitOptions::default() };
        let mail = MailOptions { ephemeral: true, ..MailOptions::default() };
        let place = || tempfile::tempdir().unwrap().keep();
        let (redis_dir, rabbit_dir, mail_dir) = (place(), place(), place());
        let (redis, rabbit, mail) = tokio::try_join!(
            RedisServer::start_with(&redis_dir, redis),
            RabbitServer::start(&rabbit_dir, rabbit),
            MailServer::start_with(&mail_dir, mail)
        )
        .unwrap();
        let here = Self { rabbit, redis, mail, secrets, folder };
        for entry in std::fs::read_dir(&here.secrets).unwrap().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let text = text.replace("@AMQP/", &format!("@127.0.0.1:{}/", here.rabbit.port()));
            let text = text.replace("@REDIS/", &format!("@127.0.0.1:{}/", here.redis.port()));
            std::fs::write(entry.path(), text).unwrap();
        }
        here
    }

    fn file(&self, name: &str) -> PathBuf {
        self.secrets.join(name)
    }

    fn url(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap().trim().to_owned()
    }

    fn variables(&self, user: &str, more: &[(&str, String)]) -> Vec<(String, String)> {
        let file = |name: String| self.file(&name).display().to_string();
        let mut variables = vec![
            ("UPSHOT_REDIS_URL_FILE", file(format!("{user}.redis-url"))),
            ("UPSHOT_DATA_DIR", self.folder.path().join("data").display().to_string()),
            ("UPSHOT_SMTP__URL", self.mail.url()),
            ("UPSHOT_QUEUES__INVOICES__LEASE", "1s".to_owned()),
            ("UPSHOT_LOG__FORMAT", "json".to_owned()),
        ];
        if user != "executor" {
            variables.push(("UPSHOT_AMQP_URL_FILE", file(format!("{user}.amqp-url"))));
        }
        variables.extend(more.iter().cloned());
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    async fn service(&self, name: &str, listen: &str) -> (Process, String) {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let process = Process::start(&[name], &self.variables(name, &[(listen, free.to_string())])).await;
        (process, format!("http://{free}"))
    }

    /// Changes a password at the server, ends its connections, and writes the new one into its file.
    async fn rotate(&self, user: &str, server: &str) {
        let file = format!("{user}.{server}-url");
        let (user, password) = (format!("upshot-{user}"), format!("next-{user}"));
        match server {
            "amqp" => self.rabbit.change_password(&user, &password).await.unwrap(),
            _ => {
                let admin = redis::Client::open(self.url("admin.redis-url")).unwrap();
                let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
                let set = [user.clone(), "resetpass".to_owned(), format!(">{password}")];
                redis::cmd("ACL").arg("SETUSER").arg(&set).exec_async(&mut admin).await.unwrap();
                redis::cmd("CLIENT").arg(&["KILL", "USER", &user]).exec_async(&mut admin).await.unwrap();
            }
        }
        let url = self.url(&file);
        let (before, host) = url.rsplit_once('@').unwrap();
        let (login, _) = before.rsplit_once(':').unwrap();
        // A new file takes the place of the old one, as Kubernetes does it.
        let newer = self.file(&format!("{file}.newer"));
        std::fs::write(&newer, format!("{login}:{password}@{host}\n")).unwrap();
        std::fs::rename(newer, self.file(&file)).unwrap();
    }
}

/// Publishes orders over HTTP, each until it is accepted.
struct Load {
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Load {
    fn on(api: &str) -> Self {
        let accepted = Arc::new(AtomicUsize::new(0));
        let (counted, url) = (Arc::clone(&accepted), format!("{api}/v1/events"));
        let task = tokio::spawn(async move {
            let client = reqwest::Client::new();
            for number in 1.. {
                let mut interval = tokio::time::interval(Duration::from_millis(20));
                loop {
                    interval.tick().await;
                    let post = client.post(&url).header("content-type", "application/cloudevents+json");
                    let sent = post.body(order(number).to_string()).send().await;
                    if sent.is_ok_and(|answer| [200, 202].contains(&answer.status().as_u16())) {
                        break;
                    }
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { accepted, task }
    }

    async fn continues(&self, further: usize) {
        let wanted = self.accepted.load(Ordering::Relaxed) + further;
        until("further events are accepted", async || self.accepted.load(Ordering::Relaxed) >= wanted).await;
    }
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let mut interval = tokio::time::interval(Duration::from_millis(50));
    let waiting = async {
        while !done().await {
            interval.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_every_service_are_rotated_under_load_and_nothing_is_lost() {
    let here = Installation::start().await;
    let (bridge, bridge_probes) = here.service("bridge", "UPSHOT_PROBES__LISTEN").await;
    let (executor, executor_probes) = here.service("executor", "UPSHOT_PROBES__LISTEN").await;
    let (api, address) = here.service("api", "UPSHOT_API__LISTEN").await;
    let ready = async |base: &str| {
        until("ready", async || {
            reqwest::get(format!("{base}/readyz")).await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    };
    for base in [&bridge_probes, &executor_probes, &address] {
        ready(base).await;
    }
    let load = Load::on(&address);
    load.continues(10).await;
    for (user, server) in
        [("api", "amqp"), ("bridge", "amqp"), ("bridge", "redis"), ("executor", "redis"), ("api", "redis")]
    {
        here.rotate(user, server).await;
        load.continues(5).await;
    }
    for base in [&bridge_probes, &executor_probes, &address] {
        ready(base).await;
    }
    load.task.abort();
    let accepted = load.accepted.load(Ordering::Relaxed) as u64;
    let options = Options::new(here.url("operator.redis-url"), "upshot");
    let queue = Client::new(&Connector::new(options).unwrap(), "invoices".parse().unwrap()).unwrap();
    // One more may be on its way.
    until("every accepted event is a job that succeeded", async || {
        let counts = queue.counts().await.unwrap();
        let jobs: u64 = counts.states.iter().sum();
        counts.of(State::Succeeded) == jobs && (accepted..=accepted + 1).contains(&jobs)
    })
    .await;
    for process in [bridge, executor, api] {
        process.stop().await;
    }
    here.rabbit.stop().await.unwrap();
    here.redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_may_publish_events_and_nothing_else() {
    let here = Installation::start().await;
    let (bridge, _) = here.service("bridge", "UPSHOT_PROBES__LISTEN").await;
    bridge.logged(&["consuming"]).await;
    let producer = || Address::of_url(here.url("producer.amqp-url"));
    let publisher = Publisher::new(producer(), "test", false, PATIENCE);
    let body = order(1).to_string();
    publisher
        .publish(EVENTS, "order.completed.v1", body.as_bytes(), BasicProperties::default(), true)
        .await
        .unwrap();
    // The default exchange leads to every queue by its name.
    for exchange in ["", "upshot.probe", "upshot.quarantine", OUTCOMES] {
        let sent = publisher.publish(exchange, INTAKE, b"x", BasicProperties::default(), false).await;
        let error = sent.unwrap_err();
        assert!(matches!(error, PublishError::NotPermitted(_)), "{exchange}: {error}");
        let (said, name) = (error.to_string(), if exchange.is_empty() { "amq.default" } else { exchange });
        assert!(said.contains(&format!("'{name}'")) && said.contains("deploy/rabbitmq"), "{said}");
    }
    let link = amqp::connect(producer(), "test", u64::MAX).await.unwrap();
    let refused = |error: lapin::Error| assert!(amqp::is_refused(&error), "{error}");
    let channel = link.create_channel().await.unwrap();
    let declared = channel.queue_declare("own".into(), QueueDeclareOptions::durable(), FieldTable::default());
    declared.await.map(drop).map_err(refused).unwrap_err();
    let channel = link.create_channel().await.unwrap();
    let options = BasicConsumeOptions::default();
    let consumed = channel.basic_consume(INTAKE.into(), "".into(), options, FieldTable::default());
    consumed.await.map(drop).map_err(refused).unwrap_err();
    // The API publishes events too, and no receipts.
    let link = amqp::connect(Address::of_url(here.url("api.amqp-url")), "test", u64::MAX).await.unwrap();
    let channel = link.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(OUTCOMES.into(), "".into(), options, b"x", BasicProperties::default());
    match sent.await {
        Ok(confirm) => confirm.await.map(drop).map_err(refused).unwrap_err(),
        Err(error) => refused(error),
    }
    bridge.stop().await;
    publisher.close().await;
    here.rabbit.stop().await.unwrap();
    here.redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_redis_reaches_what_its_service_needs_alone() {
    let here = Installation::start().await;
    let ask = async |user: &str, words: &[&str]| {
        let client = redis::Client::open(here.url(&format!("{user}.redis-url"))).unwrap();
        let mut conn = client.get_multiplexed_async_connection().await.unwrap();
        let answer: redis::RedisResult<redis::Value> =
            redis::cmd(words[0]).arg(&words[1..]).query_async(&mut conn).await;
        answer.map(drop).map_err(|error| error.to_string())
    };
    for user in ["bridge", "executor", "api", "operator"] {
        for key in ["upshot:{invoices}", "upshot:{invoices}:job:a", "upshot:installation"] {
            ask(user, &["EXISTS", key]).await.unwrap();
        }
        let reaches = async |key: &str| ask(user, &["HGET", key, "a"]).await.is_ok();
        let keeps_people = ["api", "operator"].contains(&user);
        assert_eq!(reaches("upshot:{@access}:tokens").await, keeps_people, "{user}");
        assert_eq!(reaches("upshot:{@audit}:acts").await, user != "executor", "{user}");
        assert_eq!(reaches("upshot:{@ledger}:book").await, user != "executor", "{user}");
        assert!(!reaches("other").await && !reaches("upshot:other").await, "{user}");
        for words in [
            &["KEYS", "*"][..],
            &["FLUSHALL"],
            &["CONFIG", "SET", "appendonly", "no"],
            &["ACL", "LIST"],
            &["CLIENT", "LIST"],
            &["SCRIPT", "FLUSH"],
            &["PUBLISH", "other", "x"],
            &["PUBLISH", "upshot:{@access}:x", "x"],
        ] {
            let said = ask(user, words).await.unwrap_err();
            assert!(said.contains("permission") || said.contains("NOPERM"), "{user} {words:?}: {said}");
        }
        ask(user, &["PUBLISH", "upshot:{invoices}:wake", "x"]).await.unwrap();
    }
    here.rabbit.stop().await.unwrap();
    here.redis.stop().await.unwrap();
}

/// A bridge with the user of the API: what it lacks is named, with the remedy.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_user_lacks_a_right_names_it() {
    let stage = Stage::new().await;
    let addresses = stage.addresses(upshot_servers::Service::Api).await;
    let mut variables = stage.variables();
    variables.extend(addresses);
    let bridge = Process::start(&["bridge"], &variables).await;
    let said = bridge.logged(&["upshot.intake", "deploy/rabbitmq"]).await;
    assert!(said.contains("access to queue") && said.contains("amqp.url"), "{said}");
    bridge.stop().await;
    let mut variables = stage.variables();
    let url = stage.redis.replace("redis://", "redis://upshot-nobody:x@");
    variables.push(("UPSHOT_REDIS_URL".to_owned(), url));
    let executor = Process::start(&["executor"], &variables).await;
    let said = executor.logged(&["WRONGPASS"]).await;
    assert!(said.contains("redis.url"), "{said}");
    executor.stop().await;
    stage.finish().await;
}

/// A secret's file that is of no use is named at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_read_is_named_without_its_content() {
    let stage = Stage::new().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let variables = |path: &Path, content: &str| {
        std::fs::write(file.path(), content).unwrap();
        let mut variables = stage.variables();
        variables.retain(|(name, _)| name != "UPSHOT_REDIS_URL");
        variables.push(("UPSHOT_REDIS_URL_FILE".to_owned(), path.display().to_string()));
        variables
    };
    for (path, content, words) in [
        (Path::new("/run/none"), "", ["UPSHOT_REDIS_URL_FILE", "/run/none", "cannot be read"]),
        (file.path(), "", ["UPSHOT_REDIS_URL_FILE", "is empty", "write the value"]),
        (file.path(), "http://:m4rker@h", ["redis.url", "http://…@h", "redis+sentinel"]),
    ] {
        let bridge = Process::start(&["bridge"], &variables(path, content)).await;
        bridge.logged(&words).await;
        assert!(!bridge.tail().contains("m4rker"), "{}", bridge.tail());
    }
    use std::os::unix::fs::PermissionsExt;
    for (mode, outcome) in [(0o600, "ok"), (0o644, "warning")] {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let doctor = Process::output(&["doctor", "--json"], &variables(file.path(), &stage.redis)).await;
        let report: Value = serde_json::from_str(&doctor.1).unwrap();
        let checks = report["checks"].as_array().unwrap().iter();
        let found: Vec<&Value> = checks.filter(|check| check["check"] == "file of redis.url").collect();
        assert_eq!((found.len(), found[0]["outcome"].as_str()), (1, Some(outcome)), "{mode:o}: {found:?}");
    }
    stage.finish().await;
}
