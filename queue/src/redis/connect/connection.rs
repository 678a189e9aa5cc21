//! One connection for any organisation of servers.

use std::time::Duration;

use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, ConnectionManager, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
};

use super::{
    cause::Cause,
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
    /// To one server. The manager connects again by itself, except after a refused login.
    Single(Lazy<ConnectionManager>),
    /// To every master of a cluster. It follows moved slots and failovers by itself. It is opened
    /// again only after a missing answer or a refused login.
    Cluster(Lazy<ClusterConnection>),
    /// To the server that the sentinels name the master, or to one server whose login may change.
    Master(Lazy<MultiplexedConnection>),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            Kind::Single(_) => "Single",
            Kind::Cluster(_) => "Cluster",
            Kind::Master(_) => "Master",
        };
        f.debug_tuple("Connection").field(&kind).finish()
    }
}

impl Connection {
    pub(super) fn new(kind: Kind) -> Self {
        Self(kind)
    }

    /// Runs a command that writes `key`, then waits on the same server until replicas have the
    /// write. Returns the command's reply and the number of replicas that acknowledged. With fewer
    /// replicas than demanded the write still stands, and a failover may undo it.
    ///
    /// Both commands travel as one pipeline, because `WAIT` counts the connection's own writes. On
    /// a new connection between the two, `WAIT` would return at once. A repeated command that finds
    /// its work done waits for that work too, because Redis waits for all earlier writes of any
    /// client.
    ///
    /// Use the connection only for such writes. `WAIT` blocks later commands on the connection. A
    /// claim or a renewal would be late by `replicas.timeout`, and parallel enqueues wait for each
    /// other.
    ///
    /// # Errors
    /// When Redis failed, or the command was refused; the write may have been applied. A script
    /// that Redis does not know is refused as usual.
    pub async fn write_replicated(
        &mut self,
        cmd: &Cmd,
        key: &str,
        replicas: Replicas,
    ) -> RedisResult<(Value, usize)> {
        let mut pipe = redis::pipe();
        pipe.add_command(cmd.clone());
        // Zero would mean for ever.
        let timeout = u64::try_from(replicas.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        pipe.cmd("WAIT").arg(replicas.count).arg(timeout);
        let answers = match &self.0 {
            Kind::Single(_) | Kind::Master(_) => self.req_packed_commands(&pipe, 0, 2).await?,
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

    /// One page of a `SCAN` on the server that holds the slot of `key_in_slot`. A walk begins at
    /// cursor 0 and ends when the reply is 0. A cursor belongs to its server: a walk may miss keys
    /// if the slot moves or a replica is promoted. So callers must repeat walks.
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

    /// Runs a command on every master: one, or those of a cluster. Returns each reply.
    ///
    /// # Errors
    /// When Redis failed, or a master answers with an error.
    pub async fn everywhere(&mut self, cmd: &Cmd) -> RedisResult<Vec<Value>> {
        let answer = match &self.0 {
            Kind::Single(_) | Kind::Master(_) => Value::Array(vec![self.req_packed_command(cmd).await?]),
            Kind::Cluster(cluster) => {
                let mut made = cluster.get().await.map_err(explained)?;
                // Without a policy the reply has the answer of each node.
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

    /// Runs a command on one server; only a cluster has several.
    async fn routed(&mut self, cmd: &Cmd, route: SingleNodeRoutingInfo) -> RedisResult<Value> {
        let answer = match &self.0 {
            Kind::Single(_) | Kind::Master(_) => self.req_packed_command(cmd).await?,
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
                Kind::Single(server) => {
                    let mut made = server.get().await.map_err(explained)?;
                    let answer = made.conn.req_packed_command(cmd).await;
                    judged(server, &made, answer, login_refused)
                }
                Kind::Cluster(cluster) => {
                    let mut made = cluster.get().await.map_err(explained)?;
                    let answer = made.conn.req_packed_command(cmd).await;
                    judged(cluster, &made, answer, cluster_lost)
                }
                Kind::Master(master) => {
                    let mut made = master.get().await.map_err(explained)?;
                    let answer = made.conn.req_packed_command(cmd).await;
                    if answer.as_ref().is_ok_and(demoted) {
                        master.lost(&made);
                    }
                    judged(master, &made, answer, master_lost)
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
                Kind::Single(server) => {
                    let mut made = server.get().await.map_err(explained)?;
                    let answers = made.conn.req_packed_commands(pipeline, offset, count).await;
                    judged(server, &made, answers, login_refused)
                }
                Kind::Cluster(cluster) => {
                    let mut made = cluster.get().await.map_err(explained)?;
                    let answers = made.conn.req_packed_commands(pipeline, offset, count).await;
                    judged(cluster, &made, answers, cluster_lost)
                }
                Kind::Master(master) => {
                    let mut made = master.get().await.map_err(explained)?;
                    let answers = made.conn.req_packed_commands(pipeline, offset, count).await;
                    if answers.as_ref().is_ok_and(|answers| answers.iter().any(demoted)) {
                        master.lost(&made);
                    }
                    judged(master, &made, answers, master_lost)
                }
            }
        })
    }

    fn get_db(&self) -> i64 {
        // Every kind selects its database on every connect.
        0
    }
}

/// The master that owns a key's slot.
fn owner(key: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
}

/// Passes a reply on, and drops the connection if the reply demands it.
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

/// Whether the cluster must be discovered again. The client library asks for the owner of a slot
/// again after most errors, but not after a silence. So it would ask a hanging, replaced master for
/// ever. While no node can be reached, the library also retries without a pause, which costs a
/// core. A dropped connection costs nothing.
fn cluster_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.kind() == ErrorKind::ClusterConnectionNotFound || login_refused(error)
}

/// Whether the server refused the login. The client library keeps this answer for ever; the next
/// connection may have another login, or the server another user.
fn login_refused(error: &RedisError) -> bool {
    matches!(Cause::of(error), Cause::WrongLogin | Cause::NoLogin)
}

/// Whether to connect again, and to ask the sentinels, if any: the server is gone, silent, not the
/// master, or refuses the login.
fn master_lost(error: &RedisError) -> bool {
    let server = match error.kind() {
        ErrorKind::Server(kind) => other_master(kind),
        _ => false,
    };
    server || error.is_io_error() || error.is_unrecoverable_error() || login_refused(error)
}

/// The same for a reply, which holds errors of the server as values.
fn demoted(answer: &Value) -> bool {
    match answer {
        Value::ServerError(error) => error.kind().is_some_and(other_master),
        _ => false,
    }
}

fn other_master(kind: ServerErrorKind) -> bool {
    matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
}

/// Adds the remedy to an error if the library's own text lacks it.
pub(super) fn explained(error: RedisError) -> RedisError {
    let said = error.to_string();
    let remedy = if said.contains("invalid peer certificate") {
        "name the file of the authority that signed it as `redis.ca_file`, and the server by a name \
         that the certificate holds"
    } else if said.contains("InvalidContentType") {
        // A listener without TLS answers a ClientHello like this.
        "it does not speak TLS on this port: name the port of its TLS listener, or start `redis.url` with \
         `redis` if the connection need not be encrypted"
    } else {
        return error;
    };
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{said}: {remedy}")).into()
}

/// How long `WAIT` may take on a connection with this response timeout. The reply of the command
/// must arrive in the same time.
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
            assert_eq!(value.extract_error().is_err_and(|error| master_lost(&error)), lost, "{said}");
        }
    }

    #[test]
    fn a_silence_ends_a_connection_that_could_lead_elsewhere() {
        let silence = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert!(cluster_lost(&silence) && master_lost(&silence));
    }

    #[test]
    fn a_refused_login_ends_every_connection() {
        for said in ["-WRONGPASS invalid username-password pair\r\n", "-NOAUTH Authentication required.\r\n"]
        {
            let error = redis::parse_redis_value(said.as_bytes()).unwrap().extract_error().unwrap_err();
            assert!(cluster_lost(&error) && master_lost(&error) && login_refused(&error), "{said}");
        }
    }

    #[test]
    fn a_wait_for_replicas_ends_before_the_patience_with_redis() {
        let ms = Duration::from_millis;
        assert_eq!(bounded_wait(ms(1000), ms(5000)), ms(1000));
        assert_eq!(bounded_wait(ms(9000), ms(4000)), ms(3000));
        assert_eq!(bounded_wait(ms(0), ms(4000)), ms(1));
    }
}
