//! A password that changes while jobs are enqueued: no job is lost, whichever side learns of the
//! new password first.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use redis::RedisResult;
use tokio::task::JoinHandle;
use upshot_queue::{
    Connector, EnqueueResult, RedisOptions,
    connect::{Login, Logins},
};
use upshot_servers::{RedisCluster, RedisSentinels, RedisServer};

use crate::{
    fixture::{
        PATIENCE, documented_user, enqueue, folder, heard, job, key, listen, options, queue, ready, until_ok,
    },
    handles::Queue,
};

const USER: &str = "upshot";

/// Options whose URL and password at the sentinels stand in a file, one a line.
fn options_of_file(file: &Path, url: &str, sentinel_password: Option<&str>) -> RedisOptions {
    write(file, url, sentinel_password);
    let file = file.to_owned();
    let read = move || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let mut lines = text.lines().map(str::to_owned);
        Ok(Login { url: lines.next().unwrap_or_default(), sentinel_password: lines.next() })
    };
    RedisOptions {
        sentinel_password: sentinel_password.map(str::to_owned),
        logins: Some(Logins::new(read)),
        ..options(url)
    }
}

fn write(file: &Path, url: &str, sentinel_password: Option<&str>) {
    // As Kubernetes does: a reader sees the old or the new content.
    let newer = file.with_extension("newer");
    let lines: Vec<&str> = std::iter::once(url).chain(sentinel_password).collect();
    std::fs::write(&newer, lines.join("\n")).unwrap();
    std::fs::rename(&newer, file).unwrap();
}

async fn ask(port: u16, words: &[&str]) -> RedisResult<redis::Value> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut conn = client.get_multiplexed_async_connection().await?;
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut conn).await
}

/// Gives the user another password and ends its connections.
async fn change(ports: &[u16], user: &str, password: &str) {
    for port in ports {
        ask(*port, &["ACL", "SETUSER", user, "resetpass", &format!(">{password}")]).await.unwrap();
        ask(*port, &["CLIENT", "KILL", "USER", user]).await.unwrap();
    }
}

