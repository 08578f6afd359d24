//! Sections 6.1 and 15: shapes, states, folds, aggregation.

use std::collections::BTreeMap;

use pol_core::{
    GenesisId, ModelHead, UpdateId,
    aggregate::{Choice, Input, KrumError, aggregate as decide, krum_scores, near_copy, overlap, weights},
    delta::{Checked, CheckedDelta, Context, Profile, decode},
    model_head, sha256,
    state::{
        Ancestry, Factor, ManifestError, Outcome, Projection, Shape, ShapeError, SnapshotLeaves, SnapshotManifest, State, Tensor,
        Transition, Undo, fold, leaf_hash, snapshot_bytes,
    },
};
use pol_vectors::{Object, agree, int, open};
use serde_json::Value;

use crate::pld1::{Shared, blobs, pairs, shape, zero_words};

const fn letters(projection: Projection) -> &'static str {
    match projection {
        Projection::Q => "q",
        Projection::K => "k",
        Projection::V => "v",
        Projection::O => "o",
        Projection::Gate => "gate",
        Projection::Up => "up",
        Projection::Down => "down",
    }
}

fn ints(value: &Value) -> Vec<i32> {
    value.as_array().unwrap().iter().map(|v| i32::try_from(int(v).unwrap()).unwrap()).collect()
}

fn tensor_row(tensor: &Tensor) -> Value {
    let side = if tensor.factor == Factor::A { "A" } else { "B" };
    let module = letters(tensor.module.projection);
    serde_json::json!([side, tensor.module.layer, module, tensor.rows, tensor.columns, tensor.range.start])
}

fn check_shape(case: &mut Object) {
    let mut numbers = case.object("shape");
    let [layers, hidden, query, key_value, intermediate] =
        ["layers", "hidden", "query", "key_value", "intermediate"].map(|key| numbers.num(key));
    numbers.finish();
    let (result, error) = (Shape::new(layers, hidden, query, key_value, intermediate), case.error());
    let words = |e: &ShapeError| -> &[&str] {
        match e {
            ShapeError::Range { .. } => &["out_of_range"],
            ShapeError::Values { .. } => &["shape_too_large"],
        }
    };
    let Some(shape) = agree(case.name(), result, error.as_deref(), words) else {
        if case.has("values") {
            let expected = case.num::<u64>("values");
            let found = Shape::new(layers, hidden, query, key_value, intermediate);
            assert_eq!(found, Err(ShapeError::Values { found: expected }));
        }
        return;
    };
    assert_eq!(shape.value_count(), case.num::<u32>("values"), "{}", case.name());
    assert_eq!(shape.chunk_count(), case.num::<u32>("chunks"));
    assert_eq!(shape.chunk_len(shape.chunk_count() - 1), case.num::<u32>("last_chunk"));
    let rows: Vec<Value> = shape.tensors().map(|tensor| tensor_row(&tensor)).collect();
    let listed = case.list("tensors");
    assert!(listed.iter().all(|row| rows.contains(row)), "{}", case.name());
    if listed.len() < rows.len() && !listed.is_empty() {
        assert!(rows.starts_with(&listed[..8]) && rows.ends_with(&listed[8..]));
    } else if !listed.is_empty() {
        assert_eq!(rows, listed);
    }
}

fn check_initial(case: &mut Object) {
    let (genesis_id, shape) = (GenesisId(case.bytes("genesis_id")), shape(&mut case.object("shape")));
    let state = State::initial(&genesis_id, shape);
    assert_eq!(state.root().0, case.bytes("result_root"), "{}", case.name());
    assert_eq!(leaf_hash(state.chunk(0).unwrap()), case.bytes("first_leaf"));
    for (tensor, row) in shape.tensors().zip(case.list("first_and_last")) {
        assert_eq!((tensor.factor, row[0].as_u64()), (Factor::A, Some(u64::from(tensor.module.layer))));
        assert_eq!(row[1].as_str(), Some(letters(tensor.module.projection)));
        let values = &state.values()[tensor.range.start as usize..tensor.range.end as usize];
        assert!(values.starts_with(&ints(&row[2])) && values.ends_with(&ints(&row[3])), "{}", case.name());
    }
    let b = &state.values()[shape.a_count() as usize..];
    assert!(b.iter().all(|value| *value == 0));
}

