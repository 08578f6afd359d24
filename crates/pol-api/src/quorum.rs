//! The quorum service: generated messages, a bounded server and client. It only tells, so there is nothing to convert but update ids.

use tonic::transport::Channel;

use crate::limits;

/// `polai.quorum.v1`, generated from `proto/polai/quorum/v1`.
#[allow(missing_docs, clippy::as_conversions, clippy::missing_const_for_fn)]
pub mod v1 {
    tonic::include_proto!("polai.quorum.v1");
}

use v1::{quorum_client::QuorumClient, quorum_server::QuorumServer};

/// Results of one update in an answer of `Acks`.
pub const RESULTS: usize = 8;
/// Heads and results of one update in an answer of `Quorum`.
pub const TALLIES: usize = 512;
/// Slashings in an answer of `Faults`.
pub const SLASHINGS: usize = 128;

/// The quorum service with bounded messages.
pub fn server<T: v1::quorum_server::Quorum>(service: T) -> QuorumServer<T> {
    QuorumServer::new(service).max_decoding_message_size(limits::MESSAGE_BYTES).max_encoding_message_size(limits::MESSAGE_BYTES)
}

/// A client of the quorum service with bounded answers.
pub fn client(channel: Channel) -> QuorumClient<Channel> {
    QuorumClient::new(channel).max_decoding_message_size(limits::MESSAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn the_greatest_answers_fit_into_a_message() {
        let hash = || vec![1; 32].into();
        let tally = v1::Tally { model_head: hash(), result_root: hash(), acks: u32::MAX, seated: u32::MAX, quorum: true };
        let quorum = v1::QuorumResponse { tallies: vec![tally; TALLIES], ..v1::QuorumResponse::default() };
        let acks = v1::Acks { model_head: hash(), result_root: hash(), members: vec![u64::MAX; 512] };
        let acks = v1::AcksResponse { acks: vec![acks; RESULTS] };
        let slashing = v1::Slashing { validator_index: u64::MAX, ssz: vec![1; 416].into(), malfeasance: true, taken: true };
        let case = v1::FaultCase { block_root: hash(), slot: u64::MAX, proposer_index: u64::MAX, votes: u32::MAX, proven: true };
        let faults = v1::FaultsResponse { cases: vec![case; 64], slashings: vec![slashing; SLASHINGS] };
        for bytes in [quorum.encoded_len(), acks.encoded_len(), faults.encoded_len()] {
            assert!(bytes * 5 / 4 <= limits::MESSAGE_BYTES, "{bytes}");
        }
    }
}
