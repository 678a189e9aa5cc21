//! Redis: reachability, version, and how it keeps jobs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{FromRedisValue, RedisResult};
use upshot_queue::{
    Client, Connection, Connector, QueueName, State,
    connect::{Address, Mode, Node, Persistence, Writes, info, told},
};
use upshot_runtime::{
    Settings,
    durability::Shortfall,
    settings::{Durability, QueueSettings},
};

use super::{
    check::{Adding, Checks},
    is_here,
};

/// The oldest version that runs the scripts.
const LEAST_VERSION: u32 = 7;
/// The share of the memory limit above which the check warns.
const TIGHT: f64 = 0.8;
/// How far clocks may be apart.
const CLOCKS: Duration = Duration::from_secs(1);
const ACL: &str = "allow the user `+info`, or look yourself";

pub(super) async fn examine(settings: &Settings) -> Checks {
    let mut all = Checks::default();
    let mut checks = all.of("redis");
    let url = &settings.redis.url;
    if url.is_empty() {
        let seen = format!("`redis.url` is empty and no `upshot up` runs in `{}`", settings.data_dir);
        checks.failed("reached", seen, "set UPSHOT_REDIS_URL, or start `upshot up`");
        return all;
    }
    let connected = Connector::new(settings.redis.options()).and_then(|connector| {
        let conn = connector.connect()?;
        Ok((connector, conn))
    });
    let (connector, mut conn) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            checks.failed("reached", error, "correct the keys of [redis]");
            return all;
        }
    };
    // The connector read the address before.
    let Ok(address) = url.expose().parse::<Address>() else { return all };
    if let Err(error) = connector.ping(&mut conn).await {
        let seen = format!("{}: {}", names(&address), told(&error));
        checks.failed("reached", seen, "see that Redis runs and that `redis.url` leads to it");
        return all;
    }
    transport(&mut checks, &address);
    server(&mut checks, &mut conn).await;
    writes(&mut checks, &connector, &mut conn).await;
    persistence(&mut checks, settings, connector.persistence(&mut conn).await);
    memory(&mut checks, &mut conn).await;
    replicas(&mut checks, settings, &mut conn).await;
    queues(&mut checks, settings, &connector, &conn).await;
    clock(&mut checks, &mut conn).await;
    all
}

fn nodes(address: &Address) -> &[Node] {
    match &address.mode {
        Mode::Single(node) => std::slice::from_ref(node),
        Mode::Cluster(nodes) | Mode::Sentinel { sentinels: nodes, .. } => nodes,
    }
}

