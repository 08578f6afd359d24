//! Snapshots in and out.

use std::sync::Arc;

use futures::{TryStreamExt as _, stream};
use pol_api::{
    convert::{self, HeldSnapshot, SnapshotSources, SnapshotWanted, field},
    dht::v1::{
        GetSnapshotRequest, GetSnapshotResponse, HasSnapshotRequest, HasSnapshotResponse, PublishSnapshotRequest,
        PublishSnapshotResponse,
    },
    limits::SNAPSHOTS_HELD,
    snapshots::{Piece, Pieces, SnapshotPart},
    status::Reason,
    tonic::{Status, Streaming},
};
use pol_core::{
    ModelHead,
    record::RecordKey,
    state::{Shape, SnapshotManifest},
};
use tokio_stream::StreamExt as _;

use super::{Events, Service, refuse::refuse};
use crate::store::{Ingest, READ_BYTES_MAX, SnapshotName};

/// Where reading a whole snapshot stands.
struct Reading {
    service: Service,
    name: SnapshotName,
    pieces: Pieces,
    offset: u64,
}

impl Service {
    /// The adapter's shape, which alone says how long a snapshot is.
    fn shape(&self) -> Result<Shape, Status> {
        let context = self.options.containers.ok_or_else(|| Reason::NoRole.refuse("snapshots need the chain's chain.toml"))?;
        Ok(context.shape)
    }

    pub(super) async fn publish_whole(
        &self,
        upload: Streaming<PublishSnapshotRequest>,
    ) -> Result<PublishSnapshotResponse, Status> {
        let (mut upload, mut pieces) = (upload, Pieces::new(self.shape()?));
        let mut taken: Option<Taken> = None;
        while let Some(message) = upload.next().await {
            for piece in pieces.push(SnapshotPart::try_from(message?)?)? {
                match (piece, pieces.head()) {
                    (Piece::Manifest(manifest), Some(head)) => taken = Some(self.take(head, manifest).await?),
                    (Piece::Values(chunk, bytes, _), _) => self.put_chunk(taken.as_ref(), chunk, bytes).await?,
                    (Piece::Manifest(_), None) => {}
                }
            }
        }
        pieces.finish()?;
        let taken = taken.ok_or_else(|| Reason::BadTransfer.refuse("snapshot: found no manifest"))?;
        if let Some(ingest) = taken.ingest {
            self.node.blocking(move |_| ingest.finish()).await.map_err(refuse)?.map_err(refuse)?;
        }
        self.node.net().provide_key(RecordKey::Snapshot(taken.name.head)).await;
        tracing::info!(target: "polai::dht", head = %taken.name.head, root = %taken.name.root, "a snapshot is offered");
        Ok(PublishSnapshotResponse { root: field(taken.name.root.0), already_held: taken.already_held })
    }

    async fn take(&self, head: ModelHead, manifest: SnapshotManifest) -> Result<Taken, Status> {
        let (name, shape) = (SnapshotName { head, root: manifest.root() }, self.shape()?);
        if self.node.shared().store.snapshots().contains(&name) {
            return Ok(Taken { name, ingest: None, already_held: true });
        }
        let begun = self.node.blocking(move |shared| shared.store.snapshots().begin(head, &manifest, shape));
        let ingest = begun.await.map_err(refuse)?.map_err(refuse)?;
        Ok(Taken { name, ingest: Some(Arc::new(ingest)), already_held: false })
    }

    async fn put_chunk(&self, taken: Option<&Taken>, chunk: u32, bytes: Vec<u8>) -> Result<(), Status> {
        let Some(ingest) = taken.and_then(|taken| taken.ingest.clone()) else { return Ok(()) };
        self.node.blocking(move |_| ingest.put(chunk, &bytes)).await.map_err(refuse)?.map_err(refuse)
    }

