//! Bytes in parts: a header with the size, then chunks.
//!
//! # Contract
//! Pure. An [`Assembler`] takes the parts of one transfer and gives the bytes back when exactly the announced number has arrived, or
//! says what was wrong. Its memory grows with what arrived, never with what was announced, and never beyond it.
//!
//! # What it does not protect against
//! It does not know what the bytes should be ([`Assembled::named`] does, where an id is known), nor how long they take: the server's
//! request timeout bounds uploads, the reader's own deadline downloads.

use pol_core::{UpdateId, sha256};
use prost::bytes::Bytes;
use tokio_stream::{Stream, StreamExt as _};

use crate::{
    common::v1::{Chunk, TransferHeader},
    dht::v1::{FetchDeltaResponse, fetch_delta_response},
    limits::CHUNK_BYTES,
};

/// Why a transfer is refused. The sender's fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A size outside the call's bounds.
    #[error("transfer header: found {found} bytes, expected 1 to {most}")]
    Size {
        /// Size announced.
        found: u64,
        /// Largest size allowed.
        most: usize,
    },
    /// A chunk before the header, or nothing at all.
    #[error("transfer: found no header, expected one before anything else")]
    NoHeader,
    /// A header after the header: a second transfer in the same stream.
    #[error("transfer: found a second header after {received} bytes, expected chunks")]
    SecondHeader {
        /// Bytes received before it.
        received: usize,
    },
    /// A part of neither kind, or of a kind that this version does not know.
    #[error("transfer: found a part without content, expected a header or a chunk")]
    EmptyPart,
    /// A chunk with no bytes or too many.
    #[error("chunk: found {found} bytes, expected 1 to {CHUNK_BYTES}")]
    Chunk {
        /// Bytes found.
        found: usize,
    },
    /// A gap, an overlap, or two transfers mixed.
    #[error("chunk offset: found {found}, expected {expected}")]
    Offset {
        /// Offset found.
        found: u64,
        /// Bytes received so far.
        expected: usize,
    },
    /// More bytes than announced.
    #[error("transfer: found at least {found} bytes, expected {expected}")]
    Long {
        /// Bytes received, with the chunk that was too much.
        found: usize,
        /// Bytes announced.
        expected: usize,
    },
    /// The stream ended early.
    #[error("transfer: found {found} bytes, expected {expected}")]
    Short {
        /// Bytes received.
        found: usize,
        /// Bytes announced.
        expected: usize,
    },
    /// The bytes are not the ones that were asked for.
    #[error("transfer: found bytes of update {found}, expected {expected}")]
    Hash {
        /// Id of the bytes.
        found: UpdateId,
        /// Id asked for.
        expected: UpdateId,
    },
}

/// One part of a transfer, whichever call it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// How many bytes follow.
    Header(TransferHeader),
    /// The next bytes.
    Chunk(Chunk),
}

impl TryFrom<FetchDeltaResponse> for Part {
    type Error = ChunkError;

    fn try_from(message: FetchDeltaResponse) -> Result<Self, ChunkError> {
        match message.part {
            Some(fetch_delta_response::Part::Header(header)) => Ok(Self::Header(header)),
            Some(fetch_delta_response::Part::Chunk(chunk)) => Ok(Self::Chunk(chunk)),
            None => Err(ChunkError::EmptyPart),
        }
    }
}

impl From<Part> for FetchDeltaResponse {
    fn from(part: Part) -> Self {
        let part = match part {
            Part::Header(header) => fetch_delta_response::Part::Header(header),
            Part::Chunk(chunk) => fetch_delta_response::Part::Chunk(chunk),
        };
        Self { part: Some(part) }
    }
}

/// Bytes of a transfer that arrived exactly as announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled(Vec<u8>);

impl Assembled {
    /// The id these bytes have.
    pub fn update_id(&self) -> UpdateId {
        UpdateId(sha256(&[&self.0]))
    }

    /// The bytes, if they are the ones with this id.
    ///
    /// # Errors
    /// [`ChunkError::Hash`].
    pub fn named(self, expected: UpdateId) -> Result<Vec<u8>, ChunkError> {
        let found = self.update_id();
        if found == expected { Ok(self.0) } else { Err(ChunkError::Hash { found, expected }) }
    }

