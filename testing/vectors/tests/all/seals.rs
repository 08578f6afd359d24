//! Sections 3 and 4: extraData, wire form, headers, seals, difficulty.

use core::{num::NonZeroUsize, sync::atomic::AtomicBool};

use pol_core::{
    Hash32,
    ack::{CertificateError, RawCertificate},
    committee::SeatError,
    difficulty::{DifficultyError, DifficultyRule, ParentSeal, hash_rate_suffices},
    extra_data::{ExtraData, ExtraDataError},
    header::{Header, keccak256},
    seal::{self, Miner},
    wire::{Wire, WireError, WireHead},
};
use pol_vectors::{Object, agree, cases, open};

pub(crate) fn extra_data(file: &str) {
    cases(file, |case| {
        let (parent, bytes) = (Hash32(case.bytes("header_parent_hash")), case.hex("extra_data"));
        let result = ExtraData::decode(&bytes).and_then(|data| data.check(&parent).map(|()| data));
        let error = case.error();
        let words = |e: &ExtraDataError| -> &[&str] {
            match e {
                ExtraDataError::Length { found } if *found < 64 => &["too_short"],
                ExtraDataError::Length { .. } => &["too_long"],
                ExtraDataError::ParentHash { .. } => &["parent_mismatch"],
            }
        };
        if let Some(data) = agree(case.name(), result, error.as_deref(), words) {
            let mut expect = case.object("expect");
            assert_eq!(data.update_id.0, expect.bytes("update_id"));
            assert_eq!(data.is_empty(), expect.flag("empty"));
            assert_eq!(data.encode().to_vec(), bytes);
            expect.finish();
        }
    });
}

fn check_head(name: &str, head: &WireHead, expect: &mut Object) {
    assert_eq!(head.extra_data.encode(), expect.bytes("extra_data"), "{name}");
    assert_eq!(head.nonce, expect.num::<u64>("nonce"), "{name}");
    assert_eq!(head.difficulty, expect.num::<u64>("difficulty"), "{name}");
}

enum BeaconError {
    Wire(WireError),
    Certificate(CertificateError),
}

impl core::fmt::Display for BeaconError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Wire(e) => e.fmt(f),
            Self::Certificate(e) => e.fmt(f),
        }
    }
}

/// The beacon's view of layout only. That an update needs a certificate is section 9's rule, which this file does not ask: our reader
/// refuses it already, and then the head is compared without a trailer.
fn beacon_view(bytes: &[u8]) -> Result<(WireHead, Option<RawCertificate>), BeaconError> {
    match Wire::decode(bytes) {
        Ok(wire) if wire.trailer().is_empty() => Ok((*wire.head(), None)),
        Ok(wire) => {
            let certificate = RawCertificate::decode(wire.trailer()).map_err(BeaconError::Certificate)?;
            Ok((*wire.head(), Some(certificate)))
        }
        Err(WireError::CertificateMissing { .. }) => Ok((WireHead::read(bytes).map_err(BeaconError::Wire)?, None)),
        Err(error) => Err(BeaconError::Wire(error)),
    }
}

pub(crate) fn wire(file: &str) {
    let words = |e: &BeaconError| -> &[&str] {
        match e {
            BeaconError::Wire(WireError::Short { .. }) => &["too_short"],
            BeaconError::Wire(WireError::Long { .. }) => &["too_long"],
            BeaconError::Wire(WireError::TrailerLength { .. }) => &["wrong_length", "n_out_of_range"],
            BeaconError::Certificate(CertificateError::Length { .. }) => &["wrong_length"],
            BeaconError::Certificate(CertificateError::Seats(SeatError::Size { .. })) => &["n_out_of_range"],
            _ => &[],
        }
    };
    cases(file, |case| {
        let bytes = case.hex("wire");
        let mut execution = case.object("execution");
        let error = execution.error();
        let head = WireHead::read(&bytes).map_err(BeaconError::Wire);
        if let Some(head) = agree(case.name(), head, error.as_deref(), words) {
            check_head(case.name(), &head, &mut execution);
            assert_eq!(head.encode(), bytes[..80]);
        }
        execution.finish();
        let mut beacon = case.object("beacon");
        let error = beacon.error();
        if let Some((head, certificate)) = agree(case.name(), beacon_view(&bytes), error.as_deref(), words) {
            check_head(case.name(), &head, &mut beacon);
            let expect = beacon.maybe("certificate");
            assert_eq!(expect.is_some(), certificate.is_some(), "{}", case.name());
            if let (Some(mut expect), Some(found)) = (expect, certificate) {
                assert_eq!(found.result_root.0, expect.bytes("result_root"));
                assert_eq!(found.seats.seats(), expect.num::<usize>("n"));
                assert_eq!(found.seats.to_bytes(), expect.hex("bits"));
                assert_eq!(found.signature, expect.bytes("signature"));
                assert_eq!(found.encode(), bytes[80..]);
                expect.finish();
            }
        }
        beacon.finish();
    });
}

