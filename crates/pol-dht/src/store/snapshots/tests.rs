use pol_core::{GenesisId, state::State};

use super::*;

fn shape() -> Shape {
    Shape::new(2, 24, 24, 12, 40).unwrap()
}

fn state(salt: u8) -> State {
    State::initial(&GenesisId([salt; 32]), shape())
}

fn manifest(salt: u8, updates: u64) -> SnapshotManifest {
    SnapshotManifest::of(&state(salt), updates, &[5, 6])
}

fn head(number: u8) -> ModelHead {
    ModelHead([number; 32])
}

fn open(folder: &Path) -> SnapshotStore {
    SnapshotStore::open(folder, SnapshotLimits::default()).unwrap()
}

fn put(store: &SnapshotStore, number: u8, updates: u64) -> HeldSnapshot {
    let ingest = store.begin(head(number), &manifest(number, updates), shape()).unwrap();
    for chunk in ingest.missing() {
        ingest.put(chunk, &state(number).chunk_bytes(chunk).unwrap()).unwrap();
    }
    ingest.finish().unwrap()
}

fn bytes(store: &SnapshotStore, held: &HeldSnapshot) -> Vec<u8> {
    let mut all = Vec::new();
    while u64::try_from(all.len()).unwrap() < held.bytes {
        let (found, more) = store.read(&held.name, u64::try_from(all.len()).unwrap(), 10_000).unwrap().unwrap();
        assert_eq!(found, *held);
        all.extend(more);
    }
    all
}

#[test]
fn a_snapshot_is_what_was_put_and_the_newest_two_stay_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let one = put(&store, 1, 256);
    let values: Vec<u8> = state(1).values().iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(bytes(&store, &one), [manifest(1, 256).encode(), values].concat());
    let three = put(&store, 3, 768);
    let two = put(&store, 2, 512);
    assert_eq!((store.of(head(1)), store.of(head(2)), store.usage().0), (vec![], vec![two], 2));
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.heads().into_iter().collect::<Vec<_>>(), [head(2), head(3)]);
    assert_eq!(store.of(head(3)), [three]);
    assert!(store.remove(&three.name).unwrap() && !store.remove(&three.name).unwrap());
    assert_eq!(store.read(&three.name, 0, 9).unwrap(), None);
}

#[test]
fn one_that_was_interrupted_goes_on_with_what_is_missing_even_when_its_file_was_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let ingest = store.begin(head(1), &manifest(1, 256), shape()).unwrap();
    let all = ingest.missing();
    assert!(matches!(store.begin(head(2), &manifest(2, 512), shape()), Err(SnapshotStoreError::Busy)));
    for chunk in all.iter().skip(1) {
        ingest.put(*chunk, &state(1).chunk_bytes(*chunk).unwrap()).unwrap();
    }
    drop(ingest);
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.usage().0, 0, "what is not whole is not here");
    let ingest = store.begin(head(1), &manifest(1, 256), shape()).unwrap();
    assert_eq!(ingest.missing(), [0]);
    assert!(matches!(ingest.put(0, &[0; 5]), Err(SnapshotStoreError::Chunk(_))));
    let other = state(2).chunk_bytes(0).unwrap();
    assert!(matches!(ingest.put(0, &other), Err(SnapshotStoreError::Chunk(_))), "nothing that is not committed to is written");
    assert!(matches!(ingest.finish(), Err(SnapshotStoreError::Missing { missing: 1 })));
    drop(ingest);
    // A bit flips on the disk.
    let path = store.path(&SnapshotName { head: head(1), root: manifest(1, 256).root() }, PART_SUFFIX);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let ingest = store.begin(head(1), &manifest(1, 256), shape()).unwrap();
    assert_eq!(ingest.missing(), [0, shape().chunk_count() - 1]);
    drop(ingest);
    // Another one takes its place.
    put(&store, 2, 512);
    assert!(!path.exists());
}

#[test]
fn the_budget_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let one = snapshot_bytes(&shape());
    let small = SnapshotStore::open(folder.path(), SnapshotLimits { budget_bytes: one - 1, kept: 2 }).unwrap();
    assert!(matches!(small.begin(head(1), &manifest(1, 1), shape()), Err(SnapshotStoreError::Budget { .. })));
    drop(small);
    let store = SnapshotStore::open(folder.path(), SnapshotLimits { budget_bytes: 2 * one - 1, kept: 2 }).unwrap();
    put(&store, 1, 256);
    put(&store, 2, 512);
    assert_eq!((store.usage(), store.of(head(2)).len()), ((1, one), 1));
}
