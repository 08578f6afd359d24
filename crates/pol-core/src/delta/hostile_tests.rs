//! Every refusal of section 14 by its own error, and what no hostile byte may do.

#![allow(clippy::arithmetic_side_effects)]

mod properties;

use proptest::prelude::*;

use super::{
    Checked, CheckedDelta, Context, DeltaError, EncodeError, RawDelta, ScaleFault, ValueFault, decode, decode_structure, encode,
    encode_exact, encode_merge, encode_void, fixtures, record,
};
use crate::{GenesisId, ModelHead, UpdateId, params::DELTA_MAX_BYTES, sha256, state::Shape};

const HEAD: ModelHead = ModelHead([1; 32]);
/// Three chunks: the records begin after a bitmap of one byte.
const RECORDS_AT: usize = 209;

fn both() -> [Context; 2] {
    [fixtures::context(), fixtures::context_q2()]
}

fn container(context: &Context) -> Vec<u8> {
    let change = fixtures::dense_change(1, &context.shape);
    encode(context, &fixtures::claims(HEAD), &change).unwrap().sign(&fixtures::key(7)).into_bytes()
}

fn merge_container() -> Vec<u8> {
    let children: Vec<(UpdateId, u16)> = (0..8).map(|i| (UpdateId([i; 32]), 7)).collect();
    encode_merge(&fixtures::context().genesis_id, &fixtures::claims(HEAD), &children)
        .unwrap()
        .sign(&fixtures::key(7))
        .into_bytes()
}

fn void_container() -> Vec<u8> {
    encode_void(&fixtures::context().genesis_id, &fixtures::claims(HEAD), &ModelHead([8; 32]))
        .sign(&fixtures::key(7))
        .into_bytes()
}

/// Refusal of a container with some bytes replaced, before any signature is looked at.
fn refused(context: &Context, mut bytes: Vec<u8>, at: usize, with: &[u8]) -> DeltaError {
    bytes[at..at + with.len()].copy_from_slice(with);
    decode_structure(&bytes, context).expect_err("accepted")
}

/// Container from what was decoded, signed by the key of this seed.
fn encoded_again(delta: &CheckedDelta, context: &Context, seed: u8) -> Vec<u8> {
    let changes: Vec<(u32, i32)> = delta.changes().collect();
    let unsigned = encode_exact(context, &delta.header().claims, &changes).unwrap();
    unsigned.sign(&fixtures::key(seed)).into_bytes()
}

#[test]
fn a_signed_container_is_accepted_and_encodes_to_its_own_bytes() {
    for context in both() {
        let bytes = container(&context);
        let Ok(Checked::Delta(delta)) = decode(&bytes, &context) else { panic!("refused") };
        assert_eq!(delta.update_id(), UpdateId(sha256(&[&bytes])));
        assert_eq!(delta.header().claims, fixtures::claims(HEAD));
        assert_eq!(delta.header().trainer, fixtures::key(7).verifying_key().to_bytes());
        assert_eq!(encoded_again(&delta, &context, 7), bytes);
        assert_eq!(delta.changes().count(), delta.change_count());
        assert!(delta.changes().zip(delta.changes().skip(1)).all(|(a, b)| a.0 < b.0));
    }
    let Ok(Checked::Merge(merge)) = decode(&merge_container(), &fixtures::context()) else { panic!("refused") };
    assert_eq!(merge.children().collect::<Vec<_>>(), (0..8).map(|i| (UpdateId([i; 32]), 7)).collect::<Vec<_>>());
    let Ok(Checked::Void(void)) = decode(&void_container(), &fixtures::context()) else { panic!("refused") };
    assert_eq!((void.target(), void.as_bytes().len()), (ModelHead([8; 32]), 304));
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    for (context, bytes) in both()
        .map(|context| (context, container(&context)))
        .into_iter()
        .chain([(fixtures::context(), merge_container()), (fixtures::context(), void_container())])
    {
        for length in 0..bytes.len() {
            let error = decode_structure(&bytes[..length], &context).unwrap_err();
            let expected = if length < 272 {
                DeltaError::TooShort { found: length, expected: 272 }
            } else {
                DeltaError::Length { found: length, expected: bytes.len() }
            };
            assert_eq!(error, expected);
        }
        let mut longer = bytes.clone();
        longer.push(0);
        let error = DeltaError::Length { found: bytes.len() + 1, expected: bytes.len() };
        assert_eq!(decode_structure(&longer, &context).unwrap_err(), error);
    }
}

