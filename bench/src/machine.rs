//! What the figures were taken on: cores, and versions of the servers.

use std::fmt;

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the figures were taken on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Redis' version.
    pub redis: String,
    /// RabbitMQ's version.
    pub rabbitmq: String,
}

impl Machine {
    /// Asks the servers at these ports.
    pub async fn look(redis: u16, rabbitmq: u16) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let redis = greeting(redis, b"INFO server\r\n").await?;
        let rabbitmq = greeting(rabbitmq, b"AMQP\0\0\x09\x01").await?;
        Ok(Self {
            cores,
            redis: behind(&redis, b"redis_version:").context("Redis says no version")?,
            // In the table that opens a connection: the name, the type (a long
            // string), its length in four bytes, the text.
            rabbitmq: behind(&rabbitmq, b"\x07versionS\0\0\0").context("RabbitMQ says no version")?,
        })
    }
}

/// What a server first answers.
async fn greeting(port: u16, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.write_all(request).await?;
    let mut answer = vec![0; 4096];
    let read = server.read(&mut answer).await?;
    answer.truncate(read);
    Ok(answer)
}

/// The digits and dots behind a mark, without a length byte before them.
fn behind(answer: &[u8], mark: &[u8]) -> Option<String> {
    let start = answer.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let rest = answer.get(start..)?;
    let text = rest.iter().skip_while(|byte| !byte.is_ascii_digit());
    let version = text.take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    Some(version.map(|&byte| char::from(byte)).collect())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores, Redis {}, RabbitMQ {}", self.cores, self.redis, self.rabbitmq)
    }
}
