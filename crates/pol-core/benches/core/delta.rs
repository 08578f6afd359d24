//! Containers and the model state, at the size of a 1.5 B model (9,232,384 values).

use std::hint::black_box;

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32, ModelHead,
    aggregate::{Input, aggregate, near_copy},
    delta::{Change, Checked, CheckedDelta, Claims, Context, Profile, decode_structure, encode},
    state::{Shape, State, Undo},
};

use crate::table::{Row, median_seconds};

const DECODE_MB_PER_SECOND: f64 = 500.0;
const APPLY_MS: f64 = 60.0;
const ENCODE_MS: f64 = 400.0;

/// All rows of this part, both profiles.
pub fn rows() -> Vec<Row> {
    let shape = Shape::new(28, 1_536, 1_536, 256, 8_960).expect("a shape");
    let genesis_id = GenesisId([1; 32]);
    let mut state = State::initial(&genesis_id, shape);
    let mut rows = Vec::new();
    for profile in [Profile::F16x20, Profile::Q2x48] {
        let context = Context { genesis_id, shape, profile };
        rows.extend(container_rows(&context, &mut state));
    }
    let context = Context { genesis_id, shape, profile: Profile::F16x20 };
    rows.push(initial_row(&genesis_id, shape));
    rows.extend(aggregate_rows(&context));
    rows
}

fn container_rows(context: &Context, state: &mut State) -> Vec<Row> {
    let name = format!("{:?}", context.profile);
    let change = change(1, &context.shape);
    let bytes = signed(context, &change).as_bytes().to_vec();
    let megabytes = bytes.len() as f64 / 1e6;
    let decode = median_seconds(200, || {
        black_box(decode_structure(black_box(&bytes), context).expect("valid"));
    });
    let verify = median_seconds(50, || {
        let structure = decode_structure(black_box(&bytes), context).expect("valid");
        black_box(structure.verify().expect("signed"));
    });
    let encode = median_seconds(5, || {
        black_box(encode(context, &claims(1), black_box(&change)).expect("changes"));
    });
    let delta = Change::from(signed(context, &change));
    let mut undo: Option<Undo> = None;
    let apply = median_seconds(20, || {
        undo = match undo.take() {
            None => Some(state.apply(&delta).expect("within bounds").undo),
            Some(undo) => state.undo(&undo).map(|_| None).expect("applied last"),
        };
    });
    if let Some(undo) = undo {
        state.undo(&undo).expect("applied last");
    }
    vec![
        row(
            format!("{name} decode and check, {} bytes, no curve operation", bytes.len()),
            format!("{:.0} us", decode * 1e6),
            format!("{:.0} MB/s", megabytes / decode),
            ">= 500 MB/s",
            megabytes / decode >= DECODE_MB_PER_SECOND,
        ),
        absolute(format!("{name} decode and check with signature"), verify * 1e3),
        row(
            format!("{name} apply or undo, all 2,254 chunks, Merkle root"),
            format!("{:.1} ms", apply * 1e3),
            format!("{:.1} ms", apply * 1e3),
            "<= 60 ms",
            apply * 1e3 <= APPLY_MS,
        ),
        row(
            format!("{name} encode 9,232,384 values"),
            format!("{:.0} ms", encode * 1e3),
            format!("{:.0} ms", encode * 1e3),
            "<= 400 ms",
            encode * 1e3 <= ENCODE_MS,
        ),
    ]
}

fn initial_row(genesis_id: &GenesisId, shape: Shape) -> Row {
    let seconds = median_seconds(3, || {
        black_box(State::initial(genesis_id, shape));
    });
    absolute("initial state, 9,232,384 values".to_owned(), seconds * 1e3)
}

fn aggregate_rows(context: &Context) -> Vec<Row> {
    let inputs: Vec<Input> = (0..16)
        .map(|i| Input { delta: signed(context, &change(i + 1, &context.shape)), gain: 5, first_seen: u64::from(i) })
        .collect();
    let pair = median_seconds(20, || {
        black_box(near_copy(&inputs[0].delta, &inputs[1].delta));
    });
    let whole = median_seconds(3, || {
        black_box(aggregate(&inputs, |plan| Some(plan.change().norm() as i64)).expect("one head"));
    });
    vec![
        absolute("overlap of two full deltas".to_owned(), pair * 1e3),
        absolute("aggregate 16 full deltas (Multi-Krum, merge of 7)".to_owned(), whole * 1e3),
    ]
}

fn row(what: String, ours: String, figure: String, target: &'static str, met: bool) -> Row {
    Row { what, ours, against: "-".to_owned(), figure, target, met }
}

fn absolute(what: String, milliseconds: f64) -> Row {
    let ours = format!("{milliseconds:.2} ms");
    Row { what, ours: ours.clone(), against: "-".to_owned(), figure: ours, target: "-", met: true }
}

const fn claims(seed: u32) -> Claims {
    Claims { model_head: ModelHead([2; 32]), slot: 9, samples: Hash32::ZERO, inner_steps: 64, tokens_seen: 1_000 * seed }
}

/// A dense change with bell-shaped values: xorshift bits, eight of them summed.
fn change(seed: u32, shape: &Shape) -> Vec<i32> {
    let mut bits = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..shape.value_count())
        .map(|_| {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            bits.to_le_bytes().iter().map(|byte| i32::from(*byte) - 127).sum::<i32>() * 16
        })
        .collect()
}

fn signed(context: &Context, change: &[i32]) -> CheckedDelta {
    let claims = claims(change[0].unsigned_abs());
    let raw = encode(context, &claims, change).expect("changes").sign(&SigningKey::from_bytes(&[7; 32]));
    match raw.check(context).expect("our own") {
        Checked::Delta(delta) => delta,
        other => panic!("not a delta: {other:?}"),
    }
}
