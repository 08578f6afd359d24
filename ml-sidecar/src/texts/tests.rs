use super::*;

/// A change here is another chain: every chain.toml that was made with these texts names this hash.
const EMBEDDED_HASH: &str = "c2de613c3b036241958d3c8bc45da969dfdd8fe43047473f26c628363b82f6aa";

fn lines() -> Vec<String> {
    EMBEDDED.lines().map(str::to_owned).collect()
}

fn parse(lines: &[String]) -> Result<DevTexts, TextsError> {
    DevTexts::parse(format!("{}\n", lines.join("\n")).as_bytes())
}

/// The error when line 7 is replaced.
fn with_line_7(text: &str) -> TextsError {
    let mut lines = lines();
    lines[6] = text.to_owned();
    parse(&lines).unwrap_err()
}

#[test]
fn the_built_in_texts_have_the_form_and_the_pinned_hash() {
    let embedded = DevTexts::embedded();
    assert_eq!(DevTexts::parse(EMBEDDED.as_bytes()).unwrap(), embedded);
    assert_eq!((embedded.texts().len(), embedded.hash().to_string().as_str()), (512, EMBEDDED_HASH));
}

#[test]
fn the_built_in_texts_stand_in_the_order_of_their_hashes() {
    assert!(DevTexts::embedded().texts().is_sorted_by_key(|text| sha256(&[text.as_bytes()])));
}

#[test]
fn the_built_in_texts_read_like_sentences() {
    let ends = |text: &str| text.ends_with(['.', '?', '!', '"', '»', '。', '」', '“']);
    for text in DevTexts::embedded().texts() {
        let first = text.chars().find(|c| c.is_alphanumeric()).unwrap();
        assert!(ends(text) && !first.is_lowercase() && !text.contains("  "), "{text}");
    }
}

#[test]
fn texts_of_256_characters_of_four_bytes_pass_and_one_more_is_refused() {
    let mut lines = lines();
    lines[0] = "😀".repeat(256);
    assert!(parse(&lines).is_ok());
    lines[0].push('a');
    assert!(matches!(parse(&lines), Err(TextsError::Length { line: 1, found: 257 })));
    assert!(matches!(with_line_7(""), TextsError::Length { line: 7, found: 0 }));
}

#[test]
fn another_number_of_texts_is_refused() {
    let mut lines = lines();
    lines.push("One more.".to_owned());
    assert!(matches!(parse(&lines), Err(TextsError::Count { found: 513 })));
    lines.truncate(511);
    assert!(matches!(parse(&lines), Err(TextsError::Count { found: 511 })));
    assert!(matches!(DevTexts::parse(b""), Err(TextsError::Count { found: 0 })));
    let cut = EMBEDDED.strip_suffix('\n').unwrap();
    assert!(matches!(DevTexts::parse(cut.as_bytes()), Err(TextsError::Count { found: 511 })));
    assert!(matches!(DevTexts::parse(format!("{EMBEDDED}x").as_bytes()), Err(TextsError::Unfinished)));
}

#[test]
fn what_nobody_sees_is_refused() {
    assert!(matches!(with_line_7("Windows.\r"), TextsError::Character { line: 7, found: '\r' }));
    assert!(matches!(with_line_7("A\u{0}B."), TextsError::Character { found: '\0', .. }));
    assert!(matches!(with_line_7("A\u{2028}B."), TextsError::Character { .. }));
    assert!(matches!(with_line_7("\u{feff}A."), TextsError::Character { .. }));
    assert!(matches!(with_line_7(" A."), TextsError::Space { line: 7 }));
    assert!(matches!(with_line_7("A.\u{a0}"), TextsError::Space { line: 7 }));
}

#[test]
fn a_text_that_is_there_twice_is_refused() {
    let first = lines()[2].clone();
    assert!(matches!(with_line_7(&first), TextsError::Duplicate { line: 7, first: 3 }));
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let mut bytes = EMBEDDED.as_bytes().to_vec();
    let second_line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bytes[second_line] = 0xff;
    assert!(matches!(DevTexts::parse(&bytes), Err(TextsError::Utf8 { line: 2 })));
    assert!(matches!(DevTexts::parse(&vec![b'a'; 600_000]), Err(TextsError::TooLong)));
}

#[test]
fn texts_of_another_chain_are_refused_with_both_hashes() {
    let texts = DevTexts::embedded();
    let ours = texts.hash();
    assert_eq!(texts.clone().of_chain(ours).unwrap().texts(), texts.texts());
    let line = texts.of_chain(Hash32([7; 32])).unwrap_err().to_string();
    assert!(line.contains(EMBEDDED_HASH) && line.contains(&"07".repeat(32)) && line.contains("--dev-texts"), "{line}");
}

#[test]
fn the_flag_names_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts");
    let mut lines = lines();
    lines.swap(0, 1);
    std::fs::write(&file, format!("{}\n", lines.join("\n"))).unwrap();
    let read = DevTextsArgs { dev_texts: Some(file) }.read().unwrap();
    assert_eq!((read.texts()[0].as_str(), read.hash() == DevTexts::embedded().hash()), (lines[0].as_str(), false));
    assert_eq!(DevTextsArgs::default().read().unwrap(), DevTexts::embedded());
    let missing = DevTextsArgs { dev_texts: Some(folder.path().join("no")) }.read();
    assert!(matches!(missing, Err(TextsError::File { .. })));
}