fn header(object: &mut Object) -> (Header, Vec<u8>) {
    let extra = object.hex("extra_data");
    let header = Header {
        parent_hash: Hash32(object.bytes("parent_hash")),
        ommers_hash: Hash32(object.bytes("ommers_hash")),
        beneficiary: object.bytes("beneficiary"),
        state_root: Hash32(object.bytes("state_root")),
        transactions_root: Hash32(object.bytes("transactions_root")),
        receipts_root: Hash32(object.bytes("receipts_root")),
        logs_bloom: object.bytes("logs_bloom"),
        difficulty: object.num("difficulty"),
        number: object.num("number"),
        gas_limit: object.num("gas_limit"),
        gas_used: object.num("gas_used"),
        timestamp: object.num("timestamp"),
        extra_data: extra.clone().try_into().unwrap_or([0; 64]),
        mix_hash: Hash32(object.bytes("mix_hash")),
        nonce: object.num("nonce"),
        base_fee_per_gas: object.num("base_fee_per_gas"),
        withdrawals_root: Hash32(object.bytes("withdrawals_root")),
        blob_gas_used: object.num("blob_gas_used"),
        excess_blob_gas: object.num("excess_blob_gas"),
        parent_beacon_block_root: Hash32(object.bytes("parent_beacon_block_root")),
    };
    object.finish();
    (header, extra)
}

pub(crate) fn seal(file: &str) {
    let mut file = open(file);
    file.each("cases", |case| {
        let (header, extra) = header(&mut case.object("header"));
        assert_eq!(header.extra_data.to_vec(), extra);
        assert_eq!(header.encode(), case.hex("rlp"), "{}", case.name());
        assert_eq!(Header::decode(&header.encode()).as_ref(), Ok(&header));
        let seal_hash = header.seal_hash();
        assert_eq!(seal_hash.0, case.bytes("seal_hash"));
        assert_eq!(header.block_hash().0, case.bytes("block_hash"));
        assert_eq!(keccak256(&[&seal_hash.0, &header.nonce.to_be_bytes()]).0, case.bytes("pow_hash"));
        assert_eq!(seal::verify(&seal_hash, header.nonce, header.difficulty), Ok(()));
        let target = seal::target(header.difficulty).unwrap();
        for threads in [1, 2, 5] {
            let miner = Miner::new(NonZeroUsize::new(threads).unwrap());
            let sealed = miner.search(&seal_hash, &target, &AtomicBool::new(false)).unwrap();
            assert_eq!(sealed.nonce, header.nonce, "{}: lowest nonce with {threads} threads", case.name());
        }
    });
    file.each("checks", |check| {
        let (hash, nonce, difficulty) = (Hash32(check.bytes("seal_hash")), check.num("nonce"), check.num("difficulty"));
        assert_eq!(seal::verify(&hash, nonce, difficulty).is_ok(), check.flag("valid"), "{}", check.name());
    });
    file.each("targets", |case| {
        let (result, error) = (seal::target(case.num("difficulty")), case.error());
        if let Some(target) = agree(case.name(), result, error.as_deref(), |_| &["zero_difficulty"]) {
            assert_eq!(*target.as_bytes(), case.bytes("target"));
            for pair in case.list("hashes") {
                let hash: Hash32 = pair[0].as_str().unwrap().parse().unwrap();
                assert_eq!(target.admits(&hash), pair[1].as_bool().unwrap(), "{}: {hash}", case.name());
            }
        }
    });
    file.finish();
}

/// A public header with 31 bytes of extra data: its RLP with our encoder's fields, the extra data exchanged.
pub(crate) fn header_goerli(file: &str) {
    cases(file, |case| {
        let (header, extra) = header(&mut case.object("header"));
        let rlp = case.hex("rlp");
        assert_eq!(keccak256(&[&rlp]).0, case.bytes("block_hash"));
        // Ours: 0xb8 0x40 and 64 bytes; theirs: 0x80 + length and the bytes. The list's length follows (all are above 255).
        let ours = header.encode();
        let (from, to) = ([&[0xb8, 64][..], &[0; 64]].concat(), [&[0x80 + extra.len() as u8][..], &extra].concat());
        let at = ours.windows(from.len()).position(|window| window == from).unwrap();
        let body = [&ours[3..at], &to, &ours[at + from.len()..]].concat();
        let head = [0xf9, (body.len() >> 8) as u8, body.len() as u8];
        assert_eq!([&head[..], &body].concat(), rlp);
    });
}

pub(crate) fn difficulty(file: &str) {
    let mut file = open(file);
    file.each("cases", |case| {
        let rule = DifficultyRule::new(case.num("slot_seconds"), case.num("floor"));
        let parent = ParentSeal { difficulty: case.num("parent_difficulty"), timestamp: case.num("parent_timestamp") };
        let timestamp = case.num("timestamp");
        let result = rule.and_then(|rule| rule.child(parent, timestamp));
        let error = case.error();
        let words = |e: &DifficultyError| -> &[&str] {
            match e {
                DifficultyError::NotAfterParent { .. } => &["not_after_parent"],
                DifficultyError::Misaligned { .. } => &["not_whole_slots"],
                _ => &[],
            }
        };
        if let Some(found) = agree(case.name(), result, error.as_deref(), words) {
            assert_eq!(found, case.num::<u64>("difficulty"), "{}", case.name());
        }
    });
    file.each("runs", |run| {
        let rule = DifficultyRule::new(run.num("slot_seconds"), run.num("floor")).unwrap();
        let mut parent = ParentSeal { difficulty: run.num("genesis_difficulty"), timestamp: run.num("genesis_timestamp") };
        for block in run.list("blocks") {
            let [timestamp, difficulty] = [0, 1].map(|i| u64::try_from(pol_vectors::int(&block[i]).unwrap()).unwrap());
            assert_eq!(rule.child(parent, timestamp), Ok(difficulty), "{}", run.name());
            parent = ParentSeal { difficulty, timestamp };
        }
    });
    file.each("rates", |case| {
        let enough = hash_rate_suffices(case.num("floor"), case.num("hashes_per_second"), case.num("slot_seconds"));
        assert_eq!(enough, !case.flag("refused"), "{}", case.name());
    });
    file.finish();
}