fn names(address: &Address) -> String {
    nodes(address).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn transport(checks: &mut Adding<'_>, address: &Address) {
    let (nodes, names) = (nodes(address), names(address));
    if address.tls {
        checks.ok("reached", format!("{names}, over TLS"));
    } else if nodes.iter().all(|node| is_here(&node.host)) {
        checks.ok("reached", format!("{names}, on this machine"));
    } else {
        let remedy = "start `redis.url` with rediss, unless the network between is trusted";
        checks.warning("reached", format!("{names}, in plain text: login and jobs can be read"), remedy);
    }
}

async fn server(checks: &mut Adding<'_>, conn: &mut Connection) {
    let told = match sections(conn, "server").await {
        Ok(told) => told,
        Err(error) => return checks.warning("version", format!("it does not say: {error}"), ACL),
    };
    for told in told {
        let version = info(&told, "redis_version").unwrap_or("unknown");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        match major {
            Some(major) if major >= LEAST_VERSION => checks.ok("version", version),
            Some(_) => {
                checks.failed("version", version, "use Redis 7 or later: older ones refuse the scripts")
            }
            None => {
                checks.warning("version", version, "see that it is Redis 7 or later, or compatible with it")
            }
        }
    }
}

async fn writes(checks: &mut Adding<'_>, connector: &Connector, conn: &mut Connection) {
    for (name, writes) in [("takes writes", Writes::Work), ("takes new jobs", Writes::Jobs)] {
        match connector.takes(conn, writes).await {
            Ok(()) => checks.ok(name, "yes"),
            Err(error) => checks.failed(name, "no", told(&error)),
        }
    }
}

fn persistence(checks: &mut Adding<'_>, settings: &Settings, told: RedisResult<Vec<Persistence>>) {
    let told = match told {
        Ok(told) => told,
        Err(error) => return checks.warning("durability", told_as(&error), ACL),
    };
    let seen: Vec<String> = told.iter().map(shown).collect();
    let seen = seen.join("; ");
    let wants = settings.redis.durability;
    if wants == Durability::Always {
        return match Shortfall::of(&told) {
            None => checks.ok("durability", format!("{seen}: acknowledged events are on the disk")),
            Some(Shortfall::Unknown) => checks.warning("durability", seen, Shortfall::Unknown),
            Some(less) => checks.failed("durability", seen, less),
        };
    }
    let docs = "docs/durability.md";
    if told.iter().any(|server| server.append_only == Some(false)) {
        let seen = format!("{seen}: a restart of Redis loses jobs whose events were acknowledged");
        return checks.failed("durability", seen, format!("set `appendonly yes` on it; see {docs}"));
    }
    let fsyncs: Vec<&str> = told.iter().filter_map(|server| server.fsync.as_deref()).collect();
    if fsyncs.contains(&"no") {
        let seen = format!("{seen}: a power cut can lose half a minute of acknowledged events");
        return checks.warning(
            "durability",
            seen,
            format!("set `appendfsync everysec` or `always` on it; see {docs}"),
        );
    }
    if told.iter().any(|server| server.append_only.is_none()) {
        return checks.warning(
            "durability",
            seen,
            "see that it has `appendonly yes`, or allow `+config|get`",
        );
    }
    if fsyncs.len() == told.len() && fsyncs.iter().all(|fsync| *fsync == "always") {
        return checks.ok("durability", format!("{seen}: acknowledged events are on the disk"));
    }
    let or = if wants == Durability::Replicas { " unless a replica has them" } else { "" };
    checks.ok(
        "durability",
        format!("{seen}: a power cut can lose the last second of acknowledged events{or} ({docs})"),
    );
}

fn told_as(error: &redis::RedisError) -> String {
    format!("it does not say: {}", told(error))
}

fn shown(server: &Persistence) -> String {
    let append_only = match server.append_only {
        Some(true) => "appendonly yes",
        Some(false) => "appendonly no",
        None => "appendonly unknown",
    };
    match &server.fsync {
        Some(fsync) => format!("{append_only}, appendfsync {fsync}"),
        None => format!("{append_only}, appendfsync unknown"),
    }
}

async fn memory(checks: &mut Adding<'_>, conn: &mut Connection) {
    let told = match sections(conn, "memory").await {
        Ok(told) => told,
        Err(error) => return checks.warning("memory", told_as(&error), ACL),
    };
    for told in told {
        let number = |name| info(&told, name).and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
        let (used, most) = (number("used_memory"), number("maxmemory"));
        let policy = info(&told, "maxmemory_policy").unwrap_or("unknown");
        let limit = if most > 0.0 { format!("{:.0} MiB", most / 1048576.0) } else { "no limit".to_owned() };
        let seen = format!("{:.0} MiB used, {limit}, {policy}", used / 1048576.0);
        if policy != "noeviction" {
            checks.failed(
                "memory",
                seen,
                "set `maxmemory-policy noeviction`: it would throw jobs away when it is full",
            );
        } else if most > 0.0 && used > TIGHT * most {
            let remedy = "raise `maxmemory` or drain the queues: a full Redis takes no new jobs";
            checks.warning("memory", seen, remedy);
        } else {
            checks.ok("memory", seen);
        }
    }
}

async fn replicas(checks: &mut Adding<'_>, settings: &Settings, conn: &mut Connection) {
    let wanted = settings.redis.replicas;
    let told = match sections(conn, "replication").await {
        Ok(told) => told,
        Err(_) if wanted == 0 => return,
        Err(error) => return checks.warning("replicas", told_as(&error), ACL),
    };
    for told in told {
        let there: usize = info(&told, "connected_slaves").and_then(|value| value.parse().ok()).unwrap_or(0);
        let seen = format!("{there} connected, {wanted} demanded");
        if there < wanted {
            checks.failed(
                "replicas",
                seen,
                "bring the replicas back, or lower `redis.replicas`: nothing is accepted",
            );
        } else {
            checks.ok("replicas", seen);
        }
    }
}

async fn queues(checks: &mut Adding<'_>, settings: &Settings, connector: &Connector, conn: &Connection) {
    for (name, of) in &settings.queues {
        let queue = Client::with_connection(conn.clone(), connector.prefix(), name.clone());
        let check = format!("queue {name}");
        match queue.counts().await {
            Ok(counts) => {
                let dead = counts.of(State::Dead);
                let waiting: u64 = [State::Ready, State::Scheduled, State::Parked]
                    .map(|state| counts.of(state))
                    .iter()
                    .sum();
                let paused = if counts.paused { ", paused" } else { "" };
                let running = counts.of(State::Running);
                checks.ok(
                    check,
                    format!("its layout fits; {waiting} wait, {running} run, {dead} dead{paused}"),
                );
            }
            Err(upshot_queue::Error::Redis(error)) => checks.failed(check, "it cannot be read", told(&error)),
            Err(error) => checks.failed(check, "it cannot be used", error),
        }
        configuration(checks, name, of, &queue).await;
    }
}

/// Whether the settings say of a queue what is in force.
async fn configuration(checks: &mut Adding<'_>, name: &QueueName, of: &QueueSettings, queue: &Client) {
    let check = format!("configuration of {name}");
    match queue.configuration().await {
        Ok(None) => checks.ok(check, "none is stored yet; the first executor stores that of its settings"),
        Ok(Some(stored)) => {
            let version = stored.version;
            let differences = stored.configuration.differences(&of.configuration());
            let Some(first) = differences.first() else {
                return checks.ok(check, format!("version {version}, as in the settings"));
            };
            checks.warning(
                check,
                format!(
                    "version {version} differs from the settings in {} values, such as {}",
                    differences.len(),
                    first.key
                ),
                "the stored version counts: see `upshot config diff FILE`, and apply the file or change it",
            );
        }
        Err(upshot_queue::Error::Redis(error)) => checks.failed(check, "it cannot be read", told(&error)),
        Err(error) => checks.failed(check, "it cannot be used", error),
    }
}

async fn clock(checks: &mut Adding<'_>, conn: &mut Connection) {
    let before = SystemTime::now();
    let told: RedisResult<(u64, u64)> = redis::cmd("TIME").query_async(conn).await;
    let (seconds, micros) = match told {
        Ok(told) => told,
        Err(error) => return checks.warning("clock", told_as(&error), "allow the user `+time`"),
    };
    // Redis reads its clock halfway through the round trip.
    let travelled = before.elapsed().unwrap_or_default() / 2;
    let theirs = Duration::from_secs(seconds) + Duration::from_micros(micros);
    let ours = (before + travelled).duration_since(UNIX_EPOCH).unwrap_or_default();
    let apart = theirs.abs_diff(ours);
    let seen = format!("{} ms apart from this machine's", apart.as_millis());
    if apart > CLOCKS {
        checks.warning(
            "clock",
            seen,
            "set both by NTP: deadlines go by Redis' clock, events by their producers'",
        );
    } else {
        checks.ok("clock", seen);
    }
}

/// A section of `INFO`, of every master.
async fn sections(conn: &mut Connection, section: &str) -> RedisResult<Vec<String>> {
    let mut asking = redis::cmd("INFO");
    asking.arg(section);
    let told = conn.everywhere(&asking).await?;
    told.into_iter().map(|told| Ok(String::from_redis_value(told)?)).collect()
}
