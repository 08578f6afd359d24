//! Section 12: the gate's rule, self-test, text order, caps.

use pol_core::{
    UpdateId,
    delta::{CapError, Change, SparseChange, check_module_cap, check_norm_cap},
    gate::{NanoNats, SelfTest, TextSet, Verdict, prefix_order, self_test, verdict},
};
use pol_vectors::{Object, int, open};
use serde_json::Value;

use crate::pld1::{pairs, shape};

fn loss(value: &Value) -> Option<NanoNats> {
    int(value).map(|nano| NanoNats::new(i64::try_from(nano).unwrap()).unwrap())
}

fn voter(word: &str) -> SelfTest {
    match word {
        "full" => SelfTest::Full,
        "ack_only" => SelfTest::AckOnly,
        "no_vote" => SelfTest::NoVotes,
        other => panic!("unknown voter {other}"),
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ack(_) => "ack",
        Verdict::Abstain(_) => "abstain",
        Verdict::ClearFail(_) => "clear_fail",
    }
}

fn check_caps(case: &mut Object) {
    let shape = shape(&mut case.object("shape"));
    let list = pairs(case, "change");
    let change = Change::from(SparseChange::new(list.clone()).unwrap());
    assert_eq!(change.norm(), case.num::<u64>("norm"), "{}", case.name());
    for row in case.list("modules") {
        let (layer, name) = (row[0].as_u64().unwrap() as u32, row[1].as_str().unwrap());
        let energy: i128 = list
            .iter()
            .filter(|(index, _)| {
                let (module, _) = shape.module_of(*index).unwrap();
                module.layer == layer && format!("{:?}", module.projection).to_lowercase() == name
            })
            .map(|(_, units)| i128::from(*units) * i128::from(*units))
            .sum();
        assert_eq!(energy, int(&row[2]).unwrap(), "{}: layer {layer} {name}", case.name());
    }
    let result = check_module_cap(&change, &shape);
    assert!(matches!(result, Ok(()) | Err(CapError::Module { .. })));
    assert_eq!(result.is_ok(), case.flag("passes"), "{}", case.name());
}

pub(crate) fn gate(file: &str) {
    let mut file = open(file);
    file.each("cases", |case| {
        let (before, after) = (loss(&case.take("before")), loss(&case.take("after")));
        let rows = case.list("verdicts");
        assert_eq!(rows.len(), 6);
        for row in rows {
            let texts = if row[1].as_bool().unwrap() { TextSet::Full } else { TextSet::Prefix { tokens: 2_000 } };
            let found = word(verdict(before, after, texts, voter(row[0].as_str().unwrap())));
            assert_eq!(found, row[2].as_str().unwrap(), "{}: {row}", case.name());
        }
    });
    file.each("losses", |case| {
        let found = NanoNats::from_f64_bits(u64::from_be_bytes(case.bytes("f64")));
        assert_eq!(found, loss(&case.take("nano_nats")), "{}", case.name());
    });
    file.each("self_tests", |case| {
        let read = |values: Vec<Value>| -> Vec<Option<NanoNats>> { values.iter().map(loss).collect() };
        let measured = read(case.list("measured")).try_into().unwrap();
        let reference: Vec<NanoNats> = read(case.list("reference")).into_iter().flatten().collect();
        let found = self_test(&measured, &reference.try_into().unwrap());
        assert_eq!(found, voter(&case.text("voter")), "{}", case.name());
    });
    file.each("prefixes", |case| {
        let tokens = case.ints("tokens");
        let found = prefix_order(UpdateId(case.bytes("update_id")), &case.bytes("public_key"), tokens.len() as u32);
        let order: Vec<i128> = found.iter().map(|index| i128::from(*index)).collect();
        assert_eq!(order, case.ints("order"), "{}", case.name());
        let least: usize = case.num("least_texts");
        let sum = |texts: usize| found.iter().take(texts).map(|index| tokens[*index as usize]).sum::<i128>();
        assert_eq!(sum(least), case.int("least_tokens"));
        assert!(sum(least) >= 2_000 && sum(least - 1) < 2_000);
    });
    file.each("norm_caps", |case| {
        let added: Vec<u64> = case.ints("accepted").into_iter().map(|norm| u64::try_from(norm).unwrap()).collect();
        assert_eq!(check_norm_cap(case.num("norm"), &added).is_ok(), case.flag("passes"), "{}", case.name());
    });
    file.each("module_caps", check_caps);
    file.finish();
}
