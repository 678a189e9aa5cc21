//! The BullMQ peer: whether it is installed, and its processes.

use std::{fmt, fs, path::Path};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::{service::Service, stage::Stage};

const REMEDY: &str = "`make bench-peers` installs it";

/// BullMQ and what it runs on.
#[derive(Debug)]
pub struct Peer {
    program: String,
    bullmq: String,
    node: String,
}

impl Peer {
    /// Looks for it.
    ///
    /// # Errors
    /// Says what is missing and what installs it.
    pub async fn find(folder: &Path) -> anyhow::Result<Self> {
        let program = folder.join("main.js");
        ensure!(
            program.exists(),
            "{} is missing: run the bench from the checkout's folder, or say with --bullmq where it is",
            program.display()
        );
        let node = Command::new("node").arg("--version").output().await;
        let node = node.with_context(|| format!("Node.js (`node`) does not start; {REMEDY}"))?;
        let package = folder.join("node_modules").join("bullmq").join("package.json");
        ensure!(package.exists(), "{} is missing; {REMEDY}", package.display());
        let text = fs::read(&package)?;
        let package: Value = serde_json::from_slice(&text)?;
        let bullmq = package.get("version").and_then(Value::as_str).unwrap_or("of no version").to_owned();
        let node = String::from_utf8_lossy(&node.stdout).trim().trim_start_matches('v').to_owned();
        Ok(Self { program: program.display().to_string(), bullmq, node })
    }

    /// Starts it in a role that runs until it is stopped.
    pub async fn start(&self, stage: &Stage, name: &str, role: &[&str]) -> anyhow::Result<Service> {
        let redis = stage.redis_url();
        let all = [&[self.program.as_str(), "--redis", &redis], role].concat();
        stage.program(name, Path::new("node"), &all).await
    }

    /// Runs it in a role that ends by itself; what it says last.
    pub async fn answer(&self, stage: &Stage, name: &str, role: &[&str]) -> anyhow::Result<Value> {
        let said = self.start(stage, name, role).await?.finish().await?;
        let last = said.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        last.with_context(|| format!("{name} ended without an answer: {said}"))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BullMQ {}, Node.js {}", self.bullmq, self.node)
    }
}
