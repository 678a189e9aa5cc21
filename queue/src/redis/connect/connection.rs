//! One connection, however the servers are organised.

use std::time::Duration;

use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, ConnectionManager, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
};

use super::{
    lazy::{Lazy, Made},
    options::Replicas,
};

/// A connection that is made at first use and again after every loss. Cheap to
/// clone; clones share it and its commands in flight.
///
/// While Redis is away, or a failover is under way, a call fails after a short
/// while, and the caller backs off and repeats it. A call that failed may have
/// been applied.
#[derive(Clone)]
pub struct Connection(Kind);

#[derive(Clone)]
pub(super) enum Kind {
    /// To one server.
    Single(ConnectionManager),
    /// To every master of a cluster. It follows moved slots and failovers by
    /// itself; it is made anew only after it did not find an answer in time.
    Cluster(Lazy<ClusterConnection>),
    /// To the server that the sentinels name the master.
    Sentinel(Lazy<MultiplexedConnection>),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            Kind::Single(_) => "Single",
            Kind::Cluster(_) => "Cluster",
            Kind::Sentinel(_) => "Sentinel",
        };
        f.debug_tuple("Connection").field(&kind).finish()
    }
}

impl Connection {
    pub(super) fn new(kind: Kind) -> Self {
        Self(kind)
    }

    /// Runs a command that writes `key`, then has the same server wait until
    /// replicas have what it wrote. Answers with the command's reply and how
    /// many replicas acknowledged; when they are fewer than asked for, the
    /// write stands all the same, and a failover may undo it.
    ///
    /// Both travel as one pipeline, because `WAIT` speaks of the connection's
    /// own writes: on a connection that was made anew between the two it would
    /// have nothing to wait for and be satisfied at once. A repeated command
    /// that finds its work done waits for that work as well: Redis waits for
    /// everything that was written before, by whomever.
    ///
    /// The connection must be used for nothing but such writes. `WAIT` holds up
    /// what comes behind it on the connection, so that a claim or a renewal of a
    /// lease would be late by `replicas.timeout`, and enqueues that run at once
    /// wait for each other.
    ///
    /// # Errors
    /// When Redis failed, or the command was refused; the write may have been
    /// applied. A script that Redis does not know is refused as ever.
    pub async fn write_replicated(
        &mut self,
        cmd: &Cmd,
        key: &str,
        replicas: Replicas,
    ) -> RedisResult<(Value, usize)> {
        let mut pipe = redis::pipe();
        pipe.add_command(cmd.clone());
        // Zero would be for ever.
        let timeout = u64::try_from(replicas.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        pipe.cmd("WAIT").arg(replicas.count).arg(timeout);
        let answers = match &self.0 {
            Kind::Single(_) | Kind::Sentinel(_) => self.req_packed_commands(&pipe, 0, 2).await?,
            Kind::Cluster(cluster) => {
                let mut made = cluster.get().await.map_err(explained)?;
                let answers = made.conn.route_pipeline(pipe, 0, 2, owner(key)).await;
                judged(cluster, &made, answers, cluster_lost)?
            }
        };
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil).extract_error();
        Ok((next()?, usize::from_redis_value(next()?)?))
    }

    /// One page of a `SCAN`, on the server that holds the keys of a slot: that
    /// of `key_in_slot`. Begins at cursor 0 and is over when 0 is answered. A
    /// cursor belongs to the server that gave it: a walk during which the slot
    /// moved, or a replica was promoted, may miss keys, so that a walk must be
    /// something that is done again and again.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn scan_page(
        &mut self,
        key_in_slot: &str,
        cursor: u64,
        pattern: &str,
        count: usize,
    ) -> RedisResult<(u64, Vec<String>)> {
        let mut cmd = redis::cmd("SCAN");
        cmd.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
        let page = self.routed(&cmd, owner(key_in_slot)).await?;
        Ok(FromRedisValue::from_redis_value(page)?)
    }

    /// Runs a command on every master: one, or those of a cluster. What each answered.
    ///
    /// # Errors
    /// When Redis failed, or a master answers with an error.
    pub async fn everywhere(&mut self, cmd: &Cmd) -> RedisResult<Vec<Value>> {
        let answer = match &self.0 {
            Kind::Single(_) | Kind::Sentinel(_) => Value::Array(vec![self.req_packed_command(cmd).await?]),
            Kind::Cluster(cluster) => {
                let mut made = cluster.get().await.map_err(explained)?;
                // Without a policy it answers with what each node said.
                let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let answer = made.conn.route_command(cmd.clone(), all).await;
                judged(cluster, &made, answer, cluster_lost)?
            }
        };
        let answers = match answer {
            Value::Map(by_node) => by_node.into_iter().map(|(_, answer)| answer).collect(),
            Value::Array(answers) => answers,
            other => vec![other],
        };
        answers.into_iter().map(Value::extract_error).collect()
    }

    /// Runs a command on any server.
    pub(super) async fn anywhere(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        self.routed(cmd, SingleNodeRoutingInfo::Random).await
    }

    /// Runs a command on one server, of which there are several only in a cluster.
    async fn routed(&mut self, cmd: &Cmd, route: SingleNodeRoutingInfo) -> RedisResult<Value> {
        let answer = match &self.0 {
            Kind::Single(_) | Kind::Sentinel(_) => self.req_packed_command(cmd).await?,
            Kind::Cluster(cluster) => {
                let mut made = cluster.get().await.map_err(explained)?;
                let answer = made.conn.route_command(cmd.clone(), RoutingInfo::SingleNode(route)).await;
                judged(cluster, &made, answer, cluster_lost)?
            }
        };
        answer.extract_error()
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            match &mut self.0 {
                Kind::Single(manager) => manager.req_packed_command(cmd).await.map_err(explained),
                Kind::Cluster(cluster) => {
                    let mut made = cluster.get().await.map_err(explained)?;
                    let answer = made.conn.req_packed_command(cmd).await;
                    judged(cluster, &made, answer, cluster_lost)
                }
                Kind::Sentinel(master) => {
                    let mut made = master.get().await.map_err(explained)?;
                    let answer = made.conn.req_packed_command(cmd).await;
                    if answer.as_ref().is_ok_and(demoted) {
                        master.lost(&made);
                    }
                    judged(master, &made, answer, sentinel_lost)
                }
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            match &mut self.0 {
                Kind::Single(manager) => {
                    manager.req_packed_commands(pipeline, offset, count).await.map_err(explained)
                }
                Kind::Cluster(cluster) => {
                    let mut made = cluster.get().await.map_err(explained)?;
                    let answers = made.conn.req_packed_commands(pipeline, offset, count).await;
                    judged(cluster, &made, answers, cluster_lost)
                }
                Kind::Sentinel(master) => {
                    let mut made = master.get().await.map_err(explained)?;
                    let answers = made.conn.req_packed_commands(pipeline, offset, count).await;
                    if answers.as_ref().is_ok_and(|answers| answers.iter().any(demoted)) {
                        master.lost(&made);
                    }
                    judged(master, &made, answers, sentinel_lost)
                }
            }
        })
    }

    fn get_db(&self) -> i64 {
        match &self.0 {
            Kind::Single(manager) => manager.get_db(),
            // Both log in to their database whenever they connect.
            Kind::Cluster(_) | Kind::Sentinel(_) => 0,
        }
    }
}

