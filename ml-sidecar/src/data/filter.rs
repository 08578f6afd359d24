//! Which texts are worth training on.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use pol_core::sha256;

/// Words that are looked at for repetition.
const WORDS: usize = 400;
/// Lines that are looked at for repetition.
const LINES: usize = 1_000;

/// Bounds that a text must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Characters at least.
    pub least_chars: usize,
    /// Characters at most; a longer text is cut at the last white space before.
    pub most_chars: usize,
    /// Letters, of all characters that are not white space, at least.
    pub least_letters: f64,
    /// Bytes in lines that were there before, of all, at most.
    pub most_repeated_lines: f64,
    /// The most frequent word, of all words, at most. Texts of fewer than 50 words are not asked.
    pub most_frequent_word: f64,
}

impl Limits {
    /// For texts of the net.
    pub const STRICT: Self =
        Self { least_chars: 200, most_chars: 20_000, least_letters: 0.6, most_repeated_lines: 0.3, most_frequent_word: 0.2 };
    /// For files that the operator chose: only what is empty or too long.
    pub const OWN: Self =
        Self { least_chars: 1, most_chars: 20_000, least_letters: 0.0, most_repeated_lines: 1.0, most_frequent_word: 1.0 };
}

/// Why a text is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Fewer characters than asked for.
    Short,
    /// Mostly numbers, marks or code.
    FewLetters,
    /// The same lines or words over and over.
    Repetitive,
    /// The same text was there before.
    Duplicate,
}

/// Passes texts on, each once. It remembers 8 bytes of each.
#[derive(Debug)]
pub struct Filter {
    limits: Limits,
    seen: BTreeSet<u64>,
}

impl Filter {
    /// A filter that has seen nothing yet.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, seen: BTreeSet::new() }
    }

    /// The text as it is trained on, without white space around it and cut to length; or why not.
    ///
    /// # Errors
    /// The first bound that it does not keep.
    pub fn pass<'a>(&mut self, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
        let text = cut(text.trim(), self.limits.most_chars);
        let chars = text.chars().take(self.limits.least_chars).count();
        if chars < self.limits.least_chars || text.is_empty() {
            return Err(Refusal::Short);
        }
        if letters(text) < self.limits.least_letters {
            return Err(Refusal::FewLetters);
        }
        if repeated_lines(text) > self.limits.most_repeated_lines || frequent_word(text) > self.limits.most_frequent_word {
            return Err(Refusal::Repetitive);
        }
        if !self.seen.insert(fingerprint(text)) {
            return Err(Refusal::Duplicate);
        }
        Ok(without_controls(text))
    }
}

/// At most so many characters, ending at white space if there is any in the last tenth.
fn cut(text: &str, most: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(most) else { return text };
    let head = text.get(..end).unwrap_or(text);
    let least = head.len() - head.len() / 10;
    let space = head.rfind(char::is_whitespace).filter(|space| *space >= least);
    head.get(..space.unwrap_or(end)).unwrap_or(head).trim_end()
}

fn letters(text: &str) -> f64 {
    let (mut letters, mut all) = (0_u32, 0_u32);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        all = all.saturating_add(1);
        letters = letters.saturating_add(u32::from(c.is_alphabetic()));
    }
    if all == 0 { 0.0 } else { f64::from(letters) / f64::from(all) }
}

fn repeated_lines(text: &str) -> f64 {
    let mut seen = BTreeSet::new();
    let (mut repeated, mut all) = (0_usize, 0_usize);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(LINES) {
        all = all.saturating_add(line.len());
        if !seen.insert(line) {
            repeated = repeated.saturating_add(line.len());
        }
    }
    share(repeated, all)
}

fn frequent_word(text: &str) -> f64 {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = 0_usize;
    for word in text.split_whitespace().take(WORDS) {
        all += 1;
        *counts.entry(word).or_default() += 1;
    }
    if all < 50 { 0.0 } else { share(counts.values().copied().max().unwrap_or(0), all) }
}

fn share(part: usize, all: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if all == 0 { 0.0 } else { number(part) / number(all) }
}

/// The same for texts that differ in white space only.
fn fingerprint(text: &str) -> u64 {
    let words: String = text.split_whitespace().flat_map(|word| [word, " "]).collect();
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[words.as_bytes()]);
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn without_controls(text: &str) -> Cow<'_, str> {
    let is_unwanted = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{feff}';
    if text.contains(is_unwanted) { Cow::Owned(text.replace(is_unwanted, "")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<String, Refusal> {
        Filter::new(Limits::STRICT).pass(text).map(Cow::into_owned)
    }

    fn prose() -> String {
        let sentence =
            |n: usize| format!("Sentence number {n} tells of a ship that came into the harbour with barley on board. ");
        (0..5).map(sentence).collect()
    }

    #[test]
    fn prose_passes_in_every_script() {
        assert_eq!(strict(&prose()), Ok(prose().trim().to_owned()));
        assert!(strict(&"Корабль привёз ячмень и рассказал о буре. ".repeat(3).replace("бур", &prose())).is_ok());
        assert!(strict(&(0..60).map(|n| format!("第{n}艘船带着大麦来到港口。")).collect::<String>()).is_ok());
    }

    #[test]
    fn texts_without_substance_are_refused_with_the_reason() {
        assert_eq!(strict("Too short."), Err(Refusal::Short));
        assert_eq!(strict(&"1.234,56 | ".repeat(60)), Err(Refusal::FewLetters));
        assert_eq!(strict(&"Click here to accept all cookies.\n".repeat(30)), Err(Refusal::Repetitive));
        assert_eq!(strict(&"spam ham ".repeat(60)), Err(Refusal::Repetitive));
        assert_eq!(Filter::new(Limits::OWN).pass(" \n "), Err(Refusal::Short));
    }

    #[test]
    fn a_text_passes_once_however_its_spaces_lie() {
        let mut filter = Filter::new(Limits::STRICT);
        assert!(filter.pass(&prose()).is_ok());
        assert_eq!(filter.pass(&prose().replace(". ", ".\n")), Err(Refusal::Duplicate));
        assert!(filter.pass(&prose().replace("ship", "boat")).is_ok());
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        let limits = Limits { most_chars: 100, ..Limits::OWN };
        let text = Filter::new(limits).pass(&prose()).unwrap().into_owned();
        assert!((90..=100).contains(&text.chars().count()) && prose().starts_with(&format!("{text} ")), "{text}");
        assert_eq!(Filter::new(limits).pass(&"é".repeat(500)).unwrap().chars().count(), 100);
    }

    #[test]
    fn invisible_characters_are_taken_out() {
        assert_eq!(Filter::new(Limits::OWN).pass("\u{feff}a\u{0}b\tc\nd").unwrap(), "ab\tc\nd");
    }
}
