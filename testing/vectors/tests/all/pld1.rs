//! Section 14: containers, the reference encoder, merges and voids.

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32, ModelHead,
    delta::{
        Change, Checked, CheckedDelta, Claims, Context, DeltaError, EncodeError, MergeError, Profile, ScaleFault, ValueFault,
        decode, decode_structure, encode, encode_exact, encode_merge, encode_void,
    },
    sha256,
    state::{Ancestry, FoldError, Shape, Transition, ZeroReason, fold},
};
use pol_vectors::{Object, agree, int, open};

pub(crate) type Pairs = Vec<(u32, i32)>;

pub(crate) fn shape(object: &mut Object) -> Shape {
    let shape = Shape::new(
        object.num("layers"),
        object.num("hidden"),
        object.num("query"),
        object.num("key_value"),
        object.num("intermediate"),
    );
    shape.unwrap()
}

pub(crate) fn pairs(object: &mut Object, key: &str) -> Pairs {
    let pair = |value: &serde_json::Value| {
        let [index, units] = [0, 1].map(|i| int(&value[i]).unwrap());
        (u32::try_from(index).unwrap(), i32::try_from(units).unwrap())
    };
    object.list(key).iter().map(pair).collect()
}

/// What a file's containers share.
pub(crate) struct Shared {
    genesis_id: GenesisId,
    pub(crate) head: ModelHead,
    secret: SigningKey,
    profile: Profile,
    shapes: Vec<(String, Shape)>,
}

impl Shared {
    pub(crate) fn read(file: &mut Object) -> Self {
        let profile = Profile::from_byte(file.num("profile")).unwrap();
        let mut context = file.object("context");
        let secret = SigningKey::from_bytes(&context.bytes("trainer_secret"));
        assert_eq!(secret.verifying_key().to_bytes(), context.bytes("trainer_key"));
        let mut named = context.object("shapes");
        let names = named.keys();
        let read = |name: String| {
            let mut object = named.object(&name);
            let shape = shape(&mut object);
            assert_eq!(shape.value_count(), object.num::<u32>("values"));
            assert_eq!(shape.chunk_count(), object.num::<u32>("chunks"));
            assert_eq!(shape.chunk_len(shape.chunk_count() - 1), object.num::<u32>("last_chunk"));
            object.finish();
            (name, shape)
        };
        let shapes = names.into_iter().map(read).collect();
        let shared = Self {
            genesis_id: GenesisId(context.bytes("genesis_id")),
            head: ModelHead(context.bytes("model_head")),
            secret,
            profile,
            shapes,
        };
        context.finish();
        shared
    }

    pub(crate) fn context(&self, shape: &str) -> Context {
        let (_, shape) = self.shapes.iter().find(|(name, _)| name == shape).unwrap();
        Context { genesis_id: self.genesis_id, shape: *shape, profile: self.profile }
    }
}

pub(crate) const fn words(error: &DeltaError) -> &'static [&'static str] {
    match error {
        DeltaError::TooLong { .. } => &["too_long"],
        DeltaError::TooShort { .. } => &["too_short"],
        DeltaError::Magic { .. } => &["bad_magic"],
        DeltaError::Version { .. } => &["bad_version"],
        DeltaError::Kind { .. } => &["bad_kind"],
        DeltaError::Profile { .. } => &["wrong_profile"],
        DeltaError::Padding { .. } | DeltaError::Reserved { .. } => &["reserved_not_zero"],
        DeltaError::OtherGenesis { .. } => &["wrong_genesis"],
        DeltaError::ChunkCount { .. } => &["wrong_chunk_count"],
        DeltaError::Empty => &["empty"],
        DeltaError::ChildCount { .. } => &["wrong_child_count"],
        DeltaError::VoidCount { .. } | DeltaError::PopCount { .. } => &["wrong_record_count"],
        // A length between header and counts is "too short" to one reader and "wrong" to another.
        DeltaError::Length { .. } => &["wrong_length", "too_short"],
        DeltaError::SpareBits { .. } => &["spare_bit_set"],
        DeltaError::Unary { .. } => &["wrong_high_bits"],
        DeltaError::PositionOrder { .. } => &["positions_not_increasing"],
        DeltaError::PositionRange { .. } => &["position_beyond_chunk"],
        DeltaError::Value { fault: ValueFault::Nan | ValueFault::Infinity, .. } => &["value_not_finite"],
        DeltaError::Value { fault: ValueFault::Zero | ValueFault::NegativeZero, .. } => &["value_zero"],
        DeltaError::Value { fault: ValueFault::TooLarge, .. } => &["value_too_large"],
        DeltaError::Scale { fault: ScaleFault::NotFinite, .. } => &["scale_not_finite"],
        DeltaError::Scale { fault: ScaleFault::NotPositive, .. } => &["scale_not_positive"],
        DeltaError::Scale { fault: ScaleFault::TooLarge, .. } => &["value_too_large"],
        DeltaError::Scale { fault: ScaleFault::NotLeast, .. } => &["scale_not_least"],
        DeltaError::ChildOrder { .. } => &["children_not_increasing"],
        DeltaError::ChildWeight { .. } => &["zero_weight"],
        DeltaError::Key | DeltaError::Signature => &["bad_signature"],
    }
}

