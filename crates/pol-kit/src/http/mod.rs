//! A small HTTP/1.1 server that strangers may talk to.
//!
//! Purpose: what axum's own `serve` leaves open: bounds on connections, on time and on size, and an owner for every connection.
//! Contract: [`bind`] a port, then await [`serve`] in a task of the tree; it ends when its token is cancelled, requests in progress
//! are finished. Limits: [`Limits`]. What it does not protect against: a client that reads its answer slowly holds its connection
//! until the connection's life is over; a network address that owns many addresses; it speaks no TLS.

use crate::limits;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Why a port could not be had. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there already.
    #[error("TCP {address} is in use by another process")]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The operating system refused.
    #[error("cannot listen on TCP {address}: {source}")]
    Io {
        /// The address asked for.
        address: SocketAddr,
        /// What it said.
        source: io::Error,
    },
}

/// Listens on a TCP port.
///
/// # Errors
/// [`BindError`]; a process ends with exit code 2.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        _ => BindError::Io { address, source },
    })
}

/// Bounds of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time. One more waits in the kernel's queue.
    pub connections: usize,
    /// Connections of one IP address at the same time, loopback not counted. One more is closed at once.
    pub connections_per_ip: usize,
    /// Time for the head of a request, the wait for it included.
    pub header: Duration,
    /// Time for a request from its complete head to the head of its answer.
    pub request: Duration,
    /// Life of a connection.
    pub connection_life: Duration,
    /// Bytes of a body, as far as axum's extractors read it.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::HTTP_CONNECTIONS,
            connections_per_ip: limits::HTTP_CONNECTIONS_PER_IP,
            header: limits::HTTP_HEADER,
            request: limits::HTTP_REQUEST,
            connection_life: limits::HTTP_CONNECTION_LIFE,
            body_bytes: limits::HTTP_BODY_BYTES,
        }
    }
}

/// Serves `router` until `token` is cancelled, then finishes the requests in progress.
///
/// # Errors
/// None: what goes wrong with one connection ends that connection, and is counted by nobody but the log (level debug).
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, token: CancellationToken) -> Result<(), Infallible> {
    let in_time = from_fn(move |request: Request, next: Next| answer_in_time(limits.request, request, next));
    let router = router.layer(in_time).layer(DefaultBodyLimit::max(limits.body_bytes));
    let (slots, per_ip) = (Arc::new(Semaphore::new(limits.connections)), PerIp::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = token.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                let Some(ip) = per_ip.enter(peer.ip(), limits.connections_per_ip) else { continue };
                let (router, token) = (router.clone(), token.clone());
                connections.spawn(async move {
                    let _places = (slot, ip);
                    connection(stream, router, limits, token).await;
                });
            }
            Err(error) => {
                tracing::warn!(target: "polai::http", %error, "cannot accept a connection");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
    Ok(())
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // Nobody closes this semaphore.
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

async fn answer_in_time(limit: Duration, request: Request, next: Next) -> Response {
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, token: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(limits::HTTP_HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(target: "polai::http", %error, "connection ended");
            }
            return;
        }
        () = token.cancelled() => {}
        () = sleep(limits.connection_life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits::HTTP_DRAIN, connection).await;
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(target: "polai::http", %error, "a request handler panicked");
    }
}

/// Connections by address. An address without one is not in it, so that it never holds more than there are connections.
#[derive(Clone, Debug, Default)]
struct PerIp(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

impl PerIp {
    fn enter(&self, ip: IpAddr, limit: usize) -> Option<PerIpPlace> {
        let ip = ip.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&ip).copied().unwrap_or(0);
        if count >= limit && !ip.is_loopback() {
            return None;
        }
        counts.insert(ip, count.saturating_add(1));
        Some(PerIpPlace { counts: self.clone(), ip })
    }
}

struct PerIpPlace {
    counts: PerIp,
    ip: IpAddr,
}

impl Drop for PerIpPlace {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get(&self.ip).copied().unwrap_or(0) {
            0 | 1 => drop(counts.remove(&self.ip)),
            more => drop(counts.insert(self.ip, more.saturating_sub(1))),
        }
    }
}

#[cfg(test)]
mod tests;