#[test]
fn more_than_the_limit_is_refused_before_it_is_read() {
    let error = DeltaError::TooLong { found: DELTA_MAX_BYTES + 1 };
    assert_eq!(RawDelta::new(vec![0; DELTA_MAX_BYTES + 1]).unwrap_err(), error);
    assert_eq!(RawDelta::from_slice(&[0; DELTA_MAX_BYTES + 1]).unwrap_err(), error);
    assert!(RawDelta::new(vec![0; DELTA_MAX_BYTES]).is_ok());
}

#[test]
fn every_wrong_header_field_has_its_own_error() {
    let context = fixtures::context();
    let bytes = container(&context);
    let check = |at: usize, with: &[u8], expected: DeltaError| assert_eq!(refused(&context, bytes.clone(), at, with), expected);
    check(0, b"PLD2", DeltaError::Magic { found: *b"PLD2" });
    check(4, &[2], DeltaError::Version { found: 2 });
    check(5, &[3], DeltaError::Kind { found: 3 });
    check(6, &[2], DeltaError::Profile { found: 2, expected: 1 });
    check(6, &[0], DeltaError::Profile { found: 0, expected: 1 });
    check(7, &[1], DeltaError::Padding { found: 1 });
    let found = GenesisId([0xac; 32]);
    check(8, &found.0, DeltaError::OtherGenesis { found, expected: context.genesis_id });
    for offset in 152..200 {
        check(offset, &[9], DeltaError::Reserved { offset, found: 9 });
    }
    for found in [0, 2, 4, u32::MAX] {
        check(200, &found.to_le_bytes(), DeltaError::ChunkCount { found, expected: 3 });
    }
    check(204, &[0; 4], DeltaError::Empty);
    for count in [1, 2, 4, u32::MAX] {
        let expected = 273 + 64 * usize::try_from(count).unwrap();
        check(204, &count.to_le_bytes(), DeltaError::Length { found: bytes.len(), expected });
    }
    let q2 = container(&fixtures::context_q2());
    assert_eq!(decode_structure(&q2, &context).unwrap_err(), DeltaError::Profile { found: 2, expected: 1 });
}

#[test]
fn a_bitmap_with_spare_bits_or_another_count_is_refused() {
    let context = fixtures::context();
    let bytes = container(&context);
    assert_eq!(bytes[208], 0b111);
    assert_eq!(refused(&context, bytes.clone(), 208, &[0b1111]), DeltaError::SpareBits { found: 0b1111 });
    assert_eq!(refused(&context, bytes.clone(), 208, &[0b1000_0011]), DeltaError::SpareBits { found: 0b1000_0011 });
    assert_eq!(refused(&context, bytes.clone(), 208, &[0b101]), DeltaError::PopCount { found: 2, expected: 3 });
    assert_eq!(refused(&context, bytes, 208, &[0]), DeltaError::PopCount { found: 0, expected: 3 });
}

#[test]
fn a_full_last_bitmap_byte_has_no_spare_bits() {
    // 32,768 values: exactly 8 chunks.
    let shape = Shape::new(1, 256, 256, 256, 341).unwrap();
    let context = Context { shape: Shape::new(2, 146, 146, 146, 146).unwrap(), ..fixtures::context() };
    assert_eq!((context.shape.chunk_count(), shape.chunk_count()), (8, 8));
    for context in [context, Context { shape, ..context }] {
        assert!(decode(&container(&context), &context).is_ok());
    }
}