    /// The bytes, for a caller that was not told an id.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Puts the parts of one transfer together.
#[derive(Debug)]
pub struct Assembler {
    most: usize,
    announced: Option<usize>,
    bytes: Vec<u8>,
}

impl Assembler {
    /// Of a transfer of at most `most` bytes.
    pub const fn new(most: usize) -> Self {
        Self { most, announced: None, bytes: Vec::new() }
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// [`ChunkError`], all but `Short`, `Hash` and `EmptyPart`. After an error the transfer is lost: drop the assembler.
    pub fn push(&mut self, part: &Part) -> Result<(), ChunkError> {
        match (part, self.announced) {
            (Part::Header(header), None) => self.header(header.size),
            (Part::Header(_), Some(_)) => Err(ChunkError::SecondHeader { received: self.bytes.len() }),
            (Part::Chunk(_), None) => Err(ChunkError::NoHeader),
            (Part::Chunk(chunk), Some(announced)) => self.chunk(chunk, announced),
        }
    }

    fn header(&mut self, found: u64) -> Result<(), ChunkError> {
        match usize::try_from(found) {
            Ok(size) if (1..=self.most).contains(&size) => {
                self.announced = Some(size);
                Ok(())
            }
            _ => Err(ChunkError::Size { found, most: self.most }),
        }
    }

    fn chunk(&mut self, chunk: &Chunk, announced: usize) -> Result<(), ChunkError> {
        let (received, length) = (self.bytes.len(), chunk.data.len());
        if !(1..=CHUNK_BYTES).contains(&length) {
            return Err(ChunkError::Chunk { found: length });
        }
        if usize::try_from(chunk.offset) != Ok(received) {
            return Err(ChunkError::Offset { found: chunk.offset, expected: received });
        }
        let found = received.saturating_add(length);
        if found > announced {
            return Err(ChunkError::Long { found, expected: announced });
        }
        if found > self.bytes.capacity() {
            // Doubling, as a vector would, but not beyond what was announced.
            let wanted = self.bytes.capacity().saturating_mul(2).clamp(found, announced);
            self.bytes.reserve_exact(wanted.saturating_sub(received));
        }
        self.bytes.extend_from_slice(&chunk.data);
        Ok(())
    }

    /// True when all announced bytes are here.
    pub fn is_complete(&self) -> bool {
        self.announced == Some(self.bytes.len())
    }

    /// The whole, after the stream has ended.
    ///
    /// # Errors
    /// [`ChunkError::NoHeader`], [`ChunkError::Short`].
    pub fn finish(self) -> Result<Assembled, ChunkError> {
        let expected = self.announced.ok_or(ChunkError::NoHeader)?;
        let found = self.bytes.len();
        if found == expected { Ok(Assembled(self.bytes)) } else { Err(ChunkError::Short { found, expected }) }
    }
}

/// The parts of a transfer: the header, then chunks of [`CHUNK_BYTES`], the last one shorter. Shares `bytes`, copies nothing.
pub fn split(bytes: &Bytes) -> impl Iterator<Item = Part> + Send + use<> {
    let header = Part::Header(TransferHeader { size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) });
    let (mut rest, mut offset) = (bytes.clone(), 0_u64);
    let chunks = core::iter::from_fn(move || {
        let data = rest.split_to(rest.len().min(CHUNK_BYTES));
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let part = Part::Chunk(Chunk { offset, data });
        offset = offset.saturating_add(length);
        (length > 0).then_some(part)
    });
    core::iter::once(header).chain(chunks)
}

/// Reads a whole transfer from a stream of messages, to the stream's end.
///
/// # Errors
/// The stream's own error, or a [`ChunkError`] at the first part that is wrong; the rest is not read.
pub async fn read<M, S, E>(mut stream: S, most: usize) -> Result<Assembled, E>
where
    M: TryInto<Part, Error = ChunkError>,
    S: Stream<Item = Result<M, E>> + Unpin,
    E: From<ChunkError>,
{
    let mut assembler = Assembler::new(most);
    while let Some(message) = stream.next().await {
        assembler.push(&message?.try_into()?)?;
    }
    Ok(assembler.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_arrived_and_never_beyond_what_was_announced() {
        let mut assembler = Assembler::new(150_000);
        assembler.push(&Part::Header(TransferHeader { size: 150_000 })).unwrap();
        assert_eq!(assembler.bytes.capacity(), 0);
        let mut offset = 0;
        for length in [1_usize, 999, 30_000, 65_536, 50_000, 3_464] {
            assembler.push(&Part::Chunk(Chunk { offset, data: vec![1; length].into() })).unwrap();
            offset = u64::try_from(assembler.bytes.len()).unwrap();
            let (received, held) = (assembler.bytes.len(), assembler.bytes.capacity());
            assert!(held <= received.saturating_mul(2) && held <= 150_000, "{held} bytes for {received}");
        }
        assert!(assembler.is_complete());
    }
}