    pub(super) async fn sources(&self, request: &HasSnapshotRequest) -> Result<HasSnapshotResponse, Status> {
        let head = convert::snapshot_target(request)?;
        let held = self.node.shared().store.snapshots().of(head).into_iter().take(SNAPSHOTS_HELD);
        let held = held.map(|held| HeldSnapshot { root: held.name.root, updates: held.updates }).collect();
        let providers = self.node.net().providers_of(RecordKey::Snapshot(head)).await.map_err(refuse)?;
        let local = self.node.net().local_peer_id();
        let others = providers.iter().filter(|peer| **peer != local).count();
        Ok((&SnapshotSources { held, providers: u32::try_from(others).unwrap_or(u32::MAX) }).into())
    }

    /// The stream begins at once, and its first message comes when the snapshot is here.
    pub(super) fn whole(&self, request: &GetSnapshotRequest) -> Result<Events<GetSnapshotResponse>, Status> {
        let (wanted, shape, service) = (SnapshotWanted::try_from(request)?, self.shape()?, self.clone());
        let place = self.place()?;
        let fetched = async move {
            let _held_while_it_comes = place;
            let name = service.fetch_whole(wanted, shape).await?;
            let size = pol_core::state::snapshot_bytes(&shape);
            let header = pol_api::snapshots::parts(name.head, size, core::iter::empty()).next();
            let reading = Reading { service, name, pieces: Pieces::new(shape), offset: 0 };
            let first = stream::iter(header.clone().map(|part| Ok(part.into())));
            let rest = stream::try_unfold((reading, header), |(mut reading, header)| async move {
                if let Some(header) = header {
                    reading.pieces.push(header)?;
                }
                let next = reading.next().await?;
                Ok(next.map(|part| (part, (reading, None))))
            });
            Ok::<_, Status>(futures::StreamExt::chain(first, rest))
        };
        let stop = self.stop.clone();
        let events = stream::once(fetched).try_flatten();
        let until = async move { stop.cancelled().await };
        Ok(Box::pin(futures::StreamExt::take_until(events, until)))
    }

    async fn fetch_whole(&self, wanted: SnapshotWanted, shape: Shape) -> Result<SnapshotName, Status> {
        let (head, wrong) = (wanted.model_head, wanted.not_roots.clone());
        let removed = self.node.blocking(move |shared| {
            wrong.into_iter().try_for_each(|root| shared.store.snapshots().remove(&SnapshotName { head, root }).map(drop))
        });
        removed.await.map_err(refuse)?.map_err(refuse)?;
        self.node.fetch_snapshot(shape, wanted).await.map_err(refuse)
    }
}

/// What an upload is written to.
struct Taken {
    name: SnapshotName,
    ingest: Option<Arc<Ingest>>,
    already_held: bool,
}

impl Reading {
    /// The next bytes; checked again, since the disk may have changed them.
    async fn next(&mut self) -> Result<Option<GetSnapshotResponse>, Status> {
        let (name, offset) = (self.name, self.offset);
        let read = self.service.node.blocking(move |shared| shared.store.snapshots().read(&name, offset, READ_BYTES_MAX));
        let gone = || Reason::NotFound.refuse("the snapshot was replaced while it was read");
        let (_, bytes) = read.await.map_err(refuse)?.map_err(refuse)?.ok_or_else(gone)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.offset = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let part = SnapshotPart::Chunk(pol_api::common::v1::Chunk { offset, data: bytes.into() });
        if let Err(error) = self.pieces.push(part.clone()) {
            tracing::warn!(target: "polai::dht", head = %name.head, %error, "a snapshot file is damaged; removed");
            let removed = self.service.node.blocking(move |shared| shared.store.snapshots().remove(&name)).await;
            removed.map_err(refuse)?.map_err(refuse)?;
            return Err(Reason::NotFound.refuse("the snapshot's file was damaged: ask again, it is fetched anew"));
        }
        Ok(Some(part.into()))
    }
}