#[test]
fn a_position_in_a_short_chunk_stays_below_its_length() {
    let context = fixtures::context();
    let length = context.shape.chunk_len(2);
    assert!(length < 4_096);
    let bytes = container(&context);
    let mut positions: [u16; 20] = core::array::from_fn(|i| u16::try_from(i).unwrap());
    for (last, accepted) in [(length - 1, true), (length, false)] {
        positions[19] = u16::try_from(last).unwrap();
        let record = record::write_f16x20(&positions, &[1; 20]);
        let mut changed = bytes.clone();
        changed[RECORDS_AT + 128..RECORDS_AT + 192].copy_from_slice(&record);
        match decode_structure(&changed, &context) {
            Ok(_) => assert!(accepted),
            Err(error) => assert_eq!((accepted, error), (false, DeltaError::PositionRange { chunk: 2, found: last, length })),
        }
    }
}

#[test]
fn every_forbidden_value_has_its_own_error() {
    let context = fixtures::context();
    for (bits, fault) in [
        (0x7e00_u16, ValueFault::Nan),
        (0xfc01, ValueFault::Nan),
        (0x7c00, ValueFault::Infinity),
        (0xfc00, ValueFault::Infinity),
        (0x0000, ValueFault::Zero),
        (0x8000, ValueFault::NegativeZero),
        (0x5400, ValueFault::TooLarge),
        (0xd400, ValueFault::TooLarge),
    ] {
        for (chunk, value) in [(0, 0), (1, 7), (2, 19)] {
            let at = RECORDS_AT + chunk * 64 + 24 + value * 2;
            let chunk = u32::try_from(chunk).unwrap();
            assert_eq!(refused(&context, container(&context), at, &bits.to_le_bytes()), DeltaError::Value { chunk, bits, fault });
        }
    }
}

