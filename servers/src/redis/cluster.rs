//! A private Redis Cluster: three masters, each with a third of the slots, and
//! where wanted a replica of each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::is_linked;
use super::{RedisOptions, RedisServer, Role};
use crate::Error;

/// The first and the last slot of each node.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
/// The nodes gossip once a second.
const READY: Duration = Duration::from_secs(60);

/// A running cluster. Dropping it ends the nodes without waiting; prefer [`RedisCluster::stop`].
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    dir: PathBuf,
}

impl RedisCluster {
    /// Starts three nodes with their data in `dir` and returns when each says
    /// that the cluster works.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start(dir: &Path, options: RedisOptions) -> Result<Self, Error> {
        let cluster = Self::meet(dir, options, SLOTS.len()).await?;
        cluster.ready().await?;
        Ok(cluster)
    }

    /// The same with a replica of each node, for the first time in this `dir`;
    /// they are the nodes 4 to 6, in the order of their masters. Returns when
    /// each has its master's data and all nodes know of it.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_with_replicas(dir: &Path, options: RedisOptions) -> Result<Self, Error> {
        let cluster = Self::meet(dir, options, 2 * SLOTS.len()).await?;
        let (masters, replicas) = cluster.nodes.split_at(SLOTS.len());
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.asked().until(&["CLUSTER", "MYID"], READY, |_| true).await?.concat();
            // It has to have heard of the master.
            replica.asked().until(&["CLUSTER", "REPLICATE", &id], READY, |_| true).await?;
            replica.asked().until(&["INFO", "replication"], READY, is_linked).await?;
        }
        let all_known = |answer: &[String]| {
            let lines = answer.iter().flat_map(|told| told.lines());
            lines.filter(|line| line.contains("slave ")).count() == replicas.len()
        };
        for node in &cluster.nodes {
            node.asked().until(&["CLUSTER", "NODES"], READY, all_known).await?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Starts nodes that get to know each other; the first ones have all slots.
    async fn meet(dir: &Path, options: RedisOptions, count: usize) -> Result<Self, Error> {
        let mut nodes = Vec::with_capacity(count);
        for number in 1..=count {
            let dir = dir.join(format!("node-{number}"));
            nodes.push(RedisServer::start_as(&dir, options.clone(), Role::Node).await?);
        }
        let cluster = Self { nodes, dir: dir.to_owned() };
        let [first, ..] = cluster.nodes.as_slice() else { return Ok(cluster) };
        // Slots and acquaintances are remembered by a cluster that was started
        // before, which refuses the one and ignores the other; `ready` sees what
        // came of it.
        for (node, (from, to)) in cluster.nodes.iter().zip(SLOTS) {
            let _ = node.asked().ask(&["CLUSTER", "ADDSLOTSRANGE", from, to]).await;
        }
        for node in &cluster.nodes {
            let (port, bus) = (first.announced_port().to_string(), first.ports.bus.to_string());
            let _ = node.asked().ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        Ok(cluster)
    }

    /// `redis+cluster://127.0.0.1:port,…`
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The nodes, to be killed and restarted.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Returns when every node knows all others, is linked to them both ways, and
    /// says that its slots are served. To be called after a restart of a node.
    ///
    /// # Errors
    /// [`Error::NotReady`] when that does not come about.
    pub async fn ready(&self) -> Result<(), Error> {
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        let works = |answer: &[String]| {
            let told = answer.first().map_or("", String::as_str);
            ["cluster_state:ok\r", "cluster_slots_ok:16384\r", &known].iter().all(|line| told.contains(line))
        };
        for node in &self.nodes {
            node.asked().until(&["CLUSTER", "INFO"], READY, works).await?;
        }
        // A message that is published while a link is missing does not reach the nodes behind that
        // link.
        let others = self.nodes.len() - 1;
        let linked = |answer: &[String]| {
            ["to", "from"].iter().all(|way| answer.iter().filter(|word| word == way).count() == others)
        };
        for node in &self.nodes {
            node.asked().until(&["CLUSTER", "LINKS"], READY, linked).await?;
        }
        Ok(())
    }

    /// Ends the nodes in order.
    ///
    /// # Errors
    /// [`Error::NotEnded`] when one does not end.
    pub async fn stop(self) -> Result<(), Error> {
        for node in self.nodes {
            node.stop().await?;
        }
        // Empty where the nodes were ephemeral, and else to stay.
        let _ = std::fs::remove_dir(&self.dir);
        Ok(())
    }
}
