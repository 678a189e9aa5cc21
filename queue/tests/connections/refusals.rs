//! Why Redis refuses, found without a write, each cause against a real server.

use std::time::Duration;

use upshot_queue::{
    Connection, Connector,
    connect::{Cause, Persistence, Writes, info, told},
};
use upshot_servers::{RedisCluster, RedisOptions as Local, RedisServer};

use crate::fixture::{PATIENCE, connector, enqueue, folder, job, options, queue, until_ok};

/// A server, an administrator's connection, and what is looked with.
struct Stage {
    redis: RedisServer,
    admin: Connection,
    connector: Connector,
}

impl Stage {
    async fn start(more: &[&str]) -> Self {
        let (dir, local) = folder();
        let arguments = more.iter().map(|word| (*word).to_owned()).collect();
        let redis = RedisServer::start_with(&dir, Local { arguments, ..local }).await.unwrap();
        let connector = connector(redis.url());
        let stage = Self { admin: connector.connect().unwrap(), redis, connector };
        // Redis knows the scripts from here on.
        for writes in [Writes::Work, Writes::Jobs] {
            stage.takes(writes).await.unwrap();
        }
        stage
    }

    async fn takes(&self, writes: Writes) -> Result<(), redis::RedisError> {
        self.connector.takes(&mut self.connector.connect().unwrap(), writes).await
    }