/// Enqueues jobs one after another, each until it is there.
struct Load {
    done: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Load {
    fn on(queue: Queue) -> Self {
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        let task = tokio::spawn(async move {
            loop {
                let enqueued = enqueue(&queue, &job()).await;
                assert!(matches!(enqueued, EnqueueResult::Inserted | EnqueueResult::Duplicate { .. }));
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { done, task }
    }

    /// Waits until this many further jobs are enqueued.
    async fn continues(&self, further: usize) {
        let wanted = self.done.load(Ordering::Relaxed) + further;
        let enough = async {
            while self.done.load(Ordering::Relaxed) < wanted {
                assert!(!self.task.is_finished(), "the load failed");
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.expect("no further job is enqueued");
    }
}

/// Rotates the password twice under load. Each time the servers close the connections.
async fn rotates(
    name: &str,
    file: PathBuf,
    options: RedisOptions,
    url: impl Fn(&str) -> (String, Option<String>),
    change: impl AsyncFn(&str),
) {
    let connector = Connector::new(options).unwrap();
    let (conn, writer) = (connector.connect().unwrap(), queue(&connector, name));
    until_ok("a ping", || {
        let (connector, mut conn) = (&connector, conn.clone());
        async move { connector.ping(&mut conn).await }
    })
    .await;
    let load = Load::on(queue(&connector, name));
    load.continues(20).await;
    let swap = |password: &str| {
        let (url, sentinels) = url(password);
        write(&file, &url, sentinels.as_deref());
    };
    // The servers first: until the file follows, the login is refused.
    change("two").await;
    until_refused(&connector).await;
    swap("two");
    load.continues(20).await;
    // The file first: open connections continue, and the servers follow.
    swap("three");
    load.continues(20).await;
    change("three").await;
    load.continues(20).await;
    // Listeners and new connections have the newest login too.
    let channel = format!("{}:channel", key(&connector, name));
    let mut listener = listen(&connector, &channel).await;
    heard(&mut listener, &conn, &channel).await;
    // A file that cannot be used at the moment is named, and used again afterwards.
    write(&file, "", None);
    let mut other = connector.connect().unwrap();
    let said = connector.ping(&mut other).await.unwrap_err().to_string();
    assert!(said.contains("cannot be reached with these settings"), "{said}");
    swap("three");
    until_ok("a ping", || {
        let (connector, mut conn) = (&connector, other.clone());
        async move { connector.ping(&mut conn).await }
    })
    .await;
    load.continues(1).await;
    load.task.abort();
    let _ = load.task.await;
    // The last job may have been enqueued before its answer was read.
    let (counted, there) = (load.done.load(Ordering::Relaxed), ready(&writer).await as usize);
    assert!(there == counted || there == counted + 1, "{there} jobs, {counted} acknowledged");
}

/// Waits until a new connection's login is refused.
async fn until_refused(connector: &Connector) {
    let refused = async {
        loop {
            let mut conn = connector.connect().unwrap();
            if connector.ping(&mut conn).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the login is never refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_of_one_server_loses_nothing() {
    let (dir, mut local) = folder();
    local.users = vec![format!("{USER} on >one ~* &* +@all")];
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let port = redis.port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = |password: &str| (format!("redis://{USER}:{password}@127.0.0.1:{port}"), None);
    let options = options_of_file(&file, &url("one").0, None);
    rotates("work", file, options, url, async |password: &str| change(&[port], USER, password).await).await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_of_a_cluster_loses_nothing() {
    let (dir, mut local) = folder();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let (user, besides) = documented_user("t*");
    local.users = vec![format!("{} {besides}", user.replace(">password", ">one"))];
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    let ports: Vec<u16> = cluster.nodes().iter().map(RedisServer::port).collect();
    let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
    let url = |password: &str| (format!("redis+cluster://{USER}:{password}@{hosts}"), None);
    let options = options_of_file(&file, &url("one").0, None);
    rotates("work", file, options, url, async |password: &str| change(&ports, USER, password).await).await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_passwords_of_servers_and_sentinels_lose_nothing() {
    let (dir, mut local) = folder();
    local.users = vec![format!("{USER} on >one ~* &* +@all")];
    local.sentinel_users = vec!["watcher on >watch-one &* +sentinel +ping".to_owned()];
    let mut redis = RedisSentinels::start(&dir, local).await.unwrap();
    let servers: Vec<u16> = redis.servers().iter().map(RedisServer::port).collect();
    let address = redis.url();
    let rest = address.strip_prefix("redis+sentinel://").unwrap();
    let sentinels: Vec<u16> = rest
        .split('/')
        .next()
        .unwrap()
        .split(',')
        .map(|host| host.rsplit(':').next().unwrap().parse().unwrap())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = |password: &str| {
        (format!("redis+sentinel://{USER}:{password}@{rest}"), Some(format!("watch-{password}")))
    };
    let options = RedisOptions {
        sentinel_user: Some("watcher".to_owned()),
        ..options_of_file(&file, &url("one").0, Some("watch-one"))
    };
    let change = async |password: &str| {
        change(&servers, USER, password).await;
        change(&sentinels, "watcher", &format!("watch-{password}")).await;
    };
    rotates("work", file, options, url, change).await;
    redis.stop().await.unwrap();
}

/// A server that learns of the user after the service has started: no file is involved.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_recovers_from_a_refused_login() {
    let (dir, local) = folder();
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let port = redis.port();
    let connector = crate::fixture::connector(format!("redis://{USER}:one@127.0.0.1:{port}"));
    let mut conn = connector.connect().unwrap();
    assert!(connector.ping(&mut conn).await.is_err());
    ask(port, &["ACL", "SETUSER", USER, "on", ">one", "~*", "&*", "+@all"]).await.unwrap();
    connector.ping(&mut conn).await.unwrap();
    redis.stop().await.unwrap();
}