#[test]
fn every_forbidden_scale_has_its_own_error() {
    let context = fixtures::context_q2();
    let with = |scale: u16, codes: u8| {
        let mut bytes = container(&context);
        let at = RECORDS_AT + 64 + 50;
        bytes[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        bytes[at + 2..at + 14].fill(codes);
        decode_structure(&bytes, &context).map(|_| ()).map_err(|error| match error {
            DeltaError::Scale { chunk: 1, bits, fault } if bits == scale => fault,
            other => panic!("{other:?}"),
        })
    };
    for scale in [0x7c00, 0xfc00, 0x7e01, 0xffff] {
        assert_eq!(with(scale, 0), Err(ScaleFault::NotFinite));
    }
    for scale in [0x0000, 0x8000, 0x8001, 0xbc00] {
        assert_eq!(with(scale, 0), Err(ScaleFault::NotPositive));
    }
    // 0x55: all -s. 0xaa: all +s. 0x57 and 0x56: one +2s or +s among -s. 0x54: one -2s.
    // 0x00, 0xff, 0x33: nothing but -2s and +2s, which twice the scale says with the other codes.
    for (scale, codes, expected) in [
        (0x4fff, 0x54, Ok(())),
        (0x4fff, 0xfe, Ok(())),
        (0x5000, 0x55, Ok(())),
        (0x5000, 0xaa, Ok(())),
        (0x53ff, 0x56, Ok(())),
        (0x5000, 0x57, Err(ScaleFault::TooLarge)),
        (0x5000, 0x54, Err(ScaleFault::TooLarge)),
        (0x5400, 0x55, Err(ScaleFault::TooLarge)),
        (0x7bff, 0xaa, Err(ScaleFault::TooLarge)),
        (0x5000, 0x00, Err(ScaleFault::TooLarge)),
        (0x4fff, 0x00, Err(ScaleFault::NotLeast)),
        (0x0001, 0xff, Err(ScaleFault::NotLeast)),
        (0x3c00, 0x33, Err(ScaleFault::NotLeast)),
    ] {
        assert_eq!(with(scale, codes), expected, "{scale:#x} {codes:#x}");
    }
}

#[test]
fn a_decoded_scale_keeps_every_value_below_64() {
    let context = fixtures::context_q2();
    let mut bytes = container(&context);
    let at = RECORDS_AT + 50;
    bytes[at..at + 2].copy_from_slice(&0x53ff_u16.to_le_bytes());
    bytes[at + 2..at + 14].fill(0x66);
    let unsigned = super::Unsigned::from_container(&bytes);
    let Checked::Delta(delta) = unsigned.sign(&fixtures::key(1)).check(&context).unwrap() else { panic!("refused") };
    let s = (64 << 24) - (1 << 19);
    assert!(delta.changes().take(48).map(|(_, v)| v).eq([s, -s].into_iter().cycle().take(48)));
}

#[test]
fn every_fault_of_a_merge_or_void_has_its_own_error() {
    let context = fixtures::context();
    let merge = merge_container();
    let check = |at: usize, with: &[u8], expected: DeltaError| assert_eq!(refused(&context, merge.clone(), at, with), expected);
    check(6, &[1], DeltaError::Profile { found: 1, expected: 0 });
    check(200, &[3], DeltaError::ChunkCount { found: 3, expected: 0 });
    for found in [0, 1, 9, u32::MAX] {
        check(204, &found.to_le_bytes(), DeltaError::ChildCount { found });
    }
    check(204, &[7], DeltaError::Length { found: merge.len(), expected: merge.len() - 34 });
    check(208 + 34, &[0; 32], DeltaError::ChildOrder { position: 1 });
    check(208 + 2 * 34, &[1; 32], DeltaError::ChildOrder { position: 2 });
    check(208 + 3 * 34 + 32, &[0; 2], DeltaError::ChildWeight { position: 3 });
    let void = void_container();
    let check = |at: usize, with: &[u8], expected: DeltaError| assert_eq!(refused(&context, void.clone(), at, with), expected);
    check(6, &[2], DeltaError::Profile { found: 2, expected: 0 });
    check(200, &[1], DeltaError::ChunkCount { found: 1, expected: 0 });
    check(204, &[2], DeltaError::VoidCount { found: 2 });
    check(204, &[0], DeltaError::VoidCount { found: 0 });
}

#[test]
fn a_container_changed_after_signing_is_refused() {
    let context = fixtures::context();
    let bytes = container(&context);
    // Claims, a value's lowest bit, R and S: structurally fine, each covered by the signature.
    for at in [40, 72, 80, 112, 116, RECORDS_AT + 24, bytes.len() - 64, bytes.len() - 32] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let structure = decode_structure(&changed, &context).unwrap();
        assert_eq!(structure.verify().unwrap_err(), DeltaError::Signature, "{at}");
    }
    let mut stolen = bytes;
    stolen[120..152].copy_from_slice(&fixtures::key(8).verifying_key().to_bytes());
    assert_eq!(decode(&stolen, &context).unwrap_err(), DeltaError::Signature);
}

#[test]
fn the_encoder_refuses_what_has_no_container() {
    let context = fixtures::context();
    let claims = fixtures::claims(HEAD);
    let expected = usize::try_from(context.shape.value_count()).unwrap();
    assert_eq!(encode(&context, &claims, &[]).unwrap_err(), EncodeError::Length { found: 0, expected });
    let sparse = fixtures::change_of(&(0..19).map(|i| (i, 5)).collect::<Vec<_>>(), &context.shape);
    assert_eq!(encode(&context, &claims, &sparse).unwrap_err(), EncodeError::Empty { needed: 20 });
    assert_eq!(encode(&fixtures::context_q2(), &claims, &sparse).unwrap_err(), EncodeError::Empty { needed: 48 });
    let merge = |children: &[(UpdateId, u16)]| encode_merge(&context.genesis_id, &claims, children).unwrap_err();
    let child = |id: u8, weight: u16| (UpdateId([id; 32]), weight);
    assert_eq!(merge(&[child(1, 1)]), EncodeError::ChildCount { found: 1 });
    assert_eq!(merge(&[child(1, 1); 9]), EncodeError::ChildCount { found: 9 });
    assert_eq!(merge(&[child(1, 1), child(1, 1)]), EncodeError::ChildOrder { position: 1 });
    assert_eq!(merge(&[child(1, 1), child(2, 0)]), EncodeError::ChildWeight { position: 1 });
}

