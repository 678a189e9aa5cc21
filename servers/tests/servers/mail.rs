//! The mail catcher: what it keeps, and faults.

use std::net::Ipv4Addr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use upshot_servers::{MailOptions, MailServer};

/// A connection on which one mail after another can be sent.
pub(crate) struct Sender {
    stream: BufReader<TcpStream>,
}

impl Sender {
    pub(crate) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let mut sender = Self { stream: BufReader::new(stream) };
        assert!(sender.reply().await.starts_with("220"));
        sender.say("HELO test", "250").await;
        sender
    }

    /// Sends a mail and waits for its acceptance.
    pub(crate) async fn send(&mut self, id: &str) {
        self.say("MAIL FROM:<shop@example.com>", "250").await;
        self.say("RCPT TO:<ada@example.com>", "250").await;
        self.say("DATA", "354").await;
        self.say(&format!("Message-ID: <{id}>\r\nSubject: hello\r\n\r\nworld\r\n."), "250").await;
    }

    async fn say(&mut self, line: &str, expected: &str) {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let reply = self.reply().await;
        assert!(reply.starts_with(expected), "{line} was answered {reply}");
    }

    async fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line
    }
}

#[tokio::test]
async fn mails_are_kept_in_order_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = MailServer::start(dir.path()).await.unwrap();
    assert_eq!(server.messages().unwrap(), []);
    Sender::connect(server.port()).await.send("first@test").await;
    server.kill().await.unwrap();
    assert_eq!(server.messages().unwrap().len(), 1, "readable while the server is down");
    server.restart().await.unwrap();
    Sender::connect(server.port()).await.send("second@test").await;
    let ids: Vec<_> =
        server.messages().unwrap().iter().map(|mail| mail.header("message-id").unwrap()).collect();
    assert_eq!(ids, ["<first@test>", "<second@test>"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_python_without_the_module_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let options = MailOptions { program: Some("/bin/false".into()), ..MailOptions::default() };
    let text = MailServer::start_with(dir.path(), options).await.unwrap_err().to_string();
    assert!(text.contains("aiosmtpd is not installed"), "{text}");
    assert!(text.contains("apt-get install python3-aiosmtpd"), "{text}");
}

#[tokio::test]
async fn a_catcher_that_drops_accepts_mail_and_keeps_none() {
    let dir = tempfile::tempdir().unwrap();
    let options = MailOptions { drops: true, ..MailOptions::default() };
    let server = MailServer::start_with(dir.path(), options).await.unwrap();
    Sender::connect(server.port()).await.send("lost@test").await;
    assert_eq!(server.messages().unwrap(), []);
    server.stop().await.unwrap();
}
