//! The stream between lapin and RabbitMQ.
//!
//! Incoming data passes [`Frames`]. Messages wait in the socket while earlier messages use up the
//! [`Budget`]. The stream can be cut from outside, which ends lapin's thread.

use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::io::{AsyncRead, AsyncWrite};
use tokio::{
    io::ReadBuf,
    runtime::Handle,
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::frames::{Frames, HEARTBEAT, Part};

/// How much is read from the socket at once.
const READ: usize = 64 << 10;
/// How often lapin gets a heartbeat while messages wait in the socket.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// A connected socket, plain or behind TLS.
pub(in crate::amqp) trait Socket:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin
{
}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Socket for T {}

/// How many bytes of messages may be read ahead. A larger message is read alone.
#[derive(Debug)]
pub struct Budget {
    most: u64,
    used: AtomicU64,
    waits: Mutex<Option<Waker>>,
}

impl Budget {
    pub(super) fn new(most: u64) -> Self {
        Self { most, used: AtomicU64::new(0), waits: Mutex::new(None) }
    }

    /// Gives back the room of finished messages.
    pub fn release(&self, bytes: u64) {
        // A message may arrive before the budget counts it; the budget never goes below zero.
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        if let Some(waker) = self.waits.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Takes room for a message, or wakes the caller once there may be room. One stream takes room.
    fn poll_take(&self, bytes: u64, context: &Context<'_>) -> Poll<()> {
        if self.take(bytes) {
            return Poll::Ready(());
        }
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        // Room may have become free before the waker was stored.
        if self.take(bytes) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&self, bytes: u64) -> bool {
        let more = |used: u64| {
            let sum = used.saturating_add(bytes);
            (used == 0 || sum <= self.most).then_some(sum)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }
}

/// The stream of one connection.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    runtime: Handle,
    frames: Frames,
    /// Data to pass on, in order.
    out: VecDeque<Bytes>,
    /// A content header that waits for room, and the size of its body.
    held: Option<(Bytes, u64)>,
    sign_of_life: Option<Pin<Box<Sleep>>>,
    budget: Arc<Budget>,
    cut: CancellationToken,
    until_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    scratch: Box<[u8]>,
}

impl Wire {
    pub(super) fn new(socket: Box<dyn Socket>, budget: Arc<Budget>, cut: CancellationToken) -> Self {
        Self {
            socket,
            runtime: Handle::current(),
            frames: Frames::default(),
            out: VecDeque::new(),
            held: None,
            sign_of_life: None,
            budget,
            until_cut: Box::pin(cut.clone().cancelled_owned()),
            cut,
            scratch: vec![0; READ].into_boxed_slice(),
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up"));
        }
        Ok(())
    }

    /// Copies data to the reader.
    fn hand_out(&mut self, buffer: &mut [u8]) -> usize {
        let mut handed = 0;
        while let Some(first) = self.out.front_mut() {
            let n = first.len().min(buffer.len() - handed);
            if n == 0 && !first.is_empty() {
                break;
            }
            buffer[handed..handed + n].copy_from_slice(&first[..n]);
            first.advance(n);
            handed += n;
            if first.is_empty() {
                self.out.pop_front();
            }
        }
        handed
    }

    /// Parses the data as far as there is room for its messages.
    fn sort(&mut self, context: &mut Context<'_>) {
        loop {
            if let Some((frame, size)) = self.held.take() {
                if self.budget.poll_take(size, context).is_pending() {
                    self.held = Some((frame, size));
                    return;
                }
                self.sign_of_life = None;
                self.out.push_back(frame);
            }
            match self.frames.next() {
                Some(Part::Bytes(bytes)) => self.out.push_back(bytes),
                Some(Part::Content(frame, size)) => self.held = Some((frame, size)),
                None => return,
            }
        }
    }

    /// Sends lapin a heartbeat now and then, while frames wait in the socket.
    fn poll_sign_of_life(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let runtime = &self.runtime;
        let timer = self.sign_of_life.get_or_insert_with(|| {
            let _entered = runtime.enter();
            Box::pin(sleep(SIGN_OF_LIFE))
        });
        ready!(timer.as_mut().poll(context));
        self.sign_of_life = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            this.check()?;
            this.sort(context);
            let handed = this.hand_out(buffer);
            if handed > 0 || buffer.is_empty() {
                return Poll::Ready(Ok(handed));
            }
            if this.held.is_some() {
                // Nothing is read from the broker here, so lapin must not take that for the
                // broker's silence.
                if this.until_cut.as_mut().poll(context).is_ready() {
                    continue;
                }
                ready!(this.poll_sign_of_life(context));
                this.out.push_back(Bytes::from_static(&HEARTBEAT));
                continue;
            }
            let mut read = ReadBuf::new(&mut this.scratch);
            match Pin::new(&mut *this.socket).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => return Poll::Ready(Ok(0)),
                Poll::Ready(Ok(())) => this.frames.read(read.filled()),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(this.until_cut.as_mut().poll(context));
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        Pin::new(&mut *this.socket).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        Pin::new(&mut *this.socket).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().socket).poll_shutdown(context)
    }
}
