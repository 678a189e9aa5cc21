//! The conversation with a mail server (RFC 5321): greeting, EHLO, STARTTLS, AUTH, and mails.

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use lettre::address::Envelope;
use rustls::ClientConfig;
use tokio::net::{TcpStream, lookup_host};
use upshot_runtime::settings::SmtpTimeouts;

use crate::{
    address::{Login, Security, Server},
    content::stuffed,
    reply::Reply,
    tls,
    trouble::{Stage, Trouble, What},
    wire::{Stream, Wire},
};

/// Bytes of a message that are written in one go.
const BLOCK: usize = 16 << 10;

/// The time limits of the conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'a> {
    pub(super) timeouts: &'a SmtpTimeouts,
    /// When the attempt runs out of time. It does not bound the wait for the reply to the final
    /// dot.
    pub(super) by: Option<Instant>,
}

impl Limits<'_> {
    /// Runs a part of the conversation within its time limit.
    async fn keep<T>(self, stage: Stage, work: impl Future<Output = Result<T, What>>) -> Result<T, Trouble> {
        let limit = stage.limit(self.timeouts);
        let own = Instant::now().checked_add(limit);
        let bound = if stage == Stage::Accept { own } else { own.into_iter().chain(self.by).min() };
        let worked = match bound {
            Some(bound) => tokio::time::timeout_at(bound.into(), work).await,
            None => Ok(work.await),
        };
        let what = match worked {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(what)) => what,
            Err(_) if bound == own => What::Silent(limit),
            Err(_) => What::NoTime,
        };
        Err(Trouble { stage, what })
    }
}

/// A connection after greeting, TLS and login.
pub(super) struct Client {
    wire: Wire<Box<dyn Stream>>,
    /// The server's own name.
    name: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects, with TLS and login if the server's URL asks for them.
    ///
    /// # Errors
    /// Where it failed and why.
    pub(super) async fn connect(
        server: &Server,
        tls: &Arc<ClientConfig>,
        limits: Limits<'_>,
    ) -> Result<Self, Trouble> {
        let stream = open(server, limits).await?;
        let local = stream.local_addr().ok();
        let shake = async |stream| {
            let shaken = async { tls::handshake(tls, &server.host, stream).await.map_err(What::from) };
            limits.keep(Stage::Tls, shaken).await
        };
        let mut client = match server.security {
            Security::Plain => Self::greet(Box::new(stream), limits).await?,
            Security::Tls => Self::greet(Box::new(shake(stream).await?), limits).await?,
            Security::StartTls => {
                let mut plain = Wire::new(stream);
                expect(Stage::Greeting, limits, plain.reply(), |code| code == 220).await?;
                let offers = hello(&mut plain, local, limits).await?;
                if !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
                    let what = What::Cannot(
                        "it offers no STARTTLS, which `smtp.url` demands, and nothing was sent: see to its \
                         certificate, or name its port for smtps://",
                    );
                    return Err(Trouble { stage: Stage::StartTls, what });
                }
                expect(Stage::StartTls, limits, plain.ask("STARTTLS"), |code| code == 220).await?;
                let stream = limits.keep(Stage::StartTls, plain.into_stream()).await?;
                let stream: Box<dyn Stream> = Box::new(shake(stream).await?);
                Self { wire: Wire::new(stream), name: String::new() }
            }
        };
        // Offers from before TLS do not count.
        let offers = hello(&mut client.wire, local, limits).await?;
        client.name = offers.first().and_then(|name| name.split(' ').next()).unwrap_or_default().to_owned();
        if let Some(login) = &server.login {
            client.log_in(login, &offers, limits).await?;
        }
        Ok(client)
    }

    async fn greet(stream: Box<dyn Stream>, limits: Limits<'_>) -> Result<Self, Trouble> {
        let mut wire = Wire::new(stream);
        expect(Stage::Greeting, limits, wire.reply(), |code| code == 220).await?;
        Ok(Self { wire, name: String::new() })
    }

    async fn log_in(&mut self, login: &Login, offers: &[String], limits: Limits<'_>) -> Result<(), Trouble> {
        let mechanisms = offers.iter().filter_map(|offer| {
            let (name, mechanisms) = offer.split_at_checked(5)?;
            matches!(name.to_ascii_uppercase().as_str(), "AUTH " | "AUTH=").then_some(mechanisms)
        });
        let mechanisms: Vec<String> =
            mechanisms.flat_map(str::split_ascii_whitespace).map(str::to_ascii_uppercase).collect();
        let offered = |name: &str| mechanisms.iter().any(|mechanism| mechanism == name);
        let Login { user, password } = login;
        // RFC 4616.
        let both = BASE64.encode(format!("\0{user}\0{password}").as_bytes());
        let (user, secret) = (BASE64.encode(user.as_bytes()), BASE64.encode(password.as_bytes()));
        let secrets = [both.as_str(), &secret, password];
        let mut ask = async |command: &str, wanted: u16| {
            let asked =
                expect(Stage::Login, limits, self.wire.ask(command), move |code| code == wanted).await;
            // Some servers echo a line that they do not understand.
            asked.map(drop).map_err(|trouble| trouble.hiding(&secrets))
        };
        if offered("PLAIN") {
            ask(&format!("AUTH PLAIN {both}"), 235).await
        } else if offered("LOGIN") {
            ask("AUTH LOGIN", 334).await?;
            ask(&user, 334).await?;
            ask(&secret, 235).await
        } else {
            let what = What::Cannot(
                "it offers neither AUTH PLAIN nor AUTH LOGIN, and `smtp.url` names a user: take the login out \
                 of `smtp.url`, or name the port on which users log in",
            );
            Err(Trouble { stage: Stage::Login, what })
        }
    }

    /// The server's own name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it still answers.
    pub(super) async fn answers(&mut self, within: Duration) -> bool {
        let asked = tokio::time::timeout(within, self.wire.ask("NOOP")).await;
        matches!(asked, Ok(Ok(reply)) if reply.class() == 2 && !reply.cut)
    }

    /// Sends QUIT.
    pub(super) async fn quit(mut self, within: Duration) {
        let _ = tokio::time::timeout(within, self.wire.ask("QUIT")).await;
    }

    /// Sends one message (RFC 5321, 3.3) and returns the reply. Addresses and message are ASCII.
    /// The value that `begins` returns lives during the wait for the reply to the final dot, in
    /// which it is unknown whether the mail was accepted.
    ///
    /// # Errors
    /// Where it failed and why. The state of the conversation is then unknown, so the connection
    /// cannot be used again.
    pub(super) async fn send<G>(
        &mut self,
        envelope: &Envelope,
        message: &[u8],
        limits: Limits<'_>,
        begins: impl FnOnce(Duration) -> G,
    ) -> Result<Reply, Trouble> {
        let wire = &mut self.wire;
        let from = envelope.from().map(ToString::to_string).unwrap_or_default();
        expect(Stage::Sender, limits, wire.ask(&format!("MAIL FROM:<{from}>")), |code| code == 250).await?;
        for to in envelope.to() {
            expect(Stage::Recipient, limits, wire.ask(&format!("RCPT TO:<{to}>")), |code| {
                matches!(code, 250..=252)
            })
            .await?;
        }
        expect(Stage::Data, limits, wire.ask("DATA"), |code| code == 354).await?;
        for block in stuffed(message).chunks(BLOCK) {
            limits.keep(Stage::Content, wire.write(block)).await?;
            no_refusal(wire, limits).await?;
        }
        let _awaits = begins(limits.timeouts.accept);
        let accepted = async {
            wire.write(b".\r\n").await?;
            wire.reply().await
        };
        expect(Stage::Accept, limits, accepted, |code| code == 250).await
    }
}

