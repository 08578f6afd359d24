//! The files behind the corpus, and how a text is made from them.
//!
//! A file has blocks with an empty line after each; a line that begins with `%` is for people.
//! - `list NAME`, then words with `;` between them.
//! - `topic NAME`, optionally `newline` (one sentence a line) or `joined` (no space between sentences), then groups: `group LEAST MOST` and
//!   one template a line. A text takes that many different templates of each group, group after group.
//! - `{word}` in a template is an entry of the list `word`, never the same one twice in a sentence; `{word:1}` is the same entry wherever it
//!   stands in the text, and another than `{word:2}`. Entries have slots, too. Numbers of a sentence: `{a}` (15 to 60), `{b}` (2 to 12), `{sum}`, `{difference}`,
//!   `{product}`, `{twice}` (2a), in digits or, with a `w` after the name, in English words. `\n` is a new line. Other braces are themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::{draw::Draw, words};

/// Entries within entries, at most.
const DEPTH_MAX: u32 = 5;

/// A way to make texts on one topic.
#[derive(Debug)]
struct Rules {
    between: &'static str,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    least: u32,
    most: u32,
    templates: Vec<&'static str>,
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Grammar {
    lists: BTreeMap<&'static str, Vec<&'static str>>,
    topics: BTreeMap<&'static str, Rules>,
}

impl Grammar {
    /// Parses a file. They are part of the program, so mistakes in them are found by tests: here they are passed over.
    pub(super) fn parse(file: &'static str) -> Self {
        let mut grammar = Self { lists: BTreeMap::new(), topics: BTreeMap::new() };
        let mut lines = file.lines().filter(|line| !line.starts_with('%'));
        while let Some(head) = lines.next() {
            let block = lines.by_ref().take_while(|line| !line.is_empty());
            let mut words = head.split(' ');
            match (words.next(), words.next()) {
                (Some("list"), Some(name)) => {
                    grammar.lists.insert(name, block.flat_map(|line| line.split(';')).map(str::trim).collect());
                }
                (Some("topic"), Some(name)) => {
                    let between = match words.next() {
                        Some("newline") => "\n",
                        Some("joined") => "",
                        _ => " ",
                    };
                    grammar.topics.insert(name, Rules { between, groups: groups(block) });
                }
                _ => {}
            }
        }
        grammar
    }

    /// A text, when the file has the topic.
    pub(super) fn text(&self, topic: &str, draw: &mut Draw) -> Option<String> {
        let rules = self.topics.get(topic)?;
        let mut writer = Writer { lists: &self.lists, labelled: BTreeMap::new(), draw };
        let mut sentences = Vec::new();
        for group in &rules.groups {
            let count = writer.draw.number(group.least..=group.most);
            for template in writer.draw.some(&group.templates, count) {
                let sentence = writer.sentence(template);
                sentences.push(if rules.between == "\n" { sentence } else { capitalized(&sentence) });
            }
        }
        Some(sentences.join(rules.between))
    }

    /// All templates, for tests.
    #[cfg(test)]
    pub(super) fn templates(&self) -> impl Iterator<Item = &'static str> {
        self.topics.values().flat_map(|rules| &rules.groups).flat_map(|group| group.templates.iter().copied())
    }

    /// All lists, for tests.
    #[cfg(test)]
    pub(super) const fn lists(&self) -> &BTreeMap<&'static str, Vec<&'static str>> {
        &self.lists
    }
}

fn groups(lines: impl Iterator<Item = &'static str>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in lines {
        match line.strip_prefix("group ").and_then(|counts| counts.split_once(' ')) {
            Some((least, most)) => {
                let number = |text: &str| text.parse().unwrap_or_default();
                groups.push(Group { least: number(least), most: number(most), templates: Vec::new() });
            }
            None => {
                if let Some(group) = groups.last_mut() {
                    group.templates.push(line);
                }
            }
        }
    }
    groups
}

fn capitalized(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Fills the templates of one text.
struct Writer<'a> {
    lists: &'a BTreeMap<&'static str, Vec<&'static str>>,
    /// By list and label.
    labelled: BTreeMap<(&'static str, &'static str), &'static str>,
    draw: &'a mut Draw,
}

impl Writer<'_> {
    fn sentence(&mut self, template: &'static str) -> String {
        let numbers = (self.draw.number(15..=60), self.draw.number(2..=12));
        let mut used: BTreeSet<&'static str> = self.labelled.values().copied().collect();
        let mut sentence = String::new();
        self.fill(template, numbers, &mut used, 0, &mut sentence);
        sentence.replace("\\n", "\n")
    }

    fn fill(
        &mut self,
        template: &'static str,
        numbers: (u32, u32),
        used: &mut BTreeSet<&'static str>,
        depth: u32,
        sentence: &mut String,
    ) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            sentence.push_str(before);
            let slot = after.split_once('}').filter(|(name, _)| is_slot(name));
            if let Some((number, after)) = slot.and_then(|(name, after)| Some((number(name, numbers)?, after))) {
                sentence.push_str(&number);
                rest = after;
            } else if let Some((entry, after)) = slot.and_then(|(name, after)| Some((self.entry(name, used)?, after)))
                && depth < DEPTH_MAX
            {
                let start = sentence.len();
                self.fill(entry, numbers, used, depth + 1, sentence);
                correct_article(sentence, start);
                rest = after;
            } else {
                sentence.push('{');
                rest = after;
            }
        }
        sentence.push_str(rest);
    }

    fn entry(&mut self, slot: &'static str, used: &mut BTreeSet<&'static str>) -> Option<&'static str> {
        let (list, label) = slot.split_once(':').unwrap_or((slot, ""));
        if let Some(entry) = self.labelled.get(&(list, label)) {
            return Some(entry);
        }
        let entries = self.lists.get(list)?;
        let mut entry = self.draw.one(entries)?;
        // Lists are longer than sentences; a few tries find an entry that is free.
        for _ in 0..16 {
            if !used.contains(entry) {
                break;
            }
            entry = self.draw.one(entries)?;
        }
        used.insert(entry);
        if !label.is_empty() {
            self.labelled.insert((list, label), entry);
        }
        Some(entry)
    }
}

fn is_slot(name: &str) -> bool {
    let (list, label) = name.split_once(':').unwrap_or((name, "1"));
    !list.is_empty() && list.bytes().all(|byte| byte.is_ascii_lowercase()) && label.parse::<u8>().is_ok()
}

fn number(slot: &str, (a, b): (u32, u32)) -> Option<String> {
    let of = |name| {
        Some(match name {
            "a" => a,
            "b" => b,
            "sum" => a.saturating_add(b),
            "difference" => a.saturating_sub(b),
            "product" => a.saturating_mul(b),
            "twice" => a.saturating_mul(2),
            _ => return None,
        })
    };
    of(slot).map(|number| number.to_string()).or_else(|| slot.strip_suffix('w').and_then(of).map(words::english))
}

/// English `a` becomes `an` before a vowel: what begins at `start` was just put there. Words of other languages that follow a lonely `a`
/// begin with a capital.
fn correct_article(sentence: &mut String, start: usize) {
    let Some((before, value)) = sentence.split_at_checked(start) else { return };
    let article = before.strip_suffix(" ").and_then(|before| before.strip_suffix(['a', 'A']));
    let stands_alone = article.is_some_and(|before| !before.ends_with(char::is_alphanumeric));
    if stands_alone && value.starts_with(['a', 'e', 'i', 'o', 'u']) {
        sentence.insert(start - 1, 'n');
    }
}
