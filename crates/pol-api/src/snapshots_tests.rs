use std::sync::Arc;

use pol_core::GenesisId;

use super::*;

fn state() -> State {
    State::initial(&GenesisId([3; 32]), Shape::new(2, 24, 24, 12, 40).unwrap())
}

fn all_parts(state: &State) -> Vec<SnapshotPart> {
    let manifest = SnapshotManifest::of(state, 256, &[1, 2]);
    parts(ModelHead([1; 32]), snapshot_bytes(state.shape()), bytes_of(Arc::new(state.clone()), &manifest)).collect()
}

fn read(shape: Shape, parts: Vec<SnapshotPart>) -> Result<(Option<SnapshotManifest>, Vec<i32>), SnapshotTransferError> {
    let (mut pieces, mut manifest, mut values) = (Pieces::new(shape), None, Vec::new());
    for part in parts {
        for piece in pieces.push(part)? {
            match piece {
                Piece::Manifest(found) => manifest = Some(found),
                Piece::Values(_, _, more) => values.extend(more),
            }
        }
    }
    pieces.finish().map(|()| (manifest, values))
}

#[test]
fn a_state_goes_out_in_parts_and_comes_back_checked() {
    let state = state();
    let (manifest, values) = read(*state.shape(), all_parts(&state)).unwrap();
    assert_eq!(manifest.unwrap().root(), state.root());
    assert_eq!(State::from_values(*state.shape(), values).unwrap(), state);
}

#[test]
fn the_same_bytes_in_other_parts_are_the_same_pieces() {
    let state = state();
    let whole: Vec<u8> = all_parts(&state)
        .into_iter()
        .flat_map(|part| match part {
            SnapshotPart::Header(_) => Vec::new(),
            SnapshotPart::Chunk(chunk) => chunk.data.to_vec(),
        })
        .collect();
    for size in [1, 1_000, CHUNK_BYTES] {
        let cut = whole.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        let parts = parts(ModelHead([1; 32]), snapshot_bytes(state.shape()), cut.into_iter()).collect();
        let (_, values) = read(*state.shape(), parts).unwrap();
        assert_eq!(values, state.values());
    }
}

#[test]
fn a_changed_value_a_missing_end_and_a_size_of_another_shape_are_refused() {
    let state = state();
    let broken = |change: fn(&mut Vec<SnapshotPart>)| {
        let mut parts = all_parts(&state);
        change(&mut parts);
        read(*state.shape(), parts).unwrap_err()
    };
    let flipped = broken(|parts| {
        let Some(SnapshotPart::Chunk(last)) = parts.last_mut() else { panic!("values") };
        let mut data = last.data.to_vec();
        data[0] ^= 1;
        last.data = data.into();
    });
    assert!(matches!(flipped, SnapshotTransferError::Chunk(SnapshotError::ChunkHash { .. })), "{flipped}");
    assert!(matches!(broken(|parts| drop(parts.pop())), SnapshotTransferError::Size { .. }));
    assert!(matches!(broken(|parts| drop(parts.remove(0))), SnapshotTransferError::Transfer(ChunkError::NoHeader)));
    assert!(matches!(broken(|parts| drop(parts.remove(1))), SnapshotTransferError::Transfer(ChunkError::Offset { .. })));
    let twice = broken(|parts| parts.insert(1, parts[0].clone()));
    assert!(matches!(twice, SnapshotTransferError::Transfer(ChunkError::SecondHeader { .. })));
    let larger = Shape::new(3, 24, 24, 12, 40).unwrap();
    assert!(matches!(read(larger, all_parts(&state)), Err(SnapshotTransferError::Size { .. })));
    let longer = broken(|parts| {
        let offset = snapshot_bytes(&Shape::new(2, 24, 24, 12, 40).unwrap());
        parts.push(SnapshotPart::Chunk(Chunk { offset, data: vec![0].into() }));
    });
    assert!(matches!(longer, SnapshotTransferError::Size { .. }), "{longer}");
}