/// One A tensor with `in` inputs, in the smallest adapter that has it.
fn check_bounds(case: &mut Object) {
    let (genesis_id, inputs, index) = (GenesisId(case.bytes("genesis_id")), case.num("in"), case.num::<u32>("tensor"));
    let width = |modules: &[u32]| if modules.contains(&(index % 7)) { inputs } else { 1 };
    let Ok(shape) = Shape::new(index / 7 + 1, width(&[0, 1, 2, 4, 5]), width(&[3]), 1, width(&[6])) else {
        // The widest tensor of the last layer: its row is right in itself, but no adapter is that large.
        assert_eq!((inputs, index), (65_536, 1_791));
        ["first", "last", "least", "largest"].iter().for_each(|key| drop(case.take(key)));
        return;
    };
    let state = State::initial(&genesis_id, shape);
    let tensor = shape.tensors().find(|t| t.factor == Factor::A && t.index() == index).unwrap();
    assert_eq!(tensor.columns, inputs);
    let values = &state.values()[tensor.range.start as usize..tensor.range.end as usize];
    assert_eq!(values[..8], ints(&case.take("first")));
    assert_eq!(values[values.len() - 8..], ints(&case.take("last")));
    assert_eq!(values.iter().min().copied(), Some(case.num("least")), "{}", case.name());
    assert_eq!(values.iter().max().copied(), Some(case.num("largest")), "{}", case.name());
}

fn check_root(case: &mut Object) {
    if case.has("values") {
        let leaf = leaf_hash(&ints(&case.take("values")));
        assert_eq!(leaf, case.bytes("leaf"));
        assert_eq!(leaf, case.bytes("root"));
        return;
    }
    let leaves: Vec<[u8; 32]> = blobs(case, "leaves").into_iter().map(|leaf| leaf.try_into().unwrap()).collect();
    // A shape with this many chunks: hidden and query widths give 8 * (2 * hidden + ...) values; search for one.
    let chunks = u32::try_from(leaves.len()).unwrap();
    let shape = (1..=65_536).find_map(|width| Shape::new(1, 1, 1, 1, width).ok().filter(|s| s.chunk_count() == chunks)).unwrap();
    let root: [u8; 32] = case.bytes("root");
    assert_eq!(SnapshotLeaves::new(shape, leaves).unwrap().root().0, root, "{}", case.name());
}

/// What a snapshot begins with, and its last chunk checked against it.
fn check_snapshot(case: &mut Object) {
    let (shape, bytes, error) = (shape(&mut case.object("shape")), case.hex("manifest"), case.error());
    let words = |e: &ManifestError| -> &[&str] {
        match e {
            ManifestError::Length { .. } => &["wrong_length"],
            ManifestError::Version { .. } => &["unknown_version"],
            ManifestError::Norms { .. } => &["too_many_norms"],
            ManifestError::Unused => &["unused_not_zero"],
            ManifestError::Leaves(_) => &[],
        }
    };
    let found = SnapshotManifest::decode(shape, &bytes);
    let Some(manifest) = agree(case.name(), found, error.as_deref(), words) else { return };
    assert_eq!(manifest.updates, case.num::<u64>("updates"));
    assert_eq!(manifest.norms.iter().copied().map(i128::from).collect::<Vec<_>>(), case.ints("norms"), "{}", case.name());
    assert_eq!(manifest.root().0, case.bytes("result_root"), "{}", case.name());
    assert_eq!(snapshot_bytes(&shape), case.num::<u64>("bytes"));
    assert_eq!(manifest.encode(), bytes, "{}", case.name());
    let values = manifest.leaves.check_chunk(shape.chunk_count() - 1, &case.hex("last_chunk")).unwrap();
    assert_eq!(values.last(), Some(&(1 - (1 << 30))), "{}", case.name());
}

