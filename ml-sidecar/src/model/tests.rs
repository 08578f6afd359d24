use super::*;
use crate::fixtures::{LLAMA, QWEN2, adapter, model, tokens};

fn close(a: &Tensor, b: &Tensor, most: f64) {
    let off = (a - b).abs().max().double_value(&[]);
    assert!(off <= most, "off by {off}");
}

#[test]
fn generating_with_a_cache_gives_the_logits_of_the_whole_sequence() {
    for config in [QWEN2, LLAMA] {
        let model = model(config);
        let adapter = adapter(&model, "cache");
        let text = tokens(&model, "text", 11);
        let whole = model.logits(Some(&adapter), &text).unwrap();
        let mut cache = KeyValueCache::new();
        let mut next = model.next_logits(Some(&adapter), &text[..6], &mut cache).unwrap();
        for place in 6..11 {
            close(&next, &whole.get(place as i64 - 1), 1e-5);
            next = model.next_logits(Some(&adapter), &text[place..=place], &mut cache).unwrap();
        }
        close(&next, &whole.get(10), 1e-5);
        assert!(matches!(model.next_logits(None, &text[..2], &mut cache), Err(ModelError::Cache { found: 2 })));
    }
}

#[test]
fn a_token_beyond_the_vocabulary_is_refused() {
    let model = model(QWEN2);
    assert!(matches!(model.logits(None, &[96, 97]), Err(ModelError::Token { found: 97, vocabulary: 97 })));
    assert!(matches!(model.logits(None, &[]), Err(ModelError::Empty)));
    assert!(matches!(model.losses(None, &[vec![1, u32::MAX, 2]]), Err(ModelError::Token { found: u32::MAX, .. })));
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let (qwen2, llama) = (model(QWEN2), model(LLAMA));
    let foreign = adapter(&llama, "x");
    let refused = qwen2.logits(Some(&foreign), &[1, 2]).unwrap_err();
    assert!(matches!(refused, ModelError::Adapter(AdapterError::Shape { .. })), "{refused}");
}

#[test]
fn an_adapter_with_zero_b_changes_nothing() {
    let model = model(QWEN2);
    let state = pol_core::state::State::initial(&pol_core::GenesisId([3; 32]), *model.shape());
    let adapter = Adapter::from_state(&state, Device::cpu()).unwrap();
    let text = tokens(&model, "text", 9);
    close(&model.logits(Some(&adapter), &text).unwrap(), &model.logits(None, &text).unwrap(), 1e-6);
}

#[test]
fn later_tokens_never_change_earlier_logits() {
    let model = model(LLAMA);
    let text = tokens(&model, "text", 9);
    let mut other = text.clone();
    other[8] = (other[8] + 1) % 89;
    let (a, b) = (model.logits(None, &text).unwrap(), model.logits(None, &other).unwrap());
    close(&a.narrow(0, 0, 8), &b.narrow(0, 0, 8), 0.0);
    assert!((a.get(8) - b.get(8)).abs().max().double_value(&[]) > 0.0);
}