#[test]
fn changes_that_are_no_record_exactly_are_not_encoded() {
    let claims = fixtures::claims(HEAD);
    let f16: Vec<(u32, i32)> = (0..20).map(|i| (4_096 + i * 5, 3_000)).collect();
    let q2: Vec<(u32, i32)> = (0..48).map(|i| (4_096 + i * 5, if i % 3 == 0 { -3_000 } else { 6_000 })).collect();
    for (context, good) in [(fixtures::context(), f16), (fixtures::context_q2(), q2)] {
        let ask = |list: &[(u32, i32)]| encode_exact(&context, &claims, list);
        let inexact = Err(EncodeError::Inexact { chunk: 1 });
        assert!(ask(&good).is_ok());
        assert_eq!(ask(&[]), Err(EncodeError::Empty { needed: good.len() }));
        assert_eq!(ask(&good[1..]), inexact);
        assert_eq!(ask(&[good.as_slice(), &[(8_191, 3_000)]].concat()), inexact);
        // Zero, beyond 64.0, and one more bit than FP16 has.
        for value in [0, 1 << 30, i32::MIN, 4_099, 6_001] {
            let mut list = good.clone();
            list[4].1 = value;
            assert_eq!(ask(&list), inexact, "{value}");
        }
        let mut list = good.clone();
        list.swap(2, 3);
        assert_eq!(ask(&list), inexact);
        // A chunk twice, in or out of order, and one beyond the adapter.
        let earlier: Vec<(u32, i32)> = good.iter().map(|(index, value)| (index - 4_096, *value)).collect();
        assert_eq!(ask(&[good.clone(), earlier].concat()), Err(EncodeError::Inexact { chunk: 0 }));
        let beyond: Vec<(u32, i32)> = good.iter().map(|(index, value)| (index + 8_192, *value)).collect();
        assert_eq!(ask(&beyond), Err(EncodeError::Inexact { chunk: 3 }));
    }
}

#[test]
fn chunks_with_the_most_energy_go_when_not_all_fit() {
    // 2,348 chunks; room is for 2,334 records.
    let shape = Shape::new(29, 1_544, 1_544, 256, 8_960).unwrap();
    let context = Context { shape, ..fixtures::context() };
    let chunks = shape.chunk_count();
    let room = u32::try_from((DELTA_MAX_BYTES - 272 - usize::try_from(chunks.div_ceil(8)).unwrap()) / 64).unwrap();
    assert!(chunks > room + 2);
    let mut change = vec![0_i32; usize::try_from(shape.value_count()).unwrap()];
    for chunk in 0..chunks - 1 {
        // All alike but three weaker ones: these go first, then those of highest number.
        let value = if [3, 500, 900].contains(&chunk) { 9 } else { 10 };
        let at = usize::try_from(chunk * 4_096).unwrap();
        change[at..at + 20].fill(value);
    }
    let delta = fixtures::delta_of(&context, &fixtures::claims(HEAD), &change);
    let present: Vec<u32> = delta.changes().step_by(20).map(|(index, _)| index / 4_096).collect();
    let expected: Vec<u32> =
        (0..chunks - 1).filter(|c| ![3, 500, 900].contains(c)).take(usize::try_from(room).unwrap()).collect();
    assert_eq!(present, expected);
    assert!(delta.as_bytes().len() <= DELTA_MAX_BYTES && delta.as_bytes().len() > DELTA_MAX_BYTES - 64);
}
