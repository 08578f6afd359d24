//! What holds for any change and any bytes.

use super::*;

fn any_change(shape: Shape) -> impl Strategy<Value = Vec<i32>> {
    let count = usize::try_from(shape.value_count()).unwrap();
    (any::<u64>(), prop_oneof![Just(0_u32), Just(8), Just(20)], 1_usize..400).prop_map(move |(seed, shift, every)| {
        let dense = fixtures::dense_change(seed, &shape);
        dense.into_iter().enumerate().map(|(i, v)| if i % every == 0 { v << shift } else { 0 }).take(count).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_encoder_makes_is_accepted_and_holds_the_nearest_values(change in any_change(fixtures::shape()), q2: bool) {
        let context = both()[usize::from(q2)];
        if let Ok(unsigned) = encode(&context, &fixtures::claims(HEAD), &change) {
            let Ok(Checked::Delta(delta)) = unsigned.sign(&fixtures::key(7)).check(&context) else { panic!("refused") };
            prop_assert_eq!(encoded_again(&delta, &context, 7), delta.as_bytes());
            for (index, value) in delta.changes() {
                let original = change[usize::try_from(index).unwrap()];
                prop_assert_eq!(original.signum(), value.signum());
                if !q2 {
                    let error = i64::from(original) - i64::from(value);
                    let clipped = i64::from(original).abs() > (64 << 24) - (1 << 19);
                    prop_assert!(clipped || error.abs() * 2_048 <= i64::from(original).abs(), "{} {}", original, value);
                }
            }
        }
    }

    #[test]
    fn mutated_containers_never_panic_and_encode_to_themselves_when_accepted(
        which in 0..4_usize,
        mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let context = both()[usize::from(which == 1)];
        let mut bytes = match which {
            0 | 1 => container(&context),
            2 => merge_container(),
            _ => void_container(),
        };
        for (index, value) in mutations {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if decode_structure(&bytes, &context).is_ok() {
            // Signed anew, so that the whole way is taken.
            let Ok(checked) = super::super::Unsigned::from_container(&bytes).sign(&fixtures::key(3)).check(&context) else {
                panic!("the structure was accepted")
            };
            if let Checked::Delta(delta) = &checked {
                prop_assert_eq!(encoded_again(delta, &context, 3), delta.as_bytes());
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), magic: bool) {
        let mut bytes = bytes;
        if magic && bytes.len() >= 40 {
            let good = void_container();
            bytes[..40].copy_from_slice(&good[..40]);
        }
        prop_assert!(decode(&bytes, &fixtures::context()).is_err());
    }
}