fn check_cases(file: &mut Object, shared: &Shared) {
    file.each("cases", |case| {
        let context = shared.context(&case.text("shape"));
        let bytes = if case.has("zeros") {
            [case.hex("container_prefix"), vec![0; case.num("zeros")], case.hex("container_suffix")].concat()
        } else {
            case.hex("container")
        };
        let error = case.error();
        if let Some(checked) = agree(case.name(), decode(&bytes, &context), error.as_deref(), words) {
            assert_eq!(checked.update_id().0, case.bytes("update_id"), "{}", case.name());
            assert_eq!(checked.as_bytes(), bytes);
            check_decoded(&checked, &context, &mut case.object("decoded"));
            assert_eq!(decode_structure(&bytes, &context).unwrap().verify().as_ref(), Ok(&checked));
        }
    });
}

fn check_decoded(checked: &Checked, context: &Context, expect: &mut Object) {
    let (header, claims) = (checked.header(), checked.header().claims);
    assert_eq!(header.kind.byte(), expect.num::<u8>("kind"));
    let profile = if matches!(checked, Checked::Delta(_)) { context.profile.byte() } else { 0 };
    assert_eq!(profile, expect.num::<u8>("profile"));
    assert_eq!(claims.model_head.0, expect.bytes("model_head"));
    assert_eq!(claims.slot, expect.num::<u64>("slot"));
    assert_eq!(claims.samples.0, expect.bytes("commitment"));
    assert_eq!(claims.inner_steps, expect.num::<u32>("steps"));
    assert_eq!(claims.tokens_seen, expect.num::<u32>("tokens"));
    assert_eq!(header.trainer, expect.bytes("public_key"));
    match checked {
        Checked::Delta(delta) => {
            let values = pairs(expect, "values");
            assert_eq!(delta.changes().collect::<Pairs>(), values);
            let again = encode_exact(context, &claims, &values).unwrap();
            assert_eq!(
                unsigned_part(again.sign(&SigningKey::from_bytes(&[1; 32])).as_bytes()),
                unsigned_part(checked.as_bytes())
            );
        }
        Checked::Merge(merge) => {
            let named: Vec<_> = merge.children().collect();
            let listed = expect.list("children");
            let expected: Vec<_> =
                listed.iter().map(|c| (c[0].as_str().unwrap().parse().unwrap(), c[1].as_u64().unwrap() as u16)).collect();
            assert_eq!(named, expected);
            let again = encode_merge(&header.genesis_id, &claims, &named).unwrap();
            assert_eq!(
                unsigned_part(again.sign(&SigningKey::from_bytes(&[1; 32])).as_bytes()),
                unsigned_part(checked.as_bytes())
            );
        }
        Checked::Void(void) => {
            assert_eq!(void.target().0, expect.bytes("ancestor"));
            let again = encode_void(&header.genesis_id, &claims, &void.target());
            assert_eq!(
                unsigned_part(again.sign(&SigningKey::from_bytes(&[1; 32])).as_bytes()),
                unsigned_part(checked.as_bytes())
            );
        }
    }
    expect.finish();
}

/// Everything but key and signature.
fn unsigned_part(container: &[u8]) -> Vec<u8> {
    [&container[..120], &container[152..container.len() - 64]].concat()
}

/// `pld1_profile1`, `pld1_profile2`: containers, then the reference encoder.
pub(crate) fn profile(file: &str) {
    let mut file = open(file);
    let shared = Shared::read(&mut file);
    check_cases(&mut file, &shared);
    let mut encoder = file.object("encode");
    let mut header = encoder.object("header");
    let claims = Claims {
        model_head: ModelHead(header.bytes("model_head")),
        slot: header.num("slot"),
        samples: Hash32(header.bytes("commitment")),
        inner_steps: header.num("steps"),
        tokens_seen: header.num("tokens"),
    };
    header.finish();
    encoder.each("small", |case| {
        let context = shared.context(&case.text("shape"));
        let mut change = vec![0; context.shape.value_count() as usize];
        pairs(case, "change").into_iter().for_each(|(index, units)| change[index as usize] = units);
        let error = case.error();
        let words = |e: &EncodeError| -> &[&str] { if matches!(e, EncodeError::Empty { .. }) { &["empty"] } else { &[] } };
        if let Some(unsigned) = agree(case.name(), encode(&context, &claims, &change), error.as_deref(), words) {
            let container = unsigned.sign(&shared.secret).into_bytes();
            assert_eq!(hex::encode(&container), case.text("container"), "{}", case.name());
            assert_eq!(sha256(&[&container]), case.bytes("update_id"));
        }
    });
    large(&mut encoder.object("large"), &shared, &claims);
    encoder.finish();
    file.finish();
}