/// The master that owns a key's slot.
fn owner(key: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
}

/// Passes an answer on, and gives the connection up where the answer says so.
fn judged<C: Clone + Send + Sync + 'static, T>(
    lazy: &Lazy<C>,
    made: &Made<C>,
    answer: RedisResult<T>,
    lost: fn(&RedisError) -> bool,
) -> RedisResult<T> {
    answer.map_err(|error| {
        if lost(&error) {
            lazy.lost(made);
        }
        explained(error)
    })
}

/// Whether a cluster must be looked for from the beginning. The client library
/// asks for the owner of a slot again after most errors, but not after a
/// silence: a master that hangs and was replaced would be asked for ever. And
/// while no node is to be reached it tries again without a pause, which costs a
/// core; given up it costs nothing.
fn cluster_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.kind() == ErrorKind::ClusterConnectionNotFound
}

/// Whether the sentinels are to be asked anew: the server is gone, silent, or
/// says that it is not the master (any more, or yet).
fn sentinel_lost(error: &RedisError) -> bool {
    let server = match error.kind() {
        ErrorKind::Server(kind) => other_master(kind),
        _ => false,
    };
    server || error.is_io_error() || error.is_unrecoverable_error()
}

/// The same of an answer, which holds errors of the server as values.
fn demoted(answer: &Value) -> bool {
    match answer {
        Value::ServerError(error) => error.kind().is_some_and(other_master),
        _ => false,
    }
}

fn other_master(kind: ServerErrorKind) -> bool {
    matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
}

/// The error with the remedy, where the library's own words do not name it.
pub(super) fn explained(error: RedisError) -> RedisError {
    let said = error.to_string();
    let remedy = if said.contains("invalid peer certificate") {
        "name the file of the authority that signed it as `redis.ca_file`, and the server by a name \
         that the certificate holds"
    } else if said.contains("InvalidContentType") {
        // What a listener without TLS answers a ClientHello.
        "it does not speak TLS on this port: name the port of its TLS listener, or start `redis.url` with \
         `redis` if the connection need not be encrypted"
    } else {
        return error;
    };
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{said}: {remedy}")).into()
}

/// How long `WAIT` may take on a connection with this patience: the reply of
/// the command itself has to come in the same time.
pub(super) fn bounded_wait(wanted: Duration, response_timeout: Duration) -> Duration {
    wanted.min(response_timeout.mul_f64(0.75)).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demoted_master_is_noticed_by_its_answers() {
        for (said, lost) in [
            ("-READONLY You can't write against a read only replica.\r\n", true),
            ("-LOADING Redis is loading the dataset in memory\r\n", true),
            ("-MASTERDOWN Link with MASTER is down\r\n", true),
            ("-NOSCRIPT No matching script.\r\n", false),
            ("-OOM command not allowed\r\n", false),
            ("+OK\r\n", false),
        ] {
            let value = redis::parse_redis_value(said.as_bytes()).unwrap();
            assert_eq!(demoted(&value), lost, "{said}");
            assert_eq!(value.extract_error().is_err_and(|error| sentinel_lost(&error)), lost, "{said}");
        }
    }

    #[test]
    fn a_silence_ends_a_connection_that_could_lead_elsewhere() {
        let silence = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert!(cluster_lost(&silence) && sentinel_lost(&silence));
    }

    #[test]
    fn a_wait_for_replicas_ends_before_the_patience_with_redis() {
        let ms = Duration::from_millis;
        assert_eq!(bounded_wait(ms(1000), ms(5000)), ms(1000));
        assert_eq!(bounded_wait(ms(9000), ms(4000)), ms(3000));
        assert_eq!(bounded_wait(ms(0), ms(4000)), ms(1));
    }
}
