//! Snapshots in transfer: bytes to checked pieces, and the calls of the DHT that carry them.
//!
//! # Contract
//! [`Pieces`] is pure: it takes a transfer's parts and gives the manifest and then each chunk of values, checked against the manifest's own
//! hashes. It holds a manifest and one chunk, never more than arrived.
//!
//! # What it does not protect against
//! A snapshot that is not the chain's: only later certificates tell (docs/PROTOCOL.md, section 13).

use pol_core::{
    ModelHead, ResultRoot,
    state::{ManifestError, Shape, SnapshotError, SnapshotManifest, State, ValuesError, manifest_bytes, snapshot_bytes},
};
use prost::bytes::Bytes;
use tonic::{Status, transport::Channel};

use crate::{
    chunks::ChunkError,
    client::CallError,
    common::v1::{Chunk, TransferHeader},
    convert::{self, ConvertError, SnapshotHeader, SnapshotSources, SnapshotWanted},
    dht::v1::{self, dht_client::DhtClient, get_snapshot_response, publish_snapshot_request},
    limits::CHUNK_BYTES,
    status::Reason,
};

/// Why a transfer is no snapshot. The sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotTransferError {
    /// A field of the header.
    #[error(transparent)]
    Field(#[from] ConvertError),
    /// The order of the parts.
    #[error(transparent)]
    Transfer(#[from] ChunkError),
    /// Another size than every snapshot of this chain has.
    #[error("snapshot: {found} bytes announced, expected {expected}")]
    Size {
        /// Announced.
        found: u64,
        /// Of this chain's shape.
        expected: u64,
    },
    /// Of another head than asked for.
    #[error("snapshot: found one of model head {found}, expected {expected}")]
    Head {
        /// Head it says.
        found: ModelHead,
        /// Head asked for.
        expected: ModelHead,
    },
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A chunk.
    #[error(transparent)]
    Chunk(#[from] SnapshotError),
    /// The values.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// Not the root or the number of updates that was asked for.
    #[error("snapshot: found the state {found} after {updates} updates, which was not asked for")]
    Unwanted {
        /// Root of the manifest's hashes.
        found: ResultRoot,
        /// Updates that the manifest says.
        updates: u64,
    },
}

impl From<SnapshotTransferError> for Status {
    fn from(error: SnapshotTransferError) -> Self {
        match error {
            SnapshotTransferError::Field(error) => error.into(),
            error => Reason::BadTransfer.refuse(error.to_string()),
        }
    }
}

/// A part of a transfer, whichever call it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotPart {
    /// What is transferred.
    Header(SnapshotHeader),
    /// The next bytes.
    Chunk(Chunk),
}

macro_rules! parts {
    ($($message:ty, $module:ident);*) => {$(
        impl TryFrom<$message> for SnapshotPart {
            type Error = SnapshotTransferError;

            fn try_from(message: $message) -> Result<Self, SnapshotTransferError> {
                match message.part {
                    Some($module::Part::Header(header)) => Ok(Self::Header(header.try_into()?)),
                    Some($module::Part::Chunk(chunk)) => Ok(Self::Chunk(chunk)),
                    None => Err(ChunkError::EmptyPart.into()),
                }
            }
        }

        impl From<SnapshotPart> for $message {
            fn from(part: SnapshotPart) -> Self {
                let part = match part {
                    SnapshotPart::Header(header) => $module::Part::Header(header.into()),
                    SnapshotPart::Chunk(chunk) => $module::Part::Chunk(chunk),
                };
                Self { part: Some(part) }
            }
        }
    )*};
}
parts!(v1::PublishSnapshotRequest, publish_snapshot_request; v1::GetSnapshotResponse, get_snapshot_response);

/// A checked piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// First and once.
    Manifest(SnapshotManifest),
    /// Then the chunks in order: number, bytes, values.
    Values(u32, Vec<u8>, Vec<i32>),
}

/// Takes the parts of one transfer apart.
#[derive(Debug)]
pub struct Pieces {
    shape: Shape,
    head: Option<ModelHead>,
    received: u64,
    /// Bytes of the piece that is not complete yet.
    rest: Vec<u8>,
    manifest: Option<SnapshotManifest>,
    next: u32,
}

