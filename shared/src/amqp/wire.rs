//! The socket under an AMQP connection: plain, or TLS from its first byte.
//!
//! lapin can open sockets itself, and does so in plain text for `amqps` unless
//! one of its features names a store of certificates: its `into_tls` then
//! returns the stream as it was, and compiles. So the socket is opened here, and
//! the client library only drives AMQP over it.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_rs::{
    Runtime, Tokio,
    traits::{Executor, Reactor, RuntimeKit},
    util::Task,
};
use futures::{AsyncRead, AsyncWrite, Stream};
use lapin::{AsyncTcpStream, uri::AMQPAuthority};
use tokio::{io::ReadBuf, net::TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{address::Target, tls};

/// The runtime on which a connection is driven: tokio's, with sockets of ours.
pub(super) fn runtime() -> Runtime<OnTokio> {
    Runtime::new(OnTokio(Tokio::current()))
}

/// Opens the socket. Until `given_up` fires; after that, reads and writes fail.
pub(super) async fn open(target: &Target, given_up: CancellationToken) -> io::Result<AsyncTcpStream<Wire>> {
    let socket = tokio::select! {
        socket = connect(target) => socket?,
        () = given_up.cancelled() => return Err(abandoned()),
    };
    Ok(AsyncTcpStream::Plain(Wire { socket, given_up: Box::pin(given_up.cancelled_owned()) }))
}

/// Opens a socket, plain or behind TLS as the address says.
pub(super) async fn connect(target: &Target) -> io::Result<Box<dyn Socket>> {
    let AMQPAuthority { host, port, .. } = &target.uri.authority;
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    let Some(config) = &target.tls else { return Ok(Box::new(stream)) };
    Ok(Box::new(tls::handshake(config, host, *port, stream).await?))
}

fn abandoned() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection attempt was given up")
}

/// A connected socket, plain or behind TLS.
pub(super) trait Socket: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Socket for S {}

/// A socket that fails once its connection attempt was given up: the client
/// library has a thread of its own for it, which otherwise waits for as long as
/// a frozen peer keeps the socket open.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    given_up: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.given_up.as_mut().poll(cx) {
            Poll::Ready(()) => Err(abandoned()),
            Poll::Pending => Ok(()),
        }
    }

    fn inner(&mut self) -> Pin<&mut dyn Socket> {
        Pin::new(&mut *self.socket)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.poll_given_up(cx)?;
        let mut buf = ReadBuf::new(buf);
        wire.inner().poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().inner().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().inner().poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().inner().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().inner().poll_shutdown(cx)
    }
}

/// Tokio as the client library wants it. It opens no socket: [`open`] does.
#[derive(Clone, Debug)]
pub(super) struct OnTokio(Tokio);

impl RuntimeKit for OnTokio {}

impl Executor for OnTokio {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, f: F) -> T {
        self.0.block_on(f)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, f: F) -> Task<Self::Task<T>> {
        self.0.spawn(f)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        f: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(f)
    }
}

impl Reactor for OnTokio {
    type TcpStream = Wire;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Wire, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        poll_fn(|_| Poll::Ready(Err(io::ErrorKind::Unsupported.into())))
    }
}
