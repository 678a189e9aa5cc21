//! Connections: their number, and the time limits of each.
//!
//! The API and an executor in the same process share the operating system's limit on sockets, so
//! the API takes half of it at most. A client that sends its headers byte by byte, or does not read
//! its answer, loses its connection.

use std::{io, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::{
    layers,
    problem::{Code, Problem},
};

/// A socket whose writes have a time limit.
type Io = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

/// The address of the client, or of the proxy before the API. An extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(
    /// The address.
    pub IpAddr,
);

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the headers of a request, and for the pause between two requests.
    headers: Duration,
    /// The same for a connection that only gets the answer "too many".
    headers_of_spare: Duration,
    /// How long a client may read nothing of what is sent to it.
    unread: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            // Longer than proxies keep an idle connection. If the API closed it while a proxy sends
            // an event, the client would get a 502.
            headers: Duration::from_secs(75),
            headers_of_spare: Duration::from_secs(2),
            unread: Duration::from_secs(60),
        }
    }
}

/// The bytes that the headers of a request may have.
const HEADER_BYTES: usize = 32 << 10;
/// Connections above the bound that get an answer; further ones are closed.
const SPARE: usize = 64;
/// A pause after an accept that failed because the process has no file left.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves `router` over up to `most` connections, and `probes` over a few more, until `stop` fires.
/// Then waits for the requests in flight.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    probes: Router,
    most: usize,
    patience: Patience,
    stop: impl Future<Output = ()>,
) {
    let (room, spare) = (Arc::new(Semaphore::new(bounded(most))), Arc::new(Semaphore::new(SPARE)));
    // A supervisor that gets a 503 would restart a working service.
    let full = layers::around(probes.fallback(too_many));
    let graceful = GracefulShutdown::new();
    let open = metrics::gauge!("upshot_api_connections");
    let refused = metrics::counter!("upshot_api_connections_refused_total");
    open.set(0.0);
    refused.increment(0);
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    wait_after(&error).await;
                    continue;
                }
            },
        };
        let (router, permit, headers) = match Arc::clone(&room).try_acquire_owned() {
            Ok(permit) => (router.clone(), permit, patience.headers),
            Err(_) => {
                refused.increment(1);
                let Ok(permit) = Arc::clone(&spare).try_acquire_owned() else { continue };
                (full.clone(), permit, patience.headers_of_spare)
            }
        };
        let connection = graceful.watch(connection(stream, router, headers, patience.unread));
        let counted = Counted::new(open.clone(), permit);
        tokio::spawn(async move {
            // Clients often disconnect early.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(counted);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Serves one connection. HTTP/1.1 only: a proxy speaks HTTP/2 with browsers.
fn connection(
    stream: TcpStream,
    router: Router,
    headers: Duration,
    unread: Duration,
) -> http1::Connection<
    Io,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = std::convert::Infallible, Future: Send>
    + Send,
> {
    // Small events of a stream must not wait for further bytes.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let peer = stream.peer_addr().ok().map(|address| Peer(address.ip().to_canonical()));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(unread));
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        router.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
}

/// The number of connections that the process's limit on open files allows. Raises that limit as
/// far as possible.
fn bounded(most: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let half = now.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX));
    if half < most {
        tracing::warn!(
            connections = half,
            "`api.connections` is {most}, and the process may open {} files: raise its limit (ulimit -n, LimitNOFILE)",
            half.saturating_mul(2)
        );
    }
    most.min(half)
}

async fn too_many() -> Response {
    let detail = "as many connections as `api.connections` allows are open: ask again later, or raise it";
    let mut answer = Problem::new(Code::TooManyConnections, detail).into_response();
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// An accept fails for one connection, or because the process has no file left, which takes a while
/// to change.
async fn wait_after(error: &io::Error) {
    let of_one =
        [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !of_one.contains(&error.kind()) {
        tracing::error!(%error, "no connection can be accepted");
        tokio::time::sleep(PAUSE).await;
    }
}

/// An open connection, counted until it is dropped.
struct Counted {
    open: metrics::Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Counted {
    fn new(open: metrics::Gauge, permit: OwnedSemaphorePermit) -> Self {
        open.increment(1.0);
        Self { open, _permit: permit }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Bytes, routing::get};
    use futures::{StreamExt, stream};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc,
        task::JoinHandle,
    };
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// No test waits this long.
    const LONG: Duration = Duration::from_secs(600);
    const PATIENT: Patience = Patience { headers: LONG, headers_of_spare: LONG, unread: LONG };

    struct Server {
        address: std::net::SocketAddr,
        stop: CancellationToken,
        serving: JoinHandle<()>,
        /// Told when an endless answer is dropped.
        dropped: mpsc::UnboundedReceiver<()>,
    }

    /// Tells when it is dropped.
    struct Told(mpsc::UnboundedSender<()>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    async fn start(most: usize, patience: Patience) -> Server {
        let (sender, dropped) = mpsc::unbounded_channel();
        let endless = move || {
            let told = Told(sender.clone());
            let parts =
                stream::repeat(Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 65_536])));
            async move {
                Body::from_stream(parts.inspect(move |_| {
                    let _ = &told;
                }))
            }
        };
        let router = Router::new().route("/", get(|| async { "hello" })).route("/endless", get(endless));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let probes = Router::new().route("/healthz", get(|| async { "ok" }));
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(serve(listener, router, probes, most, patience, stopped));
        Server { address, stop, serving, dropped }
    }

    impl Server {
        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    /// All that a connection says until the server closes it.
    async fn said(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn a_connection_above_the_bound_is_told_so_and_room_is_used_again() {
        let server = start(1, PATIENT).await;
        let mut first = server.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut start = [0; 12];
        first.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        let second = said(server.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await).await;
        assert!(second.starts_with("HTTP/1.1 503") && second.contains("api.connections"), "{second}");
        let probed = said(server.send("GET /healthz HTTP/1.0\r\n\r\n").await).await;
        assert!(probed.starts_with("HTTP/1.0 200"), "{probed}");
        drop(first);
        loop {
            let again = said(server.send("GET / HTTP/1.0\r\n\r\n").await).await;
            if again.starts_with("HTTP/1.0 200") {
                break;
            }
        }
        server.stop.cancel();
        server.serving.await.unwrap();
    }

    #[tokio::test]
    async fn headers_that_do_not_come_end_the_connection() {
        let server = start(8, Patience { headers: Duration::from_millis(50), ..PATIENT }).await;
        for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "] {
            let said = said(server.send(begun).await).await;
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
        }
        server.stop.cancel();
        server.serving.await.unwrap();
    }

    #[tokio::test]
    async fn headers_have_a_bound() {
        let server = start(8, PATIENT).await;
        let long = "x".repeat(2 * HEADER_BYTES);
        let said =
            said(server.send(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n")).await).await;
        assert!(said.starts_with("HTTP/1.1 431"), "{said}");
        server.stop.cancel();
        server.serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_loses_its_connection() {
        let mut server = start(8, Patience { unread: Duration::from_millis(50), ..PATIENT }).await;
        let unread = server.send("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        server.dropped.recv().await.unwrap();
        drop(unread);
        server.stop.cancel();
        server.serving.await.unwrap();
    }
}