impl Pieces {
    /// Of a snapshot of a state of this shape.
    pub const fn new(shape: Shape) -> Self {
        Self { shape, head: None, received: 0, rest: Vec::new(), manifest: None, next: 0 }
    }

    /// Whose it is, once the header is here.
    pub const fn head(&self) -> Option<ModelHead> {
        self.head
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// [`SnapshotTransferError`]: the transfer is lost then.
    pub fn push(&mut self, part: SnapshotPart) -> Result<Vec<Piece>, SnapshotTransferError> {
        match (part, self.head) {
            (SnapshotPart::Header(header), None) => self.header(&header).map(|()| Vec::new()),
            (SnapshotPart::Header(_), Some(_)) => Err(ChunkError::SecondHeader { received: self.rest.len() }.into()),
            (SnapshotPart::Chunk(_), None) => Err(ChunkError::NoHeader.into()),
            (SnapshotPart::Chunk(chunk), Some(_)) => self.chunk(&chunk),
        }
    }

    fn header(&mut self, header: &SnapshotHeader) -> Result<(), SnapshotTransferError> {
        let (found, expected) = (header.transfer.size, snapshot_bytes(&self.shape));
        if found != expected {
            return Err(SnapshotTransferError::Size { found, expected });
        }
        self.head = Some(header.model_head);
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<Vec<Piece>, SnapshotTransferError> {
        let length = chunk.data.len();
        if !(1..=CHUNK_BYTES).contains(&length) {
            return Err(ChunkError::Chunk { found: length }.into());
        }
        if chunk.offset != self.received {
            let expected = usize::try_from(self.received).unwrap_or(usize::MAX);
            return Err(ChunkError::Offset { found: chunk.offset, expected }.into());
        }
        self.received = self.received.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.rest.extend_from_slice(&chunk.data);
        let mut pieces = Vec::new();
        while let Some(piece) = self.piece()? {
            pieces.push(piece);
        }
        if self.is_complete() && !self.rest.is_empty() {
            return Err(SnapshotTransferError::Size { found: self.received, expected: snapshot_bytes(&self.shape) });
        }
        Ok(pieces)
    }

    /// The next piece that is whole.
    fn piece(&mut self) -> Result<Option<Piece>, SnapshotTransferError> {
        let wanted = match &self.manifest {
            None => manifest_bytes(&self.shape),
            Some(_) => usize::try_from(self.shape.chunk_len(self.next)).unwrap_or(0).saturating_mul(4),
        };
        if wanted == 0 || self.rest.len() < wanted {
            return Ok(None);
        }
        let bytes: Vec<u8> = self.rest.drain(..wanted).collect();
        let Some(manifest) = &self.manifest else {
            let manifest = SnapshotManifest::decode(self.shape, &bytes)?;
            self.manifest = Some(manifest.clone());
            return Ok(Some(Piece::Manifest(manifest)));
        };
        let (number, values) = (self.next, manifest.leaves.check_chunk(self.next, &bytes)?);
        self.next = number.saturating_add(1);
        Ok(Some(Piece::Values(number, bytes, values)))
    }

    /// True when all pieces were given.
    pub const fn is_complete(&self) -> bool {
        self.manifest.is_some() && self.next == self.shape.chunk_count()
    }

    /// After the stream has ended: whether everything came.
    ///
    /// # Errors
    /// [`SnapshotTransferError::Size`].
    pub fn finish(&self) -> Result<(), SnapshotTransferError> {
        let expected = snapshot_bytes(&self.shape);
        if self.is_complete() { Ok(()) } else { Err(SnapshotTransferError::Size { found: self.received, expected }) }
    }
}

/// The parts of a transfer from its bytes, in pieces of any size up to [`CHUNK_BYTES`].
pub fn parts(
    model_head: ModelHead,
    size: u64,
    bytes: impl Iterator<Item = Bytes> + Send,
) -> impl Iterator<Item = SnapshotPart> + Send {
    let header = SnapshotPart::Header(SnapshotHeader { model_head, transfer: TransferHeader { size } });
    let mut offset = 0_u64;
    let chunks = bytes.map(move |data| {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let part = SnapshotPart::Chunk(Chunk { offset, data });
        offset = offset.saturating_add(length);
        part
    });
    core::iter::once(header).chain(chunks)
}

/// The bytes of a state's snapshot, piece by piece: nothing of its size is held.
pub fn bytes_of(state: std::sync::Arc<State>, manifest: &SnapshotManifest) -> impl Iterator<Item = Bytes> + Send + use<> {
    let mut manifest = Bytes::from(manifest.encode());
    let first = core::iter::from_fn(move || {
        let part = manifest.split_to(manifest.len().min(CHUNK_BYTES));
        (!part.is_empty()).then_some(part)
    });
    let chunks = 0..state.shape().chunk_count();
    first.chain(chunks.filter_map(move |chunk| state.chunk_bytes(chunk).map(Bytes::from)))
}

/// Stores a snapshot in the DHT.
///
/// # Errors
/// [`CallError`].
pub async fn publish(
    client: &mut DhtClient<Channel>,
    model_head: ModelHead,
    state: std::sync::Arc<State>,
    manifest: &SnapshotManifest,
) -> Result<v1::PublishSnapshotResponse, CallError> {
    let size = snapshot_bytes(state.shape());
    let messages = parts(model_head, size, bytes_of(state, manifest)).map(v1::PublishSnapshotRequest::from);
    Ok(client.publish_snapshot(tokio_stream::iter(messages)).await?.into_inner())
}

/// Who has snapshots of a head.
///
/// # Errors
/// [`CallError`].
pub async fn sources(client: &mut DhtClient<Channel>, model_head: ModelHead) -> Result<SnapshotSources, CallError> {
    let request = v1::HasSnapshotRequest { model_head: convert::field(model_head.0) };
    Ok((&client.has_snapshot(request).await?.into_inner()).try_into()?)
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// Refused, or not reached.
    #[error("{}: {}", .0.code(), .0.message())]
    Refused(#[from] Status),
    /// The daemon sent something else: its defect.
    #[error(transparent)]
    Transfer(#[from] SnapshotTransferError),
}

/// Fetches a snapshot: the manifest and the state that its hashes commit to. It may take minutes: the caller has a deadline of its own.
///
/// # Errors
/// [`GetError`].
pub async fn get(
    client: &mut DhtClient<Channel>,
    wanted: &SnapshotWanted,
    shape: Shape,
) -> Result<(SnapshotManifest, State), GetError> {
    let mut stream = client.get_snapshot(v1::GetSnapshotRequest::from(wanted)).await?.into_inner();
    let (mut pieces, mut manifest, mut values) = (Pieces::new(shape), None, Vec::new());
    while let Some(message) = stream.message().await? {
        for piece in pieces.push(message.try_into()?)? {
            match piece {
                Piece::Manifest(found) => manifest = Some(wanted_one(wanted, pieces.head(), found)?),
                Piece::Values(_, _, more) => values.extend(more),
            }
        }
    }
    pieces.finish()?;
    let manifest = manifest.ok_or(SnapshotTransferError::Transfer(ChunkError::NoHeader))?;
    let state = State::from_values(shape, values).map_err(SnapshotTransferError::from)?;
    Ok((manifest, state))
}

fn wanted_one(
    wanted: &SnapshotWanted,
    head: Option<ModelHead>,
    manifest: SnapshotManifest,
) -> Result<SnapshotManifest, SnapshotTransferError> {
    if let Some(found) = head.filter(|head| *head != wanted.model_head) {
        return Err(SnapshotTransferError::Head { found, expected: wanted.model_head });
    }
    let found = manifest.root();
    if manifest.updates == wanted.updates && wanted.accepts(found) {
        return Ok(manifest);
    }
    Err(SnapshotTransferError::Unwanted { found, updates: manifest.updates })
}

#[cfg(test)]
#[path = "snapshots_tests.rs"]
mod tests;
