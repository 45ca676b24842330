//! One accepted connection, encrypted or not, as a stream of bytes that knows who is at the other end.
//!
//! Owns the deadline for a client's first bytes, which is over when the server stops. It never knows which protocol they
//! belong to.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use liftbridge_auth::Identity;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A client must have said this many bytes, the length of the HTTP/2 preface, before [`OPENING_TIME_MAX`].
const OPENING_BYTES: usize = 24;
/// How long a connection may stay without having said anything meaningful.
const OPENING_TIME_MAX: Duration = Duration::from_secs(10);

enum Transport {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// One accepted connection.
pub(crate) struct Connection {
    transport: Transport,
    /// `None` once the client has said enough; from then on its protocol watches it.
    opening: Option<Opening>,
}

struct Opening {
    bytes_missing: usize,
    deadline: Pin<Box<Sleep>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Opening {
    /// Fails when the client has no more time.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is stopping"));
        }
        let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "the client said nothing in time");
        self.deadline.as_mut().poll(context).map(|()| timed_out())
    }
}

impl Connection {
    /// A connection without encryption, of a server that is `stopping` some day.
    pub(crate) fn plain(stream: TcpStream, stopping: CancellationToken) -> Self {
        Self::new(Transport::Plain(stream), stopping)
    }

    /// A connection whose handshake is done.
    pub(crate) fn encrypted(stream: TlsStream<TcpStream>, stopping: CancellationToken) -> Self {
        Self::new(Transport::Encrypted(Box::new(stream)), stopping)
    }

    fn new(transport: Transport, stopping: CancellationToken) -> Self {
        let deadline = Box::pin(tokio::time::sleep(OPENING_TIME_MAX));
        let stopping = Box::pin(stopping.cancelled_owned());
        Self { transport, opening: Some(Opening { bytes_missing: OPENING_BYTES, deadline, stopping }) }
    }

    /// Who is at the other end, as far as the handshake has shown.
    pub(crate) fn identity(&self) -> Identity {
        let Transport::Encrypted(stream) = &self.transport else { return Identity::Anonymous };
        let (_, session) = stream.get_ref();
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        leaf.map_or(Identity::Anonymous, |leaf| Identity::of_certificate(leaf))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled_before = buffer.filled().len();
        let read = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if let Some(opening) = &mut this.opening {
            opening.bytes_missing = opening.bytes_missing.saturating_sub(buffer.filled().len() - filled_before);
            if opening.bytes_missing == 0 {
                this.opening = None;
            } else if read.is_pending()
                && let Poll::Ready(error) = opening.poll_patience(context)
            {
                return Poll::Ready(Err(error));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("identity", &self.identity()).finish_non_exhaustive()
    }
}