    /// What an administrator says to the server.
    async fn say(&mut self, words: &[&str]) -> redis::Value {
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut self.admin).await.unwrap()
    }

    async fn info(&mut self, section: &str) -> String {
        redis::from_redis_value(self.say(&["INFO", section]).await).unwrap()
    }

    /// What is refused, and what is not, and how the refusal reads.
    async fn refused(&self, writes: Writes, cause: Cause, words: &[&str]) {
        let error = self.takes(writes).await.unwrap_err();
        let said = told(&error);
        assert_eq!(Cause::of(&error), cause, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }

    /// It works again, and the looks have left nothing.
    async fn works(mut self) {
        for writes in [Writes::Work, Writes::Jobs] {
            self.takes(writes).await.unwrap();
        }
        assert_eq!(self.say(&["DBSIZE"]).await, redis::Value::Int(0), "a look has written something");
        enqueue(&queue(&self.connector, "work"), &job()).await;
        self.redis.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_found() {
    let mut stage = Stage::start(&[]).await;
    // Nobody listens there: a replica that has lost its master takes no writes either.
    stage.say(&["REPLICAOF", "127.0.0.1", "1"]).await;
    for writes in [Writes::Work, Writes::Jobs] {
        stage.refused(writes, Cause::ReadOnly, &["READONLY", "master", "redis+sentinel"]).await;
    }
    // The same words where a queue is called.
    let said = queue(&stage.connector, "work").enqueue(&[job()]).await.unwrap_err().to_string();
    assert!(said.contains("read-only replica (READONLY)"), "{said}");
    stage.say(&["REPLICAOF", "NO", "ONE"]).await;
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_is_found_and_work_goes_on() {
    let mut stage = Stage::start(&[]).await;
    stage.say(&["CONFIG", "SET", "maxmemory", "1"]).await;
    stage.refused(Writes::Jobs, Cause::Full, &["OOM", "executors", "maxmemory"]).await;
    stage.takes(Writes::Work).await.unwrap();
    stage.say(&["CONFIG", "SET", "maxmemory", "0"]).await;
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_replicas_are_found() {
    let mut stage = Stage::start(&[]).await;
    stage.say(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    for writes in [Writes::Work, Writes::Jobs] {
        stage.refused(writes, Cause::TooFewReplicas, &["NOREPLICAS", "min-replicas-to-write"]).await;
    }
    stage.say(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_is_found() {
    let mut stage = Stage::start(&["--dbfilename", "taken.rdb"]).await;
    let files: Vec<String> = redis::from_redis_value(stage.say(&["CONFIG", "GET", "dir"]).await).unwrap();
    // A snapshot cannot take the place of a folder, not even for root.
    std::fs::create_dir(std::path::Path::new(&files[1]).join("taken.rdb")).unwrap();
    stage.say(&["CONFIG", "SET", "save", "3600 1000000"]).await;
    stage.say(&["BGSAVE"]).await;
    let failed = async {
        while info(&stage.info("persistence").await, "rdb_last_bgsave_status") != Some("err") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failed).await.expect("the snapshot does not fail");
    for writes in [Writes::Work, Writes::Jobs] {
        stage.refused(writes, Cause::CannotSave, &["MISCONF", "disk"]).await;
    }
    stage.say(&["CONFIG", "SET", "save", ""]).await;
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_its_data_is_found() {
    // Redis answers once in 1,024 commands that it loads.
    let mut stage = Stage::start(&["--key-load-delay", "150"]).await;
    let mut pipe = redis::pipe();
    for number in 0..30_000 {
        pipe.cmd("SET").arg(number).arg("x").ignore();
    }
    let () = pipe.query_async(&mut stage.admin).await.unwrap();
    let connector = stage.connector.clone();
    let seen = async {
        loop {
            let error = connector.takes(&mut connector.connect().unwrap(), Writes::Work).await.err();
            if let Some(error) = error.filter(|error| Cause::of(error) == Cause::Loading) {
                return told(&error);
            }
        }
    };
    // It returns when the data are there.
    let (said, restarted) = tokio::join!(tokio::time::timeout(PATIENCE, seen), stage.redis.restart());
    let said = said.expect("it was never seen to load");
    assert!(said.contains("LOADING") && said.contains("nothing is to be done"), "{said}");
    restarted.unwrap();
    let admin = stage.admin.clone();
    until_ok("FLUSHALL", || {
        let mut admin = admin.clone();
        async move { redis::cmd("FLUSHALL").exec_async(&mut admin).await }
    })
    .await;
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_missing_wrong_or_too_weak_is_named() {
    let (dir, local) = folder();
    let users = vec!["weak on >password ~* &* +@read +ping +select".to_owned()];
    let local = Local { password: Some("right".to_owned()), users, ..local };
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let port = redis.port();
    for (login, cause, words) in [
        ("", Cause::NoLogin, ["NOAUTH", "user and password"]),
        (":wrong@", Cause::WrongLogin, ["WRONGPASS", "user and password"]),
        ("weak:password@", Cause::NotPermitted, ["NOPERM", "docs/redis-acl.md"]),
    ] {
        let connector = connector(format!("redis://{login}127.0.0.1:{port}"));
        let error = connector.takes(&mut connector.connect().unwrap(), Writes::Work).await.unwrap_err();
        let said = told(&error);
        assert_eq!(Cause::of(&error), cause, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_every_master_is_asked() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    let connector = Connector::new(options(cluster.url())).unwrap();
    let mut conn = connector.connect().unwrap();
    until_ok("a look", || {
        let mut conn = conn.clone();
        let connector = &connector;
        async move { connector.takes(&mut conn, Writes::Jobs).await }
    })
    .await;
    for number in 0..3 {
        let node = connector_of(&cluster.nodes()[number]);
        let mut admin = node.connect().unwrap();
        let set = |value: &'static str| {
            redis::cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(value).clone()
        };
        let () = set("1").query_async(&mut admin).await.unwrap();
        let error = connector.takes(&mut conn, Writes::Jobs).await.unwrap_err();
        assert_eq!(Cause::of(&error), Cause::TooFewReplicas, "node {number}: {error}");
        let () = set("0").query_async(&mut admin).await.unwrap();
    }
    connector.takes(&mut conn, Writes::Jobs).await.unwrap();
    let told = connector.persistence(&mut conn).await.unwrap();
    let everysec = Persistence { append_only: Some(true), fsync: Some("everysec".to_owned()) };
    assert_eq!(told, vec![everysec; 3]);
    // All nodes agree on one id.
    let id = connector.installation(&mut conn).await.unwrap();
    assert_eq!(connector.installation(&mut connector.connect().unwrap()).await.unwrap(), id);
    cluster.stop().await.unwrap();
}

fn connector_of(server: &RedisServer) -> Connector {
    Connector::new(upshot_queue::RedisOptions {
        response_timeout: Duration::from_secs(5),
        ..options(server.url())
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_does_not_tell_is_unknown() {
    let (dir, local) = folder();
    let users = vec![
        "asks on >p ~* &* +@all".to_owned(),
        "informed on >p ~* &* +info +ping +select".to_owned(),
        "blind on >p ~* &* +ping +select".to_owned(),
    ];
    let local = Local { users, always_fsync: true, ..local };
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let always = Some("always".to_owned());
    for (user, append_only, fsync) in
        [("asks", Some(true), always), ("informed", Some(true), None), ("blind", None, None)]
    {
        let connector = connector(format!("redis://{user}:p@127.0.0.1:{}", redis.port()));
        let told = connector.persistence(&mut connector.connect().unwrap()).await.unwrap();
        assert_eq!(told, [Persistence { append_only, fsync }], "{user}");
    }
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn data_have_an_id_until_they_are_flushed() {
    let mut stage = Stage::start(&[]).await;
    let id = async |connector: &Connector| {
        connector.installation(&mut connector.connect().unwrap()).await.unwrap()
    };
    // Those that start at the same time agree.
    let all = futures::future::join_all((0..20).map(|_| id(&stage.connector))).await;
    assert!(all.iter().all(|each| each == &all[0]), "{all:?}");
    assert_eq!(id(&stage.connector).await, all[0]);
    stage.say(&["FLUSHALL"]).await;
    assert_ne!(id(&stage.connector).await, all[0]);
    stage.say(&["FLUSHALL"]).await;
    stage.works().await;
}
