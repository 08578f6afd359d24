//! A transfer arrives exactly as announced, or not at all.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use pol_api::{
    chunks::{self, Assembled, Assembler, ChunkError, Part},
    common::v1::{Chunk, TransferHeader},
    limits::{CHUNK_BYTES, DELTA_BYTES},
};
use pol_core::{UpdateId, sha256};
use proptest::prelude::*;
use prost::bytes::Bytes;

const fn header(size: u64) -> Part {
    Part::Header(TransferHeader { size })
}

fn chunk(offset: u64, length: usize) -> Part {
    Part::Chunk(Chunk { offset, data: vec![1; length].into() })
}

fn assemble(parts: &[Part]) -> Result<Assembled, ChunkError> {
    let mut assembler = Assembler::new(DELTA_BYTES);
    for part in parts {
        assembler.push(part)?;
    }
    assembler.finish()
}

#[test]
fn a_split_transfer_comes_back_whole() {
    for length in [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, DELTA_BYTES] {
        let bytes: Bytes = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let parts: Vec<Part> = chunks::split(&bytes).collect();
        assert_eq!(parts.len(), 1 + length.div_ceil(CHUNK_BYTES));
        let id = UpdateId(sha256(&[&bytes]));
        assert_eq!(assemble(&parts).unwrap().named(id), Ok(bytes.to_vec()));
    }
}

#[test]
fn bytes_of_another_id_are_refused() {
    let whole = assemble(&[header(1), chunk(0, 1)]).unwrap();
    let (found, expected) = (whole.update_id(), UpdateId([1; 32]));
    assert_eq!(whole.named(expected), Err(ChunkError::Hash { found, expected }));
}

#[test]
fn a_size_out_of_bounds_is_refused_before_any_byte() {
    for size in [0, 150_001, u64::from(u32::MAX) + 1, u64::MAX] {
        assert_eq!(assemble(&[header(size)]), Err(ChunkError::Size { found: size, most: DELTA_BYTES }));
    }
}

#[test]
fn short_long_and_oversize_are_refused() {
    assert_eq!(assemble(&[header(3), chunk(0, 2)]), Err(ChunkError::Short { found: 2, expected: 3 }));
    assert_eq!(assemble(&[header(3)]), Err(ChunkError::Short { found: 0, expected: 3 }));
    assert_eq!(assemble(&[header(3), chunk(0, 4)]), Err(ChunkError::Long { found: 4, expected: 3 }));
    assert_eq!(assemble(&[header(3), chunk(0, 3), chunk(3, 1)]), Err(ChunkError::Long { found: 4, expected: 3 }));
    for length in [0, CHUNK_BYTES + 1, 200_000] {
        assert_eq!(assemble(&[header(150_000), chunk(0, length)]), Err(ChunkError::Chunk { found: length }));
    }
}

#[test]
fn parts_out_of_order_or_of_two_transfers_are_refused() {
    assert_eq!(assemble(&[]), Err(ChunkError::NoHeader));
    assert_eq!(assemble(&[chunk(0, 1), header(1)]), Err(ChunkError::NoHeader));
    assert_eq!(assemble(&[header(2), chunk(0, 1), header(2)]), Err(ChunkError::SecondHeader { received: 1 }));
    assert_eq!(assemble(&[header(9), chunk(0, 3), chunk(0, 3)]), Err(ChunkError::Offset { found: 0, expected: 3 }));
    assert_eq!(assemble(&[header(9), chunk(0, 3), chunk(6, 3)]), Err(ChunkError::Offset { found: 6, expected: 3 }));
    assert_eq!(assemble(&[header(9), chunk(u64::MAX, 3)]), Err(ChunkError::Offset { found: u64::MAX, expected: 0 }));
}

fn part() -> impl Strategy<Value = Part> {
    let sizes = prop_oneof![0..20_u64, Just(150_000), Just(150_001), any::<u64>()];
    let lengths = prop_oneof![0..8_usize, Just(CHUNK_BYTES), Just(CHUNK_BYTES + 1)];
    let offsets = prop_oneof![0..20_u64, any::<u64>()];
    prop_oneof![
        1 => sizes.prop_map(header),
        4 => (offsets, lengths).prop_map(|(offset, length)| chunk(offset, length)),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_the_result_is_the_announced_bytes_or_an_error(parts in prop::collection::vec(part(), 0..12)) {
        let sent: Vec<u8> = parts.iter().filter_map(|p| match p { Part::Chunk(c) => Some(c.data.to_vec()), Part::Header(_) => None }).flatten().collect();
        if let Ok(whole) = assemble(&parts) {
            prop_assert_eq!(&parts[0], &header(u64::try_from(sent.len()).unwrap()));
            prop_assert_eq!(whole.into_bytes(), sent);
        }
    }

    #[test]
    fn any_cut_into_chunks_gives_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 1..5_000), cuts in prop::collection::vec(1..700_usize, 1..40)) {
        let mut parts = vec![header(u64::try_from(bytes.len()).unwrap())];
        let (mut at, mut cuts) = (0, cuts.iter().cycle());
        while at < bytes.len() {
            let end = (at + cuts.next().unwrap()).min(bytes.len());
            parts.push(Part::Chunk(Chunk { offset: u64::try_from(at).unwrap(), data: bytes[at..end].to_vec().into() }));
            at = end;
        }
        prop_assert_eq!(assemble(&parts).unwrap().into_bytes(), bytes);
        // Any two neighbours swapped, any one left out or doubled: refused.
        for i in 0..parts.len() {
            let mut without = parts.clone();
            without.remove(i);
            prop_assert!(assemble(&without).is_err());
            let mut doubled = parts.clone();
            doubled.insert(i, parts[i].clone());
            prop_assert!(assemble(&doubled).is_err());
            if i + 1 < parts.len() {
                let mut swapped = parts.clone();
                swapped.swap(i, i + 1);
                prop_assert!(assemble(&swapped).is_err());
            }
        }
    }
}
