//! A server that answers as S3 does (path style), for the calls that a store makes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// A status and the code of an error, in place of what was asked for.
pub type Refusal = (u16, &'static str);

/// A running server with one bucket. Dropping it closes its port and every connection.
pub struct Server {
    pub port: u16,
    state: Arc<Mutex<State>>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    refusal: Option<Refusal>,
}

impl Server {
    pub async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let accepting = async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                // A client that goes away ends the connection, as it should.
                open.spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(serve(stream, &state).await);
                            }
                        }
                        None => drop(serve(stream, &state).await),
                    }
                });
            }
        };
        Self { port, state, _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)) }
    }

    /// Answers everything with this from now on, or what was asked for again.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.state.lock().unwrap().refusal = refusal;
    }

    /// The keys that it has.
    pub fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let header = |name: &str| {
            let of = |line: &str| {
                Some((line.split_once(": ")?.0.to_ascii_lowercase(), line.split_once(": ")?.1.to_owned()))
            };
            head.lines().filter_map(of).find(|(each, _)| each == name).map(|(_, value)| value)
        };
        let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await?;
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, content) = answer(state, method, target, header("x-amz-copy-source"), body);
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\netag: \"e\"\r\nlast-modified: Mon, 02 Mar 2026 12:00:00 GMT\r\n\r\n",
            content.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.write_all(&content).await?;
        stream.flush().await?;
    }
}

fn answer(
    state: &Mutex<State>,
    method: &str,
    target: &str,
    copied: Option<String>,
    body: Vec<u8>,
) -> (u16, Vec<u8>) {
    let mut state = state.lock().unwrap();
    let error = |status: u16, code: &str| {
        let text =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said by S3</Message></Error>");
        (status, text.into_bytes())
    };
    if let Some((status, code)) = state.refusal {
        return error(status, code);
    }
    let key = target.split('?').next().unwrap_or_default().trim_start_matches("/bucket/").to_owned();
    match (method, copied) {
        ("PUT", Some(from)) => {
            let from = from.trim_start_matches("bucket/").trim_start_matches("/bucket/");
            let Some(content) = state.objects.get(from).cloned() else { return error(404, "NoSuchKey") };
            state.objects.insert(key, content);
            (200, b"<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>".to_vec())
        }
        ("PUT", None) => {
            state.objects.insert(key, body);
            (200, Vec::new())
        }
        ("GET", _) => match state.objects.get(&key) {
            Some(content) => (200, content.clone()),
            None => error(404, "NoSuchKey"),
        },
        ("POST", _) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            let names = body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            let mut deleted = String::from("<DeleteResult>");
            for name in names {
                state.objects.remove(name);
                deleted += &format!("<Deleted><Key>{name}</Key></Deleted>");
            }
            (200, (deleted + "</DeleteResult>").into_bytes())
        }
        _ => error(405, "MethodNotAllowed"),
    }
}