/// A 7 B model's adapter, where not all chunks fit: the input by its recipe, the output by its hash.
fn large(case: &mut Object, shared: &Shared, claims: &Claims) {
    let shape = shape(&mut case.object("shape"));
    assert_eq!(shape.chunk_count(), case.num::<u32>("chunks"));
    let mut change = vec![0_i32; shape.value_count() as usize];
    for chunk in 0..shape.chunk_count() {
        for t in 0..if chunk % 97 == 5 { 12_u32 } else { 60 } {
            let w = sha256(&[b"pol-ai/vectors/large", &chunk.to_le_bytes(), &t.to_le_bytes()]);
            let word = |at: usize| u32::from_le_bytes(w[at..at + 4].try_into().unwrap());
            let index = 4_096 * chunk + word(0) % shape.chunk_len(chunk);
            change[index as usize] = if chunk % 4 == 0 { 2_500 } else { (word(4) % 2_000_001) as i32 - 1_000_000 };
        }
    }
    assert_eq!(change.iter().filter(|value| **value != 0).count(), case.num::<usize>("changed_values"));
    let context = Context { shape, ..shared.context("four_chunks") };
    let container = encode(&context, claims, &change).unwrap().sign(&shared.secret).into_bytes();
    assert_eq!(container.len(), case.num::<usize>("length"));
    assert_eq!(sha256(&[&container]), case.bytes("update_id"));
    let Ok(Checked::Delta(delta)) = decode(&container, &context) else { panic!("not a delta") };
    let mut carried: Vec<i128> = delta.changes().map(|(index, _)| i128::from(index / 4_096)).collect();
    carried.dedup();
    assert_eq!(carried.len(), case.num::<usize>("records"));
    let (first, last) = (case.ints("first_chunks"), case.ints("last_chunks"));
    assert!(carried.starts_with(&first) && carried.ends_with(&last));
    case.finish();
}

/// `pld1_signature`, `pld1_void`: containers alone.
pub(crate) fn containers(file: &str) {
    let mut file = open(file);
    let shared = Shared::read(&mut file);
    check_cases(&mut file, &shared);
    file.finish();
}

fn delta(bytes: &[u8], context: &Context) -> Option<CheckedDelta> {
    match decode(bytes, context) {
        Ok(Checked::Delta(delta)) => Some(delta),
        _ => None,
    }
}

/// Hex strings of a list, decoded.
pub(crate) fn blobs(object: &mut Object, key: &str) -> Vec<Vec<u8>> {
    object.list(key).iter().map(|value| hex::decode(value.as_str().unwrap()).unwrap()).collect()
}

/// Folds a container on the head it names, with these children at hand.
fn transition(context: &Context, head: &ModelHead, container: &[u8], children: &[Vec<u8>]) -> Result<Transition, FoldError> {
    let id = pol_core::UpdateId(sha256(&[container]));
    let child = |id: &pol_core::UpdateId| children.iter().find(|bytes| sha256(&[bytes]) == id.0).cloned();
    fold(context, head, &id, Some(container), child, |_| Ancestry::Not)
}

pub(crate) const fn zero_words(reason: &ZeroReason) -> &'static [&'static str] {
    match reason {
        ZeroReason::NoUpdate => &["no_update"],
        ZeroReason::Container(error) => words(error),
        ZeroReason::OtherHead { .. } => &["wrong_head"],
        ZeroReason::Child { error, .. } => words(error),
        ZeroReason::ChildKind { .. } => &["child_wrong_kind"],
        ZeroReason::Merge(MergeError::OtherHead { .. }) => &["child_wrong_head", "bad_child"],
        ZeroReason::Merge(_) => &["child_wrong_genesis"],
        ZeroReason::NotAncestor { .. } => &["not_a_proper_ancestor"],
        ZeroReason::Bound { .. } => &["value_out_of_range"],
    }
}

pub(crate) fn merges(file: &str) {
    let mut file = open(file);
    let shared = Shared::read(&mut file);
    check_cases(&mut file, &shared);
    let context = shared.context("four_chunks");
    file.each("meanings", |case| {
        let (container, children) = (case.hex("container"), blobs(case, "children"));
        assert_eq!(sha256(&[&container]), case.bytes("update_id"));
        assert!(children.iter().all(|child| delta(child, &context).is_some()));
        let Ok(Transition::Add(change)) = transition(&context, &shared.head, &container, &children) else {
            panic!("{}: adds nothing", case.name());
        };
        assert_eq!(change.iter().collect::<Pairs>(), pairs(case, "values"), "{}", case.name());
        assert!(matches!(change, Change::Sparse(_)));
    });
    file.each("broken_children", |case| {
        let (container, children) = (case.hex("container"), blobs(case, "children"));
        let (found, wanted) = (transition(&context, &shared.head, &container, &children), case.error().unwrap());
        if wanted == "child_id_mismatch" {
            // Other bytes than the named ones say nothing about the named ones: the verdict waits for those.
            assert!(matches!(found, Err(FoldError::Missing { .. })), "{}", case.name());
            return;
        }
        let Ok(Transition::Zero(reason)) = found else { panic!("{}: adds something", case.name()) };
        assert!(zero_words(&reason).contains(&wanted.as_str()), "{}: {wanted}, found {reason:?}", case.name());
    });
    file.finish();
}
