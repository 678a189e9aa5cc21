//! Asks a Redis or a sentinel something, as far as starting them needs it.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Error;
use crate::server::Server;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(25);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(2);

/// A command in the protocol of Redis.
pub(crate) fn encoded(words: &[&str]) -> Vec<u8> {
    let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    format!("*{}\r\n{}", words.len(), words.iter().map(word).collect::<String>()).into_bytes()
}

/// A server that is asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) server: &'a Server,
    pub(super) program: &'static str,
    pub(super) port: u16,
    /// Of the default user.
    pub(super) password: Option<&'a str>,
}

impl Asked<'_> {
    /// The answer's strings and numbers, whatever arrays they stand in.
    ///
    /// # Errors
    /// When the server is away, or answers with an error.
    pub(super) async fn ask(self, words: &[&str]) -> io::Result<Vec<String>> {
        let silent = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {ANSWER:?}"));
        timeout(ANSWER, self.answer(words)).await.map_err(silent)?
    }

    async fn answer(self, words: &[&str]) -> io::Result<Vec<String>> {
        let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?);
        if let Some(password) = self.password {
            stream.write_all(&encoded(&["AUTH", password])).await?;
            reply(&mut stream).await?;
        }
        stream.write_all(&encoded(words)).await?;
        reply(&mut stream).await
    }

    /// Waits until the server answers as wanted, and says how it did.
    pub(super) async fn until(
        self,
        words: &[&str],
        limit: Duration,
        wanted: impl Fn(&[String]) -> bool,
    ) -> Result<Vec<String>, Error> {
        let started = Instant::now();
        loop {
            let answer = match self.ask(words).await {
                Ok(answer) if wanted(&answer) => return Ok(answer),
                other => other,
            };
            if started.elapsed() >= limit {
                let Self { server, program, port, .. } = self;
                let remedy = format!("It was asked {words:?} and answered last: {answer:?}.");
                return Err(Error::NotReady { program, port, waited: limit, log: server.log_tail(), remedy });
            }
            sleep(PAUSE).await;
        }
    }
}

async fn reply(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let (mut found, mut missing) = (Vec::new(), 1_usize);
    while missing > 0 {
        missing -= 1;
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
        let length = || rest.parse::<usize>().unwrap_or(0);
        match kind {
            "-" => return Err(io::Error::other(rest.to_owned())),
            "*" => missing += length(),
            // Minus one stands for nothing.
            "$" if rest != "-1" => {
                let mut text = vec![0; length() + 2];
                stream.read_exact(&mut text).await?;
                text.truncate(length());
                found.push(String::from_utf8_lossy(&text).into_owned());
            }
            _ => found.push(rest.to_owned()),
        }
    }
    Ok(found)
}

/// The value that follows `name` in a flat list of names and values.
pub(super) fn field<'a>(answer: &'a [String], name: &str) -> Option<&'a str> {
    answer.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_str())
}

/// Whether a replica says in `INFO replication` that it has its master's data.
pub(super) fn is_linked(answer: &[String]) -> bool {
    answer.iter().any(|told| told.contains("master_link_status:up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_encoded_by_length() {
        assert_eq!(encoded(&["AUTH", "pä s"]), b"*2\r\n$4\r\nAUTH\r\n$5\r\np\xc3\xa4 s\r\n");
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        let answer = ["name", "port", "port", "7"].map(str::to_owned);
        assert_eq!((field(&answer, "port"), field(&answer, "7")), (Some("7"), None));
    }
}
