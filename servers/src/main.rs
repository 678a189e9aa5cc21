//! Runs one private server until its standard input closes or Ctrl-C, for manual work and for the
//! tests of this crate:
//!
//! ```text
//! upshot-servers redis|redis-cluster|redis-sentinels FOLDER
//! upshot-servers rabbitmq FOLDER [VHOST...]
//! upshot-servers mail FOLDER
//! ```
//!
//! Prints one line when the server is ready: its address and its processes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use upshot_servers::{
    Error, MailServer, RabbitOptions, RabbitServer, RedisCluster, RedisOptions, RedisSentinels, RedisServer,
};

const USAGE: &str =
    "usage: upshot-servers redis|redis-cluster|redis-sentinels|rabbitmq|mail FOLDER [VHOST...]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(kind), Some(folder)) = (arguments.next(), arguments.next()) else {
        return fail(USAGE);
    };
    match run(&kind, folder.into(), arguments.collect()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail(USAGE),
        Err(error) => fail(&error.to_string()),
    }
}

/// Runs the server; `false` for an unknown kind.
async fn run(kind: &str, folder: PathBuf, vhosts: Vec<String>) -> Result<bool, Error> {
    match kind {
        "redis" => {
            let redis = RedisServer::start(&folder).await?;
            serve(&format!("{} {}", redis.url(), redis.pid())).await;
            redis.stop().await?;
        }
        "redis-cluster" => {
            let mut cluster = RedisCluster::start(&folder, RedisOptions::default()).await?;
            let pids: Vec<u32> = cluster.nodes().iter().map(RedisServer::pid).collect();
            serve(&line(&cluster.url(), &pids)).await;
            cluster.stop().await?;
        }
        "redis-sentinels" => {
            let redis = RedisSentinels::start(&folder, RedisOptions::default()).await?;
            serve(&line(&redis.url(), &redis.pids())).await;
            redis.stop().await?;
        }
        "rabbitmq" => {
            let vhost = vhosts.first().cloned().unwrap_or_else(|| "/".to_owned());
            let vhosts = if vhosts.is_empty() { vec![vhost.clone()] } else { vhosts };
            let options = RabbitOptions { vhosts, ..RabbitOptions::default() };
            let rabbit = RabbitServer::start(&folder, options).await?;
            let epmd = rabbit.epmd_pid().unwrap_or_default();
            serve(&format!("{} {} {epmd}", rabbit.url(&vhost), rabbit.pid())).await;
            rabbit.stop().await?;
        }
        "mail" => {
            let mail = MailServer::start(&folder).await?;
            serve(&format!("{} {}", mail.url(), mail.pid())).await;
            mail.stop().await?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn line(url: &str, pids: &[u32]) -> String {
    pids.iter().fold(url.to_owned(), |line, pid| format!("{line} {pid}"))
}

/// Reports that the server is ready and waits for the stop.
async fn serve(line: &str) {
    // If the reader has gone, the server must stop too.
    let told = writeln!(std::io::stdout(), "{line}");
    if told.is_err() {
        return;
    }
    // A thread of its own, which may still be reading when the process ends.
    let (close, closed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = close.send(());
    });
    tokio::select! {
        _ = closed => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::FAILURE
}
