//! A cap on open connections, which the gRPC server does not have by itself.
//!
//! # Contract
//! [`Connections`] wraps the stream of accepted connections: while the cap is reached a new one is closed at once and counted, and one
//! that does not send HTTP/2's preface in time fails. A connection gives its place back when it is dropped.
//!
//! # What it does not protect against
//! One process that opens all connections and keeps them alive: on loopback that is the operator's own process.

use core::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};
use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::limits::{CONNECTIONS, PREFACE_TIMEOUT};

/// Bytes that every HTTP/2 connection begins with.
const PREFACE_BYTES: usize = 24;

/// How many connections there are, for metrics.
#[derive(Debug)]
pub struct Counts {
    places: Arc<Semaphore>,
    most: usize,
    refused: AtomicU64,
}

impl Counts {
    /// Open now.
    pub fn open(&self) -> usize {
        self.most.saturating_sub(self.places.available_permits())
    }

    /// Refused since the start because the cap was reached.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Accepted connections, at most so many at a time.
#[derive(Debug)]
pub struct Connections<S> {
    incoming: S,
    counts: Arc<Counts>,
    preface_timeout: Duration,
}

impl<S> Connections<S> {
    /// At most [`CONNECTIONS`], with [`PREFACE_TIMEOUT`].
    pub fn new(incoming: S) -> Self {
        Self::with_limits(incoming, CONNECTIONS, PREFACE_TIMEOUT)
    }

    /// With other limits than the table's.
    pub fn with_limits(incoming: S, most: usize, preface_timeout: Duration) -> Self {
        let counts = Counts { places: Arc::new(Semaphore::new(most)), most, refused: AtomicU64::new(0) };
        Self { incoming, counts: Arc::new(counts), preface_timeout }
    }

    /// The counters; they stay valid while the server runs.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }
}

impl<S, C, E> Stream for Connections<S>
where
    S: Stream<Item = Result<C, E>> + Unpin,
{
    type Item = Result<Connection<C>, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let connection = match ready!(Pin::new(&mut self.incoming).poll_next(cx)) {
                Some(Ok(connection)) => connection,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            if let Ok(place) = Arc::clone(&self.counts.places).try_acquire_owned() {
                let preface = Some((Box::pin(sleep(self.preface_timeout)), PREFACE_BYTES));
                return Poll::Ready(Some(Ok(Connection { inner: connection, preface, _place: place })));
            }
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A connection that holds one of the places.
#[derive(Debug)]
pub struct Connection<C> {
    inner: C,
    /// The deadline and how many bytes of the preface are missing; none once it is here.
    preface: Option<(Pin<Box<Sleep>>, usize)>,
    _place: OwnedSemaphorePermit,
}

impl<C: Connected> Connected for Connection<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> C::ConnectInfo {
        self.inner.connect_info()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Connection<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let received = buffer.filled().len().saturating_sub(before);
        if let Some((deadline, missing)) = &mut self.preface {
            *missing = missing.saturating_sub(received);
            if *missing == 0 {
                self.preface = None;
            } else if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        result
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Connection<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
