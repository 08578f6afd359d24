use std::collections::{BTreeMap, BTreeSet};

use pol_core::sha256;

use super::*;
use crate::texts::{DevTexts, EMBEDDED};

fn sample(count: u64) -> Vec<String> {
    Corpus::new(1, &[]).iter().take(usize::try_from(count).unwrap()).collect()
}

#[test]
fn a_text_is_the_same_bytes_on_every_machine() {
    let all: Vec<String> = Topic::ALL.into_iter().flat_map(|topic| (0..20).map(move |index| text(7, topic, index))).collect();
    // A change here changes what every devnet without a hub trains on, and is none of the protocol's.
    assert_eq!(
        hex::encode(sha256(&[all.join("\u{1e}").as_bytes()])),
        "0e3502ef557adcaff9d26168ed3f389f01a1f4450820b55ae0ddda6f196ef575"
    );
}

#[test]
fn texts_differ_by_seed_topic_and_index() {
    let texts: BTreeSet<String> = (0..200)
        .flat_map(|index| [text(1, Topic::Trade, index), text(2, Topic::Trade, index), text(1, Topic::Travel, index)])
        .collect();
    assert_eq!(texts.len(), 600);
    assert_eq!(text(1, Topic::Trade, u64::MAX), text(1, Topic::Trade, u64::MAX));
}

#[test]
fn every_topic_has_texts_and_every_slot_a_list() {
    for topic in Topic::ALL {
        assert_eq!(topic.name().parse(), Ok(topic));
        for index in 0..300 {
            let text = text(3, topic, index);
            let length = text.chars().count();
            assert!((60..=1_500).contains(&length), "{topic} {index}: {length} characters\n{text}");
            if topic != Topic::Code {
                assert!(!text.contains(['{', '}', ';']) && !text.contains("  "), "{topic} {index}\n{text}");
            }
            assert!(!text.contains(":1}") && !text.contains("\\n"), "{topic} {index}\n{text}");
        }
    }
    assert!("nothing".parse::<Topic>().is_err());
}

#[test]
fn the_files_have_no_empty_groups_and_no_short_lists() {
    let lists: BTreeMap<_, _> = GRAMMARS.iter().flat_map(|grammar| grammar.lists().clone()).collect();
    assert!(lists.len() > 60);
    for (name, words) in lists {
        let distinct: BTreeSet<_> = words.iter().collect();
        assert!(distinct.len() == words.len() && words.len() >= 4 && !words.contains(&""), "{name}: {words:?}");
    }
    assert!(GRAMMARS.iter().flat_map(Grammar::templates).count() > 250);
}

#[test]
fn nothing_of_dev_texts_is_in_the_corpus() {
    for template in GRAMMARS.iter().flat_map(Grammar::templates) {
        let fixed = template.split(['{', '}']).filter(|part| part.chars().count() >= 24);
        for part in fixed {
            assert!(!EMBEDDED.contains(part.trim()), "{part:?} is in DEV_TEXTS");
        }
    }
    let corpus = sample(4_000).join("\n");
    for text in DevTexts::embedded().texts() {
        assert!(!corpus.contains(text.as_str()), "{text}");
    }
}

/// How often each byte followed each context of at most three bytes: a language model without tensors.
#[derive(Default)]
struct Counts(BTreeMap<Vec<u8>, BTreeMap<u8, u32>>);

impl Counts {
    fn learn(&mut self, text: &str) {
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            // A shorter context learns only what is new to the longer one, so that what is repeated does not drown the rest.
            for order in (0..=at.min(3)).rev() {
                let count = self.0.entry(bytes[at - order..at].to_vec()).or_default().entry(bytes[at]).or_default();
                *count += 1;
                if *count > 1 {
                    break;
                }
            }
        }
    }

    /// Witten and Bell's interpolation: each context as far as it is known, the rest from the next shorter one.
    fn probability(&self, context: &[u8], byte: u8) -> f64 {
        let shorter = if context.is_empty() { 1.0 / 256.0 } else { self.probability(&context[1..], byte) };
        let Some(next) = self.0.get(context) else { return shorter };
        let total = f64::from(next.values().sum::<u32>());
        let kinds = next.len() as f64;
        (f64::from(next.get(&byte).copied().unwrap_or(0)) + kinds * shorter) / (total + kinds)
    }

    /// Mean loss of DEV_TEXTS, bits a byte.
    fn loss(&self) -> f64 {
        let (mut bits, mut count) = (0.0, 0);
        for text in DevTexts::embedded().texts() {
            let bytes = text.as_bytes();
            for at in 0..bytes.len() {
                bits -= self.probability(&bytes[at.saturating_sub(3)..at], bytes[at]).log2();
                count += 1;
            }
        }
        bits / f64::from(count)
    }
}

#[test]
fn whoever_has_read_more_of_the_corpus_knows_dev_texts_better() {
    let mut counts = Counts::default();
    let mut read = 0;
    let losses = [0, 20, 60, 200].map(|end| {
        sample(end).iter().skip(read).for_each(|text| counts.learn(text));
        read = usize::try_from(end).unwrap();
        let loss = counts.loss();
        println!("{end} texts: {loss:.3} bits a byte of DEV_TEXTS");
        loss
    });
    assert!((losses[0] - 8.0).abs() < 1e-9);
    assert!(losses.is_sorted_by(|before, after| *after < before * 0.99), "{losses:?}");
}

#[test]
fn sums_in_the_corpus_are_right() {
    let mut checked = 0;
    for text in (0..400).map(|index| text(5, Topic::German, index)) {
        for part in text.split_inclusive('.') {
            let numbers: Vec<u64> = part.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
            if let [a, b, sum, ..] = numbers[..]
                && part.contains(" sind ")
                && part.contains(" weniger ")
            {
                assert_eq!(a + b, sum, "{part}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50);
}

#[test]
fn numbers_are_written_as_people_write_them() {
    let cases = [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (42, "forty-two"),
        (100, "one hundred"),
        (720, "seven hundred and twenty"),
    ];
    for (number, words) in cases {
        assert_eq!(words::english(number), words);
    }
    assert_eq!(words::english(1_000), "1000");
}
