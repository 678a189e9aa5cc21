//! The bytes between client and mail server: commands one way, replies the other, in turns.
//!
//! Data that a server sends before it is asked never counts as a reply. That matters most for
//! STARTTLS, where an attacker on the way could have sent the data (CVE-2011-0411).

use std::{future::poll_fn, io, pin::Pin, task::Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::{
    reply::{Reading, Reply},
    trouble::What,
};

/// Bytes that are read in one go.
const READ: usize = 4096;

/// A connection to a mail server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream, and received data that was not read yet.
pub(super) struct Wire<S> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: Stream> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Returns the stream, to put TLS around it. No data from before TLS may count afterwards.
    ///
    /// # Errors
    /// When data was received already, or the connection has ended.
    pub(super) async fn into_stream(mut self) -> Result<S, What> {
        if self.has_early().await? { Err(What::OutOfTurn) } else { Ok(self.stream) }
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// When the connection ends, or the input is not a reply.
    pub(super) async fn reply(&mut self) -> Result<Reply, What> {
        let mut reading = Reading::default();
        loop {
            let taken = reading.take(&self.unread)?;
            if let Some((reply, used)) = taken {
                self.unread.drain(..used);
                return Ok(reply);
            }
            self.unread.clear();
            self.unread.reserve(READ);
            let mut bytes = [0; READ];
            let read = self.stream.read(&mut bytes).await?;
            if read == 0 {
                return Err(closed());
            }
            self.unread.extend_from_slice(bytes.get(..read).unwrap_or_default());
        }
    }

    /// Sends a command and reads the reply. A server that has refused already gets no command.
    ///
    /// # Errors
    /// When the connection ends, or the input is not a reply.
    pub(super) async fn ask(&mut self, command: &str) -> Result<Reply, What> {
        if let Some(no) = self.refusal().await? {
            return Ok(no);
        }
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// A refusal that the server sends before it is asked: it shuts down, or will not wait for the
    /// rest of a message.
    ///
    /// # Errors
    /// When the server sends anything else, or the connection has ended.
    pub(super) async fn refusal(&mut self) -> Result<Option<Reply>, What> {
        if !self.has_early().await? {
            return Ok(None);
        }
        let said = self.reply().await?;
        if matches!(said.class(), 4 | 5) { Ok(Some(said)) } else { Err(What::OutOfTurn) }
    }

    /// Sends all of these bytes.
    ///
    /// # Errors
    /// When the connection ends.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), What> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Whether the server has sent data before it was asked.
    async fn has_early(&mut self) -> Result<bool, What> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        // The runtime must poll the socket before it knows of new data.
        tokio::task::yield_now().await;
        let mut bytes = [0; READ];
        let mut buffer = ReadBuf::new(&mut bytes);
        let look = poll_fn(|context| {
            let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            Poll::Ready(match read {
                Poll::Ready(read) => Some(read),
                Poll::Pending => None,
            })
        });
        match look.await {
            None => return Ok(false),
            Some(read) => read?,
        }
        if buffer.filled().is_empty() {
            return Err(closed());
        }
        self.unread.extend_from_slice(buffer.filled());
        Ok(true)
    }
}

fn closed() -> What {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection").into()
}
