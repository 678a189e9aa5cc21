//! Asks sentinels for the master, and verifies that the server is one.
//!
//! The client library's own code gives each step a fixed timeout and takes the first answer, which
//! may be outdated during a failover. So this module replaces it. Protocol:
//! <https://redis.io/docs/latest/develop/reference/sentinel-clients/>.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, Value, aio::MultiplexedConnection,
};

use super::{
    address::{Address, Mode, Node},
    endpoint::Endpoint,
    options::RedisOptions,
};

/// The sentinels of one master.
#[derive(Clone)]
pub(super) struct Sentinels {
    clients: Vec<(Node, Client)>,
    master: String,
    servers: Endpoint,
    connection_timeout: Duration,
}

/// A sentinel's opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Opinion {
    /// The epoch, which grows with every failover.
    epoch: u64,
    master: Node,
}

impl Sentinels {
    /// The sentinels of this address; `None` without sentinels.
    pub(super) fn new(
        address: &Address,
        servers: &Endpoint,
        options: &RedisOptions,
    ) -> RedisResult<Option<Self>> {
        let Mode::Sentinel { sentinels, master } = &address.mode else { return Ok(None) };
        let user = options.sentinel_user.as_deref();
        let endpoint = servers.logged_in_as(user, options.sentinel_password.as_deref());
        let client = |node: &Node| Ok((node.clone(), endpoint.client(node)?));
        Ok(Some(Self {
            clients: sentinels.iter().map(client).collect::<RedisResult<_>>()?,
            master: master.clone(),
            servers: servers.clone(),
            connection_timeout: options.connection_timeout,
        }))
    }

    /// A client of the master, and a connection to it.
    pub(super) async fn connect(
        &self,
        response_timeout: Duration,
    ) -> RedisResult<(Client, MultiplexedConnection)> {
        let node = self.ask().await?;
        let client = self.servers.client(&node)?;
        let config = self.config().set_response_timeout(Some(response_timeout));
        let mut conn = client.get_multiplexed_async_connection_with_config(&config).await?;
        // A server that was just demoted would refuse writes, and a returning old master would lose
        // them.
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut conn).await?;
        let role: String = redis::from_redis_value(role.into_iter().next().unwrap_or(Value::Nil))?;
        if role != "master" {
            let detail =
                format!("the sentinels name {node} the master `{}`, but it is a {role}", self.master);
            return Err((ErrorKind::Io, "a failover is under way", detail).into());
        }
        Ok((client, conn))
    }

    /// The newest opinion of a majority.
    async fn ask(&self) -> RedisResult<Node> {
        let mut asked: FuturesUnordered<_> = self
            .clients
            .iter()
            .map(|(node, client)| async move { (node, self.opinion(client).await) })
            .collect();
        let (mut heard, mut newest, mut why): (usize, Option<Opinion>, _) = (0, None, String::new());
        while let Some((sentinel, answer)) = asked.next().await {
            match answer {
                Ok(opinion) => {
                    heard += 1;
                    if newest.as_ref().is_none_or(|newest| newest.epoch < opinion.epoch) {
                        newest = Some(opinion);
                    }
                }
                Err(error) => why = format!("{sentinel}: {error}"),
            }
            // A silent sentinel delays no caller. A single sentinel that was cut off during a
            // failover is outvoted by the sentinels that took part.
            if heard > self.clients.len() / 2 {
                break;
            }
        }
        newest.map(|newest| newest.master).ok_or_else(|| {
            let detail = format!("none names the master `{}`; the last answer is of {why}", self.master);
            (ErrorKind::Io, "no sentinel helps", detail).into()
        })
    }

    async fn opinion(&self, client: &Client) -> RedisResult<Opinion> {
        let config = self.config().set_response_timeout(Some(self.connection_timeout));
        let mut conn = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut cmd = redis::cmd("SENTINEL");
        let told = cmd.arg("MASTER").arg(&self.master).query_async(&mut conn).await?;
        read(&told).ok_or_else(|| RedisError::from((ErrorKind::Parse, "an answer without ip and port")))
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new().set_connection_timeout(Some(self.connection_timeout))
    }
}

fn read(told: &HashMap<String, String>) -> Option<Opinion> {
    let master = Node { host: told.get("ip")?.clone(), port: told.get("port")?.parse().ok()? };
    let epoch = told.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Some(Opinion { epoch, master })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opinion_is_read_or_refused() {
        let told = |pairs: &[(&str, &str)]| {
            read(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        let master = Node { host: "10.0.0.1".to_owned(), port: 7 };
        let whole = told(&[("ip", "10.0.0.1"), ("port", "7"), ("config-epoch", "4")]);
        assert_eq!(whole, Some(Opinion { epoch: 4, master: master.clone() }));
        assert_eq!(told(&[("ip", "10.0.0.1"), ("port", "7")]), Some(Opinion { epoch: 0, master }));
        assert_eq!(told(&[("ip", "10.0.0.1"), ("port", "many")]), None);
        assert_eq!(told(&[]), None);
    }
}
