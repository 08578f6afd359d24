//! How much memory hostile bytes can make a decoder take. In a test of its own, as it counts every allocation of the process.

#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32, ModelHead,
    delta::{Checked, Claims, Context, Profile, decode, encode},
    state::Shape,
};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; the counters are not part of what is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated at the highest point of a call, above what was allocated before it.
fn peak_of<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = call();
    (result, PEAK.load(Ordering::Relaxed) - before)
}

#[test]
fn decoding_takes_no_more_than_the_container_once_more() {
    for profile in [Profile::F16x20, Profile::Q2x48] {
        let shape = Shape::new(28, 1_536, 1_536, 256, 8_960).unwrap();
        let context = Context { genesis_id: GenesisId([1; 32]), shape, profile };
        let claims = Claims { model_head: ModelHead([2; 32]), slot: 0, samples: Hash32::ZERO, inner_steps: 0, tokens_seen: 0 };
        let change: Vec<i32> = (0..i32::try_from(shape.value_count()).unwrap()).map(|i| (i * 77) % 10_007 + 1).collect();
        let raw = encode(&context, &claims, &change).unwrap().sign(&SigningKey::from_bytes(&[9; 32]));
        let bytes = raw.into_bytes();
        assert_eq!(bytes.len(), 144_810);

        // The caller's bytes and the decoder's copy: twice the container in all.
        let (checked, peak) = peak_of(|| decode(&bytes, &context));
        assert!(peak <= bytes.len() + 1_024, "{peak}");
        let Ok(Checked::Delta(delta)) = checked else { panic!("refused") };
        let (count, peak) = peak_of(|| delta.changes().count());
        assert_eq!((count, peak), (delta.change_count(), 0));

        // Hostile counts and lengths buy no more than that either.
        for at in [200, 204] {
            let mut hostile = bytes.clone();
            hostile.get_mut(at..at + 4).unwrap().fill(0xff);
            let (refused, peak) = peak_of(|| decode(&hostile, &context).is_err());
            assert!(refused && peak <= bytes.len() + 1_024, "{peak}");
        }
        let long = vec![0; 10_000_000];
        let (refused, peak) = peak_of(|| decode(&long, &context).is_err());
        assert!(refused && peak == 0, "{peak}");
    }
}
