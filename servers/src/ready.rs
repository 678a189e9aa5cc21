//! Waits until a server answers in its own protocol.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Error;
use crate::redis;
use crate::tether::Tether;

/// Between two tries. A refused connection on loopback costs next to nothing.
const PAUSE: Duration = Duration::from_millis(15);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What a server says when it is ready.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// `PING` is answered with `PONG` (and not with `LOADING`). Before the login
    /// Redis does not say that it is loading.
    Redis {
        /// Of the default user.
        password: Option<String>,
    },
    /// The protocol header is answered with a method frame.
    Amqp,
    /// The server greets with `220`.
    Smtp,
    /// Erlang's port mapper answers a request for names with its own port.
    Epmd,
}

/// Waits until the server on `port` answers `question`, or has ended, or `limit` is over.
pub(crate) async fn wait(
    tether: &mut Tether,
    program: &'static str,
    port: u16,
    question: Question,
    limit: Duration,
    remedy: &str,
) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let answered = timeout(ANSWER, ask(port, &question)).await;
        tether.check(remedy)?;
        if matches!(answered, Ok(Ok(true))) {
            tracing::debug!(program, port, waited = ?started.elapsed(), "ready");
            return Ok(());
        }
        if started.elapsed() >= limit {
            let (log, remedy) = (tether.log_tail(), remedy.to_owned());
            return Err(Error::NotReady { program, port, waited: limit, log, remedy });
        }
        sleep(PAUSE).await;
    }
}

async fn ask(port: u16, question: &Question) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let own_port = u32::from(port).to_be_bytes();
    let login = match question {
        Question::Redis { password: Some(password) } => redis::encoded(&["AUTH", password]),
        _ => Vec::new(),
    };
    stream.write_all(&login).await?;
    let (request, expected): (&[u8], &[u8]) = match question {
        Question::Redis { password: None } => (b"PING\r\n", b"+PONG"),
        Question::Redis { password: Some(_) } => (b"PING\r\n", b"+OK\r\n+PONG"),
        // A frame of type 1 (method) on channel 0: connection.start.
        Question::Amqp => (b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00"),
        Question::Smtp => (b"", b"220"),
        // NAMES_REQ, one byte long.
        Question::Epmd => (b"\x00\x01n", &own_port),
    };
    stream.write_all(request).await?;
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await?;
    // Nobody may log in as the default user, and the server runs.
    let is_locked = matches!(question, Question::Redis { password: None }) && answer == b"-NOAU";
    Ok(answer == expected || is_locked)
}
