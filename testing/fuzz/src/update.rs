//! The body for containers: what an update says, encoded again, followed and undone.

use std::{cell::RefCell, sync::LazyLock};

use ed25519_dalek::{Signer as _, SigningKey};
use pol_core::{
    GenesisId, UpdateId,
    delta::{
        Checked, CheckedDelta, Context, DeltaError, Profile, decode, decode_structure, encode_exact, encode_merge, encode_void,
    },
    sha256,
    state::{
        Ancestry, FoldError, Outcome, Shape, SnapshotManifest, State, Transition, VALUE_LIMIT, ZeroReason, fold, manifest_bytes,
    },
};

use crate::body::explained;

/// Ten chunks, the last one short.
static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::new(5, 64, 64, 32, 96).expect("a shape"));
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[9; 32]));
const GENESIS: GenesisId = GenesisId([0x11; 32]);

thread_local! {
    /// Every input leaves it as it found it.
    static STATE: RefCell<State> = RefCell::new(near_the_bound());
}

/// The initial state, but in chunk 5 a growth by 2^20 units reaches the bound.
fn near_the_bound() -> State {
    let mut values = State::initial(&GENESIS, *SHAPE).values().to_vec();
    values[5 * 4_096..6 * 4_096].fill(VALUE_LIMIT - (1 << 20));
    State::from_values(*SHAPE, values).expect("a state")
}

/// The chain's profile is the first byte's lowest bit; a container without signature follows. Key and signature are put in here, or no
/// mutant would ever come further than the signature.
pub(crate) fn delta(data: &[u8]) {
    let Some((choice, unsigned)) = data.split_first() else { return };
    let profile = if choice & 1 == 0 { Profile::F16x20 } else { Profile::Q2x48 };
    let context = Context { genesis_id: GENESIS, shape: *SHAPE, profile };
    let mut container = unsigned.to_vec();
    if let Some(place) = container.get_mut(120..152) {
        place.copy_from_slice(KEY.verifying_key().as_bytes());
    }
    let length = container.len();
    container.resize(length + 64, 0);
    let Some(structure) = explained(decode_structure(&container, &context)) else { return };
    assert_eq!(structure.verify(), Err(DeltaError::Signature), "zeros are no signature");
    let message = [b"pol-ai/delta/v1".as_slice(), &sha256(&[&container[..length]])].concat();
    container[length..].copy_from_slice(&KEY.sign(&message).to_bytes());
    let checked = decode(&container, &context).expect("only the signature was wrong");
    assert_eq!(checked.as_bytes(), container);
    assert_eq!(checked.update_id(), UpdateId(sha256(&[&container])));
    assert_eq!(encoded_again(&checked, &context), container);
    if let Checked::Delta(delta) = &checked {
        assert_bounds(delta);
    }
    STATE.with_borrow_mut(|state| follow_and_undo(state, &context, &checked));
}

fn assert_bounds(delta: &CheckedDelta) {
    let changes: Vec<(u32, i32)> = delta.changes().collect();
    assert!(!changes.is_empty() && changes.len() == delta.change_count());
    assert!(changes.is_sorted_by(|a, b| a.0 < b.0) && changes.iter().all(|(index, _)| *index < SHAPE.value_count()));
    assert!(changes.iter().all(|(_, value)| *value != 0 && value.unsigned_abs() < 1 << 30));
}

/// From what was decoded, by our encoders.
fn encoded_again(checked: &Checked, context: &Context) -> Vec<u8> {
    let claims = &checked.header().claims;
    let unsigned = match checked {
        Checked::Delta(delta) => encode_exact(context, claims, &delta.changes().collect::<Vec<_>>()).expect("what was decoded"),
        Checked::Merge(merge) => encode_merge(&GENESIS, claims, &merge.children().collect::<Vec<_>>()).expect("what was decoded"),
        Checked::Void(void) => encode_void(&GENESIS, claims, &void.target()),
    };
    unsigned.sign(&KEY).into_bytes()
}

/// As a finalized update on the head it names, with no child at hand and every other head an ancestor.
fn follow_and_undo(state: &mut State, context: &Context, checked: &Checked) {
    let (head, id) = (checked.header().claims.model_head, checked.update_id());
    let before = state.root();
    let transition = match fold(context, &head, &id, Some(checked.as_bytes()), |_| None, |_| Ancestry::Proper) {
        Ok(transition) => transition,
        Err(error) => {
            assert!(matches!((checked, error), (Checked::Merge(_), FoldError::Missing { .. })));
            return;
        }
    };
    let followed = match (checked, &transition) {
        (Checked::Delta(_), Transition::Add(_)) => state.follow(&transition, &[]).expect("a change within the adapter"),
        (Checked::Void(void), Transition::ReturnTo(target)) => {
            assert_eq!(void.target(), *target);
            return;
        }
        (Checked::Void(void), Transition::Zero(ZeroReason::NotAncestor { .. })) => {
            assert_eq!(void.target(), head);
            return;
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((followed.root, followed.undo.before(), followed.undo.after()), (state.root(), before, state.root()));
    match followed.outcome {
        Outcome::Added { .. } => assert_ne!(state.root(), before),
        Outcome::Zero(reason) => assert!(matches!(reason, ZeroReason::Bound { .. }) && state.root() == before),
        Outcome::Returned => panic!("a delta returns nowhere"),
    }
    assert_eq!(state.undo(&followed.undo), Ok(before));
    assert_eq!(state.root(), before);
}

/// A manifest of a state of three values a row, and behind it what a peer says is its only chunk.
pub(crate) fn snapshot(data: &[u8]) {
    let Ok(shape) = Shape::new(1, 3, 3, 3, 3) else { return };
    let (manifest, chunk) = data.split_at_checked(manifest_bytes(&shape)).unwrap_or((data, &[]));
    let Some(manifest) = explained(SnapshotManifest::decode(shape, manifest)) else { return };
    assert_eq!(manifest.encode(), data[..manifest_bytes(&shape)]);
    if let Some(values) = explained(manifest.leaves.check_chunk(0, chunk)) {
        let state = State::from_values(shape, values).expect("what was checked is a state");
        assert_eq!(state.root(), manifest.root());
        assert_eq!(SnapshotManifest::of(&state, manifest.updates, &manifest.norms), manifest);
    }
}