/// A chain of finalized updates, with heads and roots after each.
fn check_fold(case: &mut Object) {
    let genesis_id = GenesisId(case.bytes("genesis_id"));
    let profile = Profile::from_byte(case.num("profile")).unwrap();
    let context = Context { genesis_id, shape: shape(&mut case.object("shape")), profile };
    let mut state = State::initial(&genesis_id, context.shape);
    assert_eq!(state.root().0, case.bytes("initial_root"));
    let mut heads: Vec<ModelHead> = vec![genesis_id.into()];
    let mut undos: Vec<Undo> = Vec::new();
    case.each("steps", |step| {
        let (container, children) = (step.hex("container"), blobs(step, "children"));
        let head = *heads.last().unwrap();
        let id = UpdateId(sha256(&[&container]));
        let child = |id: &UpdateId| children.iter().find(|bytes| sha256(&[bytes]) == id.0).cloned();
        let earlier = &heads[..heads.len() - 1];
        let ancestry = |target: &ModelHead| if earlier.contains(target) { Ancestry::Proper } else { Ancestry::Not };
        let transition = fold(&context, &head, &id, Some(&container), child, ancestry).unwrap();
        let back: Vec<Undo> = match &transition {
            Transition::ReturnTo(target) => {
                let place = heads.iter().position(|known| known == target).unwrap();
                undos[place..].iter().rev().cloned().collect()
            }
            _ => Vec::new(),
        };
        let followed = state.follow(&transition, &back).unwrap();
        let reason = step.has("adds_zero").then(|| step.text("adds_zero"));
        match (&followed.outcome, &reason) {
            (Outcome::Added { .. } | Outcome::Returned, None) => {}
            (Outcome::Zero(found), Some(word)) => {
                assert!(zero_words(found).contains(&word.as_str()), "{}: {word}, found {found:?}", step.name());
            }
            other => panic!("{}: {other:?}", step.name()),
        }
        let head = model_head::child(head, id);
        assert_eq!(head.0, step.bytes("model_head"), "{}", step.name());
        assert_eq!(state.root().0, step.bytes("result_root"), "{}", step.name());
        let again = State::from_values(context.shape, state.values().to_vec()).unwrap();
        assert_eq!(again.root(), state.root(), "incremental and full hashing agree");
        heads.push(head);
        undos.push(followed.undo);
    });
    for undo in undos.iter().rev() {
        assert_eq!(state.undo(undo), Ok(undo.before()), "{}", case.name());
    }
    assert_eq!(state, State::initial(&genesis_id, context.shape), "{}: all undone", case.name());
}

pub(crate) fn state(file: &str) {
    let mut file = open(file);
    file.each("cases", check_shape);
    file.each("initial", check_initial);
    file.each("bounds", check_bounds);
    file.each("roots", check_root);
    file.each("snapshots", check_snapshot);
    file.each("folds", check_fold);
    file.finish();
}

fn id(value: &Value) -> UpdateId {
    value.as_str().unwrap().parse().unwrap()
}

pub(crate) fn aggregate(file: &str) {
    let mut file = open(file);
    let shared = Shared::read(&mut file);
    let context = shared.context("ten_chunks");
    let mut deltas: BTreeMap<UpdateId, CheckedDelta> = BTreeMap::new();
    file.each("deltas", |case| {
        let Ok(Checked::Delta(delta)) = decode(&case.hex("container"), &context) else { panic!("{}", case.name()) };
        assert!(!case.text("label").is_empty());
        assert_eq!(delta.update_id().0, case.bytes("id"));
        assert_eq!(delta.header().claims.tokens_seen, case.num::<u32>("tokens"));
        assert_eq!(delta.changes().collect::<Vec<_>>(), pairs(case, "values"));
        deltas.insert(delta.update_id(), delta);
    });
    file.each("overlaps", |case| {
        let (a, b) = (&deltas[&id(&case.take("a"))], &deltas[&id(&case.take("b"))]);
        assert_eq!(overlap(a, b), case.num::<usize>("overlap"), "{}", case.name());
        let expected = case.flag("near_copy");
        assert_eq!((near_copy(a, b), near_copy(b, a)), (expected, expected), "{}", case.name());
    });
    file.each("krum", |case| check_krum(case, &deltas));
    file.each("weights", check_weights);
    file.each("cases", |case| check_aggregate(case, &deltas));
    file.finish();
}

