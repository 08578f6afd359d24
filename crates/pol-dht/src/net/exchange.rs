//! The exchange protocol between two nodes: chunks of deltas, and anti-entropy of records.
//!
//! One request, one response, both length-prefixed protobuf with a hard limit that is checked before anything is allocated. Nothing
//! in a response is trusted: chunks are hashed as a whole, records are verified like any other.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::{StreamProtocol, request_response};
use pol_core::GenesisId;

use super::behaviour::short_name;
use super::limits::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};

/// What one node asks another.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Request {
    /// The question.
    #[prost(oneof = "Ask", tags = "1, 2, 3, 4, 5")]
    pub(crate) ask: Option<Ask>,
}

/// The questions.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Ask {
    /// Bytes of a delta.
    #[prost(message, tag = "1")]
    Chunk(AskChunk),
    /// Digests of all buckets of records.
    #[prost(message, tag = "2")]
    Digests(Empty),
    /// Keys of one bucket.
    #[prost(message, tag = "3")]
    Keys(AskKeys),
    /// Records by key.
    #[prost(message, tag = "4")]
    Records(AskRecords),
    /// Bytes of a snapshot.
    #[prost(message, tag = "5")]
    Snapshot(AskSnapshot),
}

/// Bytes `offset..offset + SNAPSHOT_PART_BYTES` of a snapshot.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AskSnapshot {
    /// Model head, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) model_head: Vec<u8>,
    /// Root of the state, 32 bytes; empty: any.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) root: Vec<u8>,
    /// First byte wanted.
    #[prost(uint64, tag = "3")]
    pub(crate) offset: u64,
}

/// No fields.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Empty {}

/// Bytes `offset..offset + CHUNK_BYTES` of a delta.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AskChunk {
    /// Update id, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) update_id: Vec<u8>,
    /// First byte wanted.
    #[prost(uint32, tag = "2")]
    pub(crate) offset: u32,
}

/// Keys of one bucket after a given one.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AskKeys {
    /// 0..=255.
    #[prost(uint32, tag = "1")]
    pub(crate) bucket: u32,
    /// Last key already known; empty from the beginning.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) after: Vec<u8>,
}

/// Records by key.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AskRecords {
    /// At most `SYNC_RECORDS_MAX`; the rest is ignored.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) keys: Vec<Vec<u8>>,
}

/// The answer to a [`Request`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Response {
    /// Absent: "not here" or "not understood".
    #[prost(oneof = "Answer", tags = "1, 2, 3, 4, 5")]
    pub(crate) answer: Option<Answer>,
}

/// The answers.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Answer {
    /// To [`Ask::Chunk`].
    #[prost(message, tag = "1")]
    Chunk(Chunk),
    /// To [`Ask::Digests`].
    #[prost(message, tag = "2")]
    Digests(Digests),
    /// To [`Ask::Keys`].
    #[prost(message, tag = "3")]
    Keys(Keys),
    /// To [`Ask::Records`].
    #[prost(message, tag = "4")]
    Records(Records),
    /// To [`Ask::Snapshot`].
    #[prost(message, tag = "5")]
    Snapshot(SnapshotPart),
}

/// Part of a snapshot.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SnapshotPart {
    /// Root of its state, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) root: Vec<u8>,
    /// The part asked for.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) bytes: Vec<u8>,
}

/// Part of a delta.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Chunk {
    /// Bytes of the whole delta.
    #[prost(uint32, tag = "1")]
    pub(crate) size: u32,
    /// The part asked for.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) bytes: Vec<u8>,
}

/// One 8-byte digest for each of 256 buckets, in order.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Digests {
    /// 256 of them.
    #[prost(fixed64, repeated, tag = "1")]
    pub(crate) buckets: Vec<u64>,
}

/// A page of keys with a short hash of their envelopes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Keys {
    /// In ascending order of keys.
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<KeyEntry>,
    /// Whether more follow the last one.
    #[prost(bool, tag = "2")]
    pub(crate) more: bool,
}

/// A key and what lies under it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct KeyEntry {
    /// The DHT key.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    /// First 8 bytes of the SHA-256 of its envelope, little-endian.
    #[prost(fixed64, tag = "2")]
    pub(crate) short_hash: u64,
}

/// Records as they travel by gossip and sync.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Records {
    /// The records that are here, in the order asked for.
    #[prost(message, repeated, tag = "1")]
    pub(crate) records: Vec<WireRecord>,
}

/// A key with its envelope, unverified.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct WireRecord {
    /// The DHT key.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    /// The signed envelope.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) envelope: Vec<u8>,
}

/// Name of the protocol on this chain: nodes of another genesis have nothing in common.
pub(crate) fn protocol(genesis_id: GenesisId) -> StreamProtocol {
    let name = format!("/pol-ai/{}/exchange/1", short_name(genesis_id));
    StreamProtocol::try_from_owned(name).unwrap_or(StreamProtocol::new("/pol-ai/exchange/1"))
}

/// Reads and writes exchanges, never more than the limits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Codec;

async fn read<M: prost::Message + Default>(io: &mut (impl AsyncRead + Unpin + Send), most: u64) -> io::Result<M> {
    let mut bytes = Vec::new();
    let read = io.take(most.saturating_add(1)).read_to_end(&mut bytes).await?;
    if u64::try_from(read).is_ok_and(|read| read > most) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("exchange message of more than {most} bytes")));
    }
    M::decode(bytes.as_slice()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn write<M: prost::Message>(io: &mut (impl AsyncWrite + Unpin + Send), message: M) -> io::Result<()> {
    io.write_all(&message.encode_to_vec()).await?;
    io.close().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    /// `None`: the peer sent something else, or too much. The library tells nobody of a request that fails to be read.
    type Request = Option<Request>;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Option<Request>>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read(io, REQUEST_BYTES_MAX).await {
            Ok(request) => Ok(Some(request)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, RESPONSE_BYTES_MAX).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Option<Request>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, request.unwrap_or_default()).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, response).await
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec as _;

    use super::*;

    #[test]
    fn messages_survive_the_codec() {
        let request = Request { ask: Some(Ask::Chunk(AskChunk { update_id: vec![7; 32], offset: 65_536 })) };
        let mut wire = Cursor::new(Vec::new());
        block_on(Codec.write_request(&protocol(GenesisId::ZERO), &mut wire, Some(request.clone()))).unwrap();
        wire.set_position(0);
        assert_eq!(block_on(Codec.read_request(&protocol(GenesisId::ZERO), &mut wire)).unwrap(), Some(request));
    }

    #[test]
    fn a_message_over_its_limit_is_refused_without_being_kept() {
        let mut endless = futures::io::repeat(0x0a);
        assert_eq!(block_on(Codec.read_request(&protocol(GenesisId::ZERO), &mut endless)).unwrap(), None);
        let error = block_on(Codec.read_response(&protocol(GenesisId::ZERO), &mut futures::io::repeat(0))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_protocol_carries_the_chain() {
        assert_eq!(protocol(GenesisId([0x1f; 32])).as_ref(), "/pol-ai/1f1f1f1f1f1f1f1f/exchange/1");
    }
}
