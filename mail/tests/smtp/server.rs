//! A mail server that does to each thing it is told what a test wants, on a real socket.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Connected,
    /// A line, in capitals up to its arguments.
    Command(String),
    /// A message, up to its final dot.
    Message,
}

/// What the server does next.
#[derive(Clone, Debug)]
pub enum Act {
    Say(Vec<u8>),
    /// Says it again and again for as long as the client takes it.
    Flood(Vec<u8>),
    /// Says it, and then begins TLS.
    Tls(Vec<u8>),
    /// Says it and closes the connection.
    Close(Vec<u8>),
    /// Says nothing.
    Nothing,
}

impl Act {
    pub fn say(text: &str) -> Self {
        Self::Say(format!("{text}\r\n").into_bytes())
    }
}

/// What a server that means well says.
pub fn kind(told: &Told) -> Act {
    match told {
        Told::Connected => Act::say("220 mail.example ESMTP"),
        Told::Message => Act::say("250 OK queued"),
        Told::Command(line) => match line.split(' ').next().unwrap_or_default() {
            "EHLO" => Act::say("250-mail.example\r\n250 8BITMIME"),
            "DATA" => Act::say("354 go ahead"),
            "QUIT" => Act::Close(b"221 bye\r\n".to_vec()),
            _ => Act::say("250 OK"),
        },
    }
}

type Script = dyn Fn(&Told) -> Act + Send + Sync;

/// A running server. Dropping it closes its port and every connection.
pub struct Server {
    pub port: u16,
    told: Arc<Mutex<Vec<Told>>>,
    flooded: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<()>,
}

impl Server {
    pub async fn start(script: impl Fn(&Told) -> Act + Send + Sync + 'static) -> Self {
        Self::start_with(None, script).await
    }

    pub async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Told) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, flooded) = (Arc::<Mutex<Vec<Told>>>::default(), Arc::<AtomicUsize>::default());
        let (telling, flooding) = (Arc::clone(&told), Arc::clone(&flooded));
        let script: Arc<Script> = Arc::new(script);
        let accepting = async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let client = Client {
                    script: Arc::clone(&script),
                    told: Arc::clone(&telling),
                    flooded: Arc::clone(&flooding),
                };
                // A client that goes away ends the conversation, as it should.
                let tls = tls.clone();
                open.spawn(async move { drop(client.talk(stream, tls).await) });
            }
        };
        Self { port, told, flooded, _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)) }
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// How many messages it was sent.
    pub fn messages(&self) -> usize {
        self.told().iter().filter(|told| **told == Told::Message).count()
    }

    /// Bytes that were sent of a flood.
    pub fn flooded(&self) -> usize {
        self.flooded.load(Ordering::Relaxed)
    }
}

struct Client {
    script: Arc<Script>,
    told: Arc<Mutex<Vec<Told>>>,
    flooded: Arc<AtomicUsize>,
}

/// What a conversation goes on with.
enum Next {
    Plain,
    Tls,
    End,
}

impl Client {
    async fn talk(&self, mut stream: TcpStream, tls: Option<TlsAcceptor>) -> std::io::Result<()> {
        let mut buffered = BufReader::new(&mut stream);
        if !matches!(self.act(&mut buffered, Told::Connected).await?, Next::Plain) {
            return Ok(());
        }
        if matches!(self.commands(&mut buffered).await?, Next::Tls) {
            let tls = tls.expect("a server that is to begin TLS has a certificate");
            let secure = tls.accept(stream).await?;
            self.commands(&mut BufReader::new(secure)).await?;
        }
        Ok(())
    }

    async fn commands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
    ) -> std::io::Result<Next> {
        let mut in_message = false;
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Ok(Next::End);
            }
            let told = if in_message {
                if line != b".\r\n" {
                    continue;
                }
                in_message = false;
                Told::Message
            } else {
                Told::Command(String::from_utf8_lossy(&line).trim_end().to_owned())
            };
            let is_data = told == Told::Command("DATA".to_owned());
            if is_data && matches!(&(self.script)(&told), Act::Say(said) if said.starts_with(b"354")) {
                in_message = true;
            }
            match self.act(stream, told).await? {
                Next::Plain => {}
                next => return Ok(next),
            }
        }
    }

    async fn act<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        told: Told,
    ) -> std::io::Result<Next> {
        self.told.lock().unwrap().push(told.clone());
        match (self.script)(&told) {
            Act::Say(said) => stream.write_all(&said).await?,
            Act::Flood(said) => loop {
                stream.write_all(&said).await?;
                self.flooded.fetch_add(said.len(), Ordering::Relaxed);
            },
            Act::Tls(said) => {
                stream.write_all(&said).await?;
                return Ok(Next::Tls);
            }
            Act::Close(said) => {
                stream.write_all(&said).await?;
                stream.shutdown().await?;
                return Ok(Next::End);
            }
            Act::Nothing => {
                // Until the client goes away.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await?;
                return Ok(Next::End);
            }
        }
        stream.flush().await?;
        Ok(Next::Plain)
    }
}
