//! Sections 8, 9, 11: certificates at import, fault proofs, malfeasance.

use core::num::NonZeroU16;

use pol_core::{
    Hash32, ModelHead,
    ack::CertificateError,
    block::{BlockContext, BlockError, Refused, check_payload},
    bls::PublicKey,
    committee::{QuorumRule, SeatError},
    domains::Domains,
    extra_data::ExtraDataError,
    fault::{
        FaultProof, FaultProofError, FaultRules, Malfeasance, MalfeasanceError, SignedHeader, SlashingKind, SlashingPair,
        StateView, fault_tag, malfeasance_tag,
    },
    params::Preset,
    ssz::{BEACON_BLOCK_HEADER_BYTES, BeaconBlockHeader},
    wire::WireError,
};
use pol_vectors::{Object, agree, open};

use crate::records::{beacon_header, domains, validators};

const fn block_words(refused: &Refused) -> &'static [&'static str] {
    match &refused.error {
        BlockError::Wire(WireError::Short { .. }) => &["too_short"],
        BlockError::Wire(WireError::Long { .. }) => &["too_long"],
        BlockError::Wire(WireError::TrailerLength { .. }) => &["wrong_length", "n_out_of_range"],
        BlockError::Wire(WireError::CertificateMissing { .. }) => &["missing_certificate"],
        BlockError::Wire(WireError::CertificateWithoutUpdate { .. }) => &["trailer_on_empty_block"],
        BlockError::ExtraData(ExtraDataError::ParentHash { .. }) => &["parent_mismatch"],
        BlockError::ExtraData(_) => &[],
        BlockError::Certificate(CertificateError::Length { .. }) => &["wrong_length"],
        BlockError::Certificate(CertificateError::Seats(SeatError::Size { .. })) => &["n_out_of_range"],
        BlockError::Certificate(CertificateError::Seats(_)) => &["bit_beyond_committee"],
        BlockError::Certificate(CertificateError::Committee { .. }) => &["wrong_committee_size"],
        BlockError::Certificate(CertificateError::Quorum { .. }) => &["below_quorum"],
        BlockError::Certificate(CertificateError::Bls(_)) => &["bad_signature"],
        BlockError::Certificate(CertificateError::Mixed) => &[],
    }
}

pub(crate) fn certificate(file: &str) {
    let keys = validators();
    let mut file = open(file);
    let domains = domains(&mut file);
    let parent_hash = Hash32(file.bytes("parent_hash"));
    let parent_head = ModelHead(file.bytes("parent_model_head"));
    file.each("cases", |case| {
        let committee = &keys[..case.num("n")];
        let quorum = NonZeroU16::new(case.num("quorum")).map_or(QuorumRule::Auto, QuorumRule::Fixed);
        let context = BlockContext { parent_head, committee, quorum, domains: &domains };
        let (result, error) = (check_payload(&case.hex("wire"), parent_hash, &context), case.error());
        if let Err(refused) = &result {
            assert_eq!(refused.certificate_fault, case.flag("fault"), "{}: {refused}", case.name());
        }
        // Such a case breaks two rules; which one is named first is nobody's concern, who is slashable is.
        if case.name().ends_with("_wrong_parent") {
            assert!(matches!(result.unwrap_err().error, BlockError::ExtraData(_) | BlockError::Wire(WireError::Short { .. })));
            return;
        }
        if let Some(block) = agree(case.name(), result, error.as_deref(), block_words) {
            assert_eq!(block.model_head.0, case.bytes("child_model_head"), "{}", case.name());
        }
    });
    file.finish();
}

fn proof_words(error: &FaultProofError) -> &'static [&'static str] {
    match error {
        FaultProofError::Kind | FaultProofError::Mixed | FaultProofError::State { .. } => &[],
        FaultProofError::Tags(_) => &["neither_form"],
        FaultProofError::Headers => &["different_slots", "different_proposers"],
        FaultProofError::Form { version, .. } if *version != 1 => &["wrong_version"],
        FaultProofError::Form { reason, .. } if *reason != 1 => &["wrong_reason", "bad_reason"],
        FaultProofError::Form { .. } => &["reserved_not_zero"],
        FaultProofError::Seats(SeatError::BeyondEnd { .. }) => &["bit_beyond_committee"],
        FaultProofError::Seats(_) | FaultProofError::Committee { .. } => &["wrong_committee_size"],
        FaultProofError::AccusedVotes { .. } => &["accused_votes"],
        FaultProofError::SmallCommittee { .. } => &["committee_too_small"],
        FaultProofError::Quorum { .. } => &["below_quorum"],
        FaultProofError::Age { slot, state_slot, .. } if state_slot <= slot => &["too_early"],
        FaultProofError::Age { .. } => &["too_late"],
        FaultProofError::Canonical => &["canonical_block"],
        FaultProofError::Votes(_) => &["bad_vote_signature"],
        FaultProofError::Accused(_) => &["bad_header_signature"],
    }
}

