//! A private Redis Cluster: three masters, each with a third of the slots.

use std::path::{Path, PathBuf};
use std::time::Duration;

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
        let mut nodes = Vec::with_capacity(SLOTS.len());
        for number in 1..=SLOTS.len() {
            let dir = dir.join(format!("node-{number}"));
            nodes.push(RedisServer::start_as(&dir, options.clone(), Role::Node).await?);
        }
        let cluster = Self { nodes, dir: dir.to_owned() };
        let [first, ..] = cluster.nodes.as_slice() else { return Ok(cluster) };
        for (node, (from, to)) in cluster.nodes.iter().zip(SLOTS) {
            // Both are remembered by a cluster that was started before, which
            // refuses the one and ignores the other; `ready` sees what came of it.
            let _ = node.asked().ask(&["CLUSTER", "ADDSLOTSRANGE", from, to]).await;
            let (port, bus) = (first.announced_port().to_string(), first.ports.bus.to_string());
            let _ = node.asked().ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        cluster.ready().await?;
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
        // What is published while a link is missing comes to nobody behind it.
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