fn check_krum(case: &mut Object, deltas: &BTreeMap<UpdateId, CheckedDelta>) {
    let inputs: Vec<&CheckedDelta> = case.list("inputs").iter().map(|value| &deltas[&id(value)]).collect();
    let f: usize = case.num("f");
    let error = case.error();
    let words = |_: &KrumError| -> &[&str] { &["too_few_inputs"] };
    let Some(scores) = agree(case.name(), krum_scores(&inputs, f), error.as_deref(), words) else { return };
    let norms: Vec<i128> = inputs.iter().map(|delta| i128::from(delta.norm())).collect();
    assert_eq!(norms, case.ints("norms"), "{}", case.name());
    let listed: Vec<u128> = case.ints("scores").into_iter().map(|score| u128::try_from(score).unwrap()).collect();
    assert_eq!(scores, listed, "{}", case.name());
    // The vector's distances explain its scores, which are ours.
    for (i, row) in case.list("squared_distances").iter().enumerate() {
        let mut others: Vec<i128> = row.as_array().unwrap().iter().map(|d| int(d).unwrap()).collect();
        assert_eq!(others.remove(i), 0);
        others.sort_unstable();
        let nearest: i128 = others.iter().take(inputs.len() - f - 2).sum();
        assert_eq!(scores[i], u128::try_from(nearest).unwrap(), "{}", case.name());
    }
    let mut order: Vec<(u128, UpdateId)> = scores.iter().zip(&inputs).map(|(s, d)| (*s, d.update_id())).collect();
    order.sort_unstable();
    let selected: Vec<UpdateId> = case.list("selected").iter().map(id).collect();
    assert!(!selected.is_empty() && order.iter().map(|(_, id)| *id).collect::<Vec<_>>().starts_with(&selected));
}

fn check_weights(case: &mut Object) {
    let tokens: Vec<u32> = case.ints("tokens").into_iter().map(|t| u32::try_from(t).unwrap()).collect();
    let found: Vec<i128> = weights(&tokens).into_iter().map(i128::from).collect();
    assert_eq!(found, case.ints("weights"), "{}", case.name());
}

fn check_aggregate(case: &mut Object, deltas: &BTreeMap<UpdateId, CheckedDelta>) {
    let mut inputs: Vec<Input> = Vec::new();
    for row in case.list("inputs") {
        let (gain, first_seen) = (i64::try_from(int(&row[1]).unwrap()).unwrap(), row[2].as_u64().unwrap());
        inputs.push(Input { delta: deltas[&id(&row[0])].clone(), gain, first_seen });
    }
    let mut gains: BTreeMap<Vec<UpdateId>, Option<i64>> = BTreeMap::new();
    case.all("merged_gains", |row| {
        let ids = row.list("ids").iter().map(id).collect();
        let gain = int(&row.take("gain")).map(|gain| i64::try_from(gain).unwrap());
        gains.insert(ids, gain);
    });
    let mut expect = case.object("expect");
    let mut want: Option<Vec<String>> = None;
    for turn in 0..inputs.len().clamp(1, 5) {
        let mut asked = Vec::new();
        let outcome = decide(&inputs, |plan| {
            let ids: Vec<UpdateId> = plan.named().into_iter().map(|(id, _)| id).collect();
            let gain = *gains.get(&ids).unwrap_or_else(|| panic!("{}: asks for {ids:?}", case.name()));
            asked.push(ids);
            gain
        });
        let outcome = outcome.unwrap();
        asked.sort();
        assert_eq!(asked, gains.keys().cloned().collect::<Vec<_>>(), "{}: merges that are measured", case.name());
        let found = describe(&outcome.choice);
        if turn == 0 {
            let mut kept = outcome.kept.clone();
            kept.sort();
            assert_eq!(kept, expect.list("kept").iter().map(id).collect::<Vec<_>>(), "{}", case.name());
            if expect.has("selected") {
                let mut selected: Vec<UpdateId> = expect.list("selected").iter().map(id).collect();
                selected.sort();
                assert_eq!(asked, [selected], "{}: Krum's choice is what is measured", case.name());
            }
            assert_eq!(found, expected_choice(&mut expect), "{}", case.name());
            expect.finish();
        }
        assert_eq!(want.get_or_insert_with(|| found.clone()), &found, "{}: another order, another result", case.name());
        if !inputs.is_empty() {
            inputs.rotate_left(1);
        }
        if turn == 2 {
            inputs.reverse();
        }
    }
}

fn describe(choice: &Choice<'_>) -> Vec<String> {
    match choice {
        Choice::Nothing => vec![],
        Choice::Single(delta) => vec![delta.update_id().to_string()],
        Choice::Merge(plan) => plan.named().into_iter().map(|(id, weight)| format!("{id} {weight}")).collect(),
    }
}

fn expected_choice(expect: &mut Object) -> Vec<String> {
    if expect.has("nothing") {
        assert!(expect.flag("nothing"));
        vec![]
    } else if expect.has("single") {
        vec![expect.text("single")]
    } else {
        expect.list("merge").iter().map(|row| format!("{} {}", row[0].as_str().unwrap(), row[1])).collect()
    }
}
