//! The feed: what the chain decided about the model, for this machine's own processes (gRPC `polai.execution.v1`, port 8553, loopback).
//!
//! # Contract
//! [`Feed`] is the service, [`serve`] runs it. A reader names the last block it has dealt with and hears of everything after it: first from
//! disk, page by page, then live. A reader that does not read is cut off with `lagged` and comes back with its cursor.
//!
//! # Limits
//! pol-api's: connections, streams, windows. A stream holds one page.
//!
//! # What it does not protect against
//! Whoever reaches the port reads all of it; all of it is public on the chain.

mod reader;

use std::{pin::Pin, sync::Arc};

use futures::Stream;
use pol_api::{
    common::v1::BuildInfo,
    convert::{self, Cursor, Head, WatchUpdates},
    execution::v1::{StatusRequest, StatusResponse, WatchUpdatesRequest, WatchUpdatesResponse, execution_server::Execution},
    serve as api,
    tonic::{self, Request, Response, Status, transport::Error},
};
use pol_kit::clock::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    chain::{Chain, hash32},
    metrics::Metrics,
    model_log::{Entry, ModelLog},
};

/// What the process calls itself.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Name of the program, printable ASCII, at most 64 bytes.
    pub name: &'static str,
    /// Its version, likewise.
    pub version: &'static str,
}

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub struct Feed {
    log: ModelLog,
    build: Arc<BuildInfo>,
    stop: CancellationToken,
    metrics: Metrics,
}

impl Feed {
    /// On a log. Every stream ends with `shutting-down` when `stop` is cancelled.
    pub fn new(
        log: ModelLog,
        chain: &Chain,
        program: Program,
        clock: &dyn Clock,
        stop: CancellationToken,
        metrics: Metrics,
    ) -> Self {
        let build = BuildInfo {
            name: program.name.to_owned(),
            version: program.version.to_owned(),
            genesis_id: convert::field(chain.genesis_id().0),
            started_unix_ms: clock.unix_millis(),
        };
        Self { log, build: Arc::new(build), stop, metrics }
    }
}

/// Serves the feed until its token is cancelled.
///
/// # Errors
/// The transport's: nothing of ours makes one after the port is bound.
pub async fn serve(listener: TcpListener, feed: Feed) -> Result<(), Error> {
    let stop = feed.stop.clone();
    let server = api::server().add_service(api::execution_server(feed));
    server.serve_with_incoming_shutdown(api::connections(listener), stop.cancelled_owned()).await
}

#[tonic::async_trait]
impl Execution for Feed {
    type WatchUpdatesStream = Pin<Box<dyn Stream<Item = Result<WatchUpdatesResponse, Status>> + Send>>;

    async fn watch_updates(&self, request: Request<WatchUpdatesRequest>) -> Result<Response<Self::WatchUpdatesStream>, Status> {
        let request = WatchUpdates::try_from(request.get_ref())?;
        let reader = reader::Reader::begin(self.log.clone(), request, self.metrics.clone()).await?;
        Ok(Response::new(Box::pin(reader.events(self.stop.clone()))))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse {
            build: Some(self.build.as_ref().clone()),
            head: Some(head(&self.log.tip()).into()),
            finalized: Some(head(&self.log.finalized()).into()),
        }))
    }
}

const fn cursor(entry: &Entry) -> Cursor {
    Cursor { height: entry.block.number, block_hash: hash32(entry.block.hash) }
}

const fn head(entry: &Entry) -> Head {
    Head { block: cursor(entry), model_head: entry.model_head, updates: entry.updates }
}
