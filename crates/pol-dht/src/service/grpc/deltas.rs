//! Deltas in and out.

use std::time::Duration;

use futures::stream;
use pol_api::{
    chunks, convert,
    dht::v1::{FetchDeltaRequest, FetchDeltaResponse, PublishDeltaRequest, PublishDeltaResponse},
    limits, serve,
    status::Reason,
    tonic::{Status, Streaming},
};
use pol_core::delta;
use pol_kit::telemetry::{self, Stage};
use tokio::time::timeout;

use super::{Events, Service, refuse::refuse};

/// A fetch is answered before the transport gives the call up, so that the caller reads a reason.
const FETCH_TIMEOUT: Duration = limits::REQUEST_TIMEOUT.saturating_sub(Duration::from_secs(2));

impl Service {
    pub(super) async fn publish(&self, upload: Streaming<PublishDeltaRequest>) -> Result<PublishDeltaResponse, Status> {
        let upload = serve::receive_upload(upload).await?;
        let (bytes, containers) = (upload.bytes.into_bytes(), self.options.containers);
        // What is no container of this chain would be refused by every gate: better the trainer hears of it here.
        let check = move |_: &_| containers.map_or(Ok(()), |context| delta::decode(&bytes, &context).map(drop)).map(|()| bytes);
        let checked = self.node.blocking(check).await.map_err(refuse)?;
        let bytes = checked.map_err(|error| Reason::BadDelta.refuse(error.to_string()))?;
        let announcement = upload.announcement.map(|envelope| envelope.to_vec());
        let published = self.node.publish(bytes, announcement).await.map_err(refuse)?;
        if published.announced {
            telemetry::update(Stage::Published, &published.update_id.0);
        }
        let crate::Published { update_id, announced, already_held } = published;
        Ok((&convert::Published { update_id, announced, already_held }).into())
    }

    pub(super) async fn fetch(&self, request: &FetchDeltaRequest) -> Result<Events<FetchDeltaResponse>, Status> {
        let id = convert::fetch_target(request)?;
        let fetched = timeout(FETCH_TIMEOUT, self.node.fetch_delta(id)).await;
        let late = |_| Reason::NotFound.refuse(format!("update {id}: not delivered within {} s", FETCH_TIMEOUT.as_secs()));
        // The node gives only bytes that have this id; the header goes out after that.
        let bytes = fetched.map_err(late)?.map_err(refuse)?.into();
        Ok(Box::pin(stream::iter(chunks::split(&bytes).map(|part| Ok(part.into())))))
    }
}
