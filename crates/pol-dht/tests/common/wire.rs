//! The exchange protocol once more, written from its description alone: what a liar says and a check asks.

/// What one node asks another.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Request {
    #[prost(oneof = "Ask", tags = "1, 2, 3, 4, 5")]
    pub(crate) ask: Option<Ask>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Ask {
    #[prost(message, tag = "1")]
    Chunk(AskChunk),
    #[prost(message, tag = "2")]
    Digests(Empty),
    #[prost(message, tag = "3")]
    Keys(AskKeys),
    #[prost(message, tag = "4")]
    Records(AskRecords),
    #[prost(message, tag = "5")]
    Snapshot(AskSnapshot),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AskSnapshot {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) model_head: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) root: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub(crate) offset: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AskChunk {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) update_id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(crate) offset: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AskKeys {
    #[prost(uint32, tag = "1")]
    pub(crate) bucket: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) after: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AskRecords {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) keys: Vec<Vec<u8>>,
}

/// The answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Response {
    #[prost(oneof = "Answer", tags = "1, 2, 3, 4, 5")]
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Answer {
    #[prost(message, tag = "1")]
    Chunk(Chunk),
    #[prost(message, tag = "2")]
    Digests(Digests),
    #[prost(message, tag = "3")]
    Keys(Keys),
    #[prost(message, tag = "4")]
    Records(Records),
    #[prost(message, tag = "5")]
    Snapshot(SnapshotPart),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SnapshotPart {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) root: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Chunk {
    #[prost(uint32, tag = "1")]
    pub(crate) size: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Digests {
    #[prost(fixed64, repeated, tag = "1")]
    pub(crate) buckets: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Keys {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<KeyEntry>,
    #[prost(bool, tag = "2")]
    pub(crate) more: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeyEntry {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    pub(crate) short_hash: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Records {
    #[prost(message, repeated, tag = "1")]
    pub(crate) records: Vec<WireRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WireRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) envelope: Vec<u8>,
}