const fn malfeasance_words(error: &MalfeasanceError) -> &'static [&'static str] {
    match error {
        MalfeasanceError::Kind | MalfeasanceError::Tags(_) => &["neither_form"],
        MalfeasanceError::Slot { .. } => &["slot_not_zero"],
        MalfeasanceError::Member { .. } => &["different_members"],
        MalfeasanceError::Message => &["different_bodies"],
        MalfeasanceError::SameRoot => &["same_result_root"],
        MalfeasanceError::Bls { .. } => &["bad_ack_signature"],
        MalfeasanceError::Unknown { .. } => &[],
    }
}

fn pair(ssz: &[u8]) -> SlashingPair {
    let signed = |bytes: &[u8]| {
        let (header, signature) = bytes.split_at(BEACON_BLOCK_HEADER_BYTES);
        SignedHeader {
            header: BeaconBlockHeader::from_bytes(header.try_into().unwrap()),
            signature: signature.try_into().unwrap(),
        }
    };
    assert_eq!(ssz.len(), 416);
    SlashingPair { first: signed(&ssz[..208]), second: signed(&ssz[208..]) }
}

struct Chain<'k> {
    keys: &'k [PublicKey],
    committee: Vec<u64>,
    state_slot: u64,
    canonical_root: Hash32,
    preset: Preset,
    dev_slash_small: bool,
}

impl<'k> StateView for Chain<'k> {
    type Key = &'k PublicKey;

    fn slot(&self) -> u64 {
        self.state_slot
    }

    fn public_key(&self, index: u64) -> Option<&'k PublicKey> {
        self.keys.get(usize::try_from(index).ok()?)
    }

    fn block_root(&self, _: u64) -> Option<Hash32> {
        Some(self.canonical_root)
    }

    fn committee(&self, _: u64) -> Option<Vec<u64>> {
        Some(self.committee.clone())
    }
}

fn chain(mut object: Object, keys: &[PublicKey]) -> Chain<'_> {
    let presets = [Preset::Minimal, Preset::Mainnet];
    let roots: u64 = object.num("slots_per_historical_root");
    let chain = Chain {
        keys,
        committee: object.ints("committee").into_iter().map(|i| u64::try_from(i).unwrap()).collect(),
        state_slot: object.num("state_slot"),
        canonical_root: Hash32(object.bytes("canonical_root")),
        preset: presets.into_iter().find(|preset| preset.slots_per_historical_root() == roots).unwrap(),
        dev_slash_small: object.flag("dev_slash_small"),
    };
    object.finish();
    chain
}

pub(crate) fn fault(file: &str) {
    let keys = validators();
    let mut file = open(file);
    assert_eq!(fault_tag(), file.bytes("fault_tag"));
    assert_eq!(malfeasance_tag().0, file.bytes("equiv_tag"));
    let domains = domains(&mut file);
    file.each("cases", |case| {
        let pair = pair(&case.hex("ssz"));
        assert_eq!(pair.first.header, beacon_header(&mut case.object("header_1")));
        assert_eq!(pair.second.header, beacon_header(&mut case.object("header_2")));
        let chain = case.has("chain").then(|| chain(case.object("chain"), &keys));
        let error = case.error();
        if !case.has("kind") {
            assert_eq!(error.as_deref(), Some("neither_form"), "{}", case.name());
            assert!(pair.kind().is_err(), "{}", case.name());
            return;
        }
        let kind = case.text("kind");
        let expected = match kind.as_str() {
            "plain" => SlashingKind::Plain,
            "fault_proof" => SlashingKind::Fault,
            "malfeasance" => SlashingKind::Malfeasance,
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(pair.kind(), Ok(expected), "{}", case.name());
        match expected {
            SlashingKind::Plain => assert!(error.is_none()),
            SlashingKind::Fault => check_proof(case.name(), &pair, &chain.unwrap(), domains, error.as_deref()),
            SlashingKind::Malfeasance => {
                let key_of = |index: u64| keys.get(usize::try_from(index).ok()?);
                let result = Malfeasance::decode(&pair).and_then(|evidence| evidence.verify(key_of, &domains));
                if let Some(verified) = agree(case.name(), result, error.as_deref(), malfeasance_words) {
                    assert_eq!(verified.evidence().to_pair(), pair);
                }
            }
        }
    });
    file.finish();
}

fn check_proof(name: &str, pair: &SlashingPair, chain: &Chain<'_>, domains: Domains, error: Option<&str>) {
    let rules = FaultRules { preset: chain.preset, dev_slash_small: chain.dev_slash_small, domains };
    let result = FaultProof::decode(pair).and_then(|proof| proof.verify(chain, &rules));
    if let Some(verified) = agree(name, result, error, proof_words) {
        assert_eq!(verified.proof().to_pair(), *pair, "{name}");
        assert_eq!(verified.proposer_index(), pair.first.header.proposer_index);
    }
}
