//! Text from a model: greedy, or drawn with a seed.
//!
//! # Contract
//! The same model, adapter, prompt, options and seed give the same tokens on one machine. A generation ends at one of the model's end
//! tokens, after as many tokens as were asked for, or at the model's last position.
//!
//! # What it does not protect against
//! What a model says is its own affair.

use pol_core::sha256;

use crate::{
    adapter::{Adapter, to_vec},
    model::{KeyValueCache, Model, ModelError},
};

const TAG: &[u8] = b"pol-ai/generate/v1";

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// The most probable; of equal ones the first.
    Greedy,
    /// Drawn.
    Sampled {
        /// Below 1: the probable become more probable. Above 0.
        temperature: f64,
        /// Only the most probable tokens that together have this probability.
        top_p: f64,
        /// Only so many of the most probable ones; 0: all.
        top_k: usize,
        /// Where chance begins.
        seed: u64,
    },
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The model ended the text.
    Text,
    /// As many tokens as were asked for.
    Count,
    /// No position is left in the model.
    Positions,
    /// The caller had enough.
    Stopped,
}

/// Continues a prompt by up to `count` tokens, each given to `on_token` as it comes, until that says false.
///
/// # Errors
/// [`ModelError::Empty`] without a prompt, and what the model says.
pub fn generate(
    model: &Model,
    adapter: Option<&Adapter>,
    prompt: &[u32],
    count: usize,
    choice: Choice,
    on_token: &mut dyn FnMut(u32) -> bool,
) -> Result<End, ModelError> {
    let mut cache = KeyValueCache::new();
    let mut next = prompt.to_vec();
    let mut position = prompt.len();
    for index in 0..count {
        if position >= model.config().positions as usize {
            return Ok(End::Positions);
        }
        let logits = to_vec(&model.next_logits(adapter, &next, &mut cache)?)?;
        let token = choose(&logits, choice, index as u64);
        if model.config().end_tokens.contains(&token) {
            return Ok(End::Text);
        }
        if !on_token(token) {
            return Ok(End::Stopped);
        }
        next = vec![token];
        position = position.saturating_add(1);
    }
    Ok(End::Count)
}

/// A token by its logits. Those that are not finite are never chosen; token 0 when none is.
fn choose(logits: &[f32], choice: Choice, index: u64) -> u32 {
    let mut order: Vec<(u32, f64)> =
        (0_u32..).zip(logits).filter(|(_, logit)| logit.is_finite()).map(|(token, logit)| (token, f64::from(*logit))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let best = order.first().copied().unwrap_or((0, 0.0));
    let Choice::Sampled { temperature, top_p, top_k, seed } = choice else { return best.0 };
    if top_k > 0 {
        order.truncate(top_k);
    }
    let weight = |logit: f64| ((logit - best.1) / temperature).exp();
    let total: f64 = order.iter().map(|(_, logit)| weight(*logit)).sum();
    let mut kept = 0.0;
    let nucleus = order.iter().position(|(_, logit)| {
        kept += weight(*logit);
        kept >= top_p * total
    });
    order.truncate(nucleus.map_or(order.len(), |last| last.saturating_add(1)));
    let kept: f64 = order.iter().map(|(_, logit)| weight(*logit)).sum();
    let mut left = uniform(seed, index) * kept;
    for (token, logit) in &order {
        left -= weight(*logit);
        if left < 0.0 {
            return *token;
        }
    }
    order.last().map_or(best.0, |(token, _)| *token)
}

/// In 0..1, from a seed and a place.
fn uniform(seed: u64, index: u64) -> f64 {
    let hash = sha256(&[TAG, &seed.to_le_bytes(), &index.to_le_bytes()]);
    let word = hash.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    f64::from(word) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{QWEN2, adapter, model, tokens};

    fn sampled(seed: u64) -> Choice {
        Choice::Sampled { temperature: 1.0, top_p: 1.0, top_k: 0, seed }
    }

    fn run(choice: Choice, with_adapter: bool) -> (Vec<u32>, End) {
        let model = model(QWEN2);
        let adapter = with_adapter.then(|| adapter(&model, "generate"));
        let mut found = Vec::new();
        let end = generate(&model, adapter.as_ref(), &tokens(&model, "prompt", 5), 12, choice, &mut |token| {
            found.push(token);
            true
        });
        (found, end.unwrap())
    }

    #[test]
    fn greedy_takes_what_a_pass_over_everything_says() {
        let model = model(QWEN2);
        let (found, _) = run(Choice::Greedy, false);
        let mut all = tokens(&model, "prompt", 5);
        for token in found {
            let logits = model.logits(None, &all).unwrap();
            let best = logits.f_select(0, -1).unwrap().f_argmax(0, false).unwrap().f_int64_value(&[]).unwrap();
            assert_eq!(i64::from(token), best);
            all.push(token);
        }
        assert!(all.len() > 5);
    }

    #[test]
    fn one_seed_is_one_text_and_seeds_and_adapters_matter() {
        assert_eq!(run(sampled(1), false), run(sampled(1), false));
        assert_ne!(run(sampled(1), false).0, run(sampled(2), false).0);
        assert_ne!(run(sampled(1), false).0, run(sampled(1), true).0);
    }

    #[test]
    fn drawing_follows_the_probabilities_within_what_is_allowed() {
        let logits = [0.0, (3.0_f32).ln(), f32::NAN, f32::NEG_INFINITY, (6.0_f32).ln()];
        let draw = |choice: &dyn Fn(u64) -> Choice| {
            let mut counts = [0_u32; 5];
            (0..2_000).for_each(|seed| counts[choose(&logits, choice(seed), seed) as usize] += 1);
            counts
        };
        let counts = draw(&sampled);
        for (token, expected) in [(0, 200), (1, 600), (2, 0), (3, 0), (4, 1_200)] {
            assert!(counts[token].abs_diff(expected) < 100, "{counts:?}");
        }
        let narrow = |top_p, top_k| draw(&|seed| Choice::Sampled { temperature: 1.0, top_p, top_k, seed });
        assert_eq!(narrow(0.5, 0), [0, 0, 0, 0, 2_000]);
        assert_eq!(narrow(1.0, 2)[0], 0);
        let cold = draw(&|seed| Choice::Sampled { temperature: 0.01, top_p: 1.0, top_k: 0, seed });
        assert_eq!(cold, [0, 0, 0, 0, 2_000]);
        assert_eq!(choose(&[f32::NAN], Choice::Greedy, 0), 0);
    }

    #[test]
    fn it_ends_at_the_last_position_and_when_the_caller_has_enough() {
        let mut config: serde_json::Value = serde_json::from_str(QWEN2).unwrap();
        config["max_position_embeddings"] = 7.into();
        config["eos_token_id"] = serde_json::Value::Null;
        let model = model(&config.to_string());
        let mut count = 0;
        let mut on_token = |_| {
            count += 1;
            true
        };
        let prompt = tokens(&model, "prompt", 5);
        assert_eq!(generate(&model, None, &prompt, 50, Choice::Greedy, &mut on_token).unwrap(), End::Positions);
        assert_eq!(count, 2);
        assert_eq!(generate(&model, None, &prompt, 50, Choice::Greedy, &mut |_| false).unwrap(), End::Stopped);
        assert!(matches!(generate(&model, None, &[], 1, Choice::Greedy, &mut |_| true), Err(ModelError::Empty)));
    }
}