/// A server may refuse a message before its end.
async fn no_refusal(wire: &mut Wire<Box<dyn Stream>>, limits: Limits<'_>) -> Result<(), Trouble> {
    match limits.keep(Stage::Content, wire.refusal()).await? {
        None => Ok(()),
        Some(no) => Err(Trouble { stage: Stage::Content, what: What::Said(no) }),
    }
}

/// Opens a socket to the first address of the host that accepts.
async fn open(server: &Server, limits: Limits<'_>) -> Result<TcpStream, Trouble> {
    let address = (server.host.as_str(), server.port);
    let looked_up = async { lookup_host(address).await.map_err(What::from) };
    let addresses = limits.keep(Stage::Connect, looked_up).await?;
    let mut last = Trouble { stage: Stage::Connect, what: What::Cannot("its name has no address") };
    for address in addresses {
        let connect = async {
            let stream = TcpStream::connect(address).await?;
            // Otherwise a server that delays its acknowledgements costs 44 ms for each mail.
            stream.set_nodelay(true)?;
            Ok::<_, What>(stream)
        };
        match limits.keep(Stage::Connect, connect).await {
            Ok(stream) => return Ok(stream),
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}

/// Sends EHLO; returns the server's name and its extensions.
async fn hello<S: Stream>(
    wire: &mut Wire<S>,
    local: Option<SocketAddr>,
    limits: Limits<'_>,
) -> Result<Vec<String>, Trouble> {
    // RFC 5321, 4.1.3: the address, if there is no name.
    let name = match local {
        Some(SocketAddr::V4(local)) => format!("[{}]", local.ip()),
        Some(SocketAddr::V6(local)) => format!("[IPv6:{}]", local.ip()),
        None => "[127.0.0.1]".to_owned(),
    };
    let said = expect(Stage::Hello, limits, wire.ask(&format!("EHLO {name}")), |code| code == 250).await?;
    Ok(said.lines)
}

/// Waits for a reply within its time limit, and accepts only the expected one.
async fn expect(
    stage: Stage,
    limits: Limits<'_>,
    reply: impl Future<Output = Result<Reply, What>>,
    belongs: impl FnOnce(u16) -> bool,
) -> Result<Reply, Trouble> {
    let said = limits.keep(stage, reply).await?;
    // Text after an endless reply cannot be told apart from the reply. So only the last reply of a
    // mail may be truncated, and the connection closes after it.
    let is_whole = !said.cut || stage == Stage::Accept;
    if belongs(said.code) && is_whole { Ok(said) } else { Err(Trouble { stage, what: What::Said(said) }) }
}
