use super::*;
use crate::device::Device;

const SHORT: Recipe = Recipe {
    vocabulary: 320,
    layers: 1,
    tokenizer_texts: 30,
    steps: 6,
    sequences: 4,
    length: 32,
    learning_rate: 4e-3,
    threads: 1,
};

fn made(cache: &Path, seed: u64) -> (Checkpoint, Vec<f64>) {
    let mut losses = Vec::new();
    let checkpoint = open(cache, &SHORT, seed, &mut |progress| losses.push(progress.loss)).unwrap();
    (checkpoint, losses)
}

fn files(cache: &Path, seed: u64) -> Vec<Vec<u8>> {
    let folder = folder(cache, &SHORT, seed);
    [CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, ABOUT_FILE].map(|name| fs::read(folder.join(name)).unwrap()).to_vec()
}

#[test]
fn one_seed_is_one_model_byte_for_byte_and_another_seed_another() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (checkpoint, losses) = made(one.path(), 3);
    made(other.path(), 3);
    made(other.path(), 4);
    assert!(files(one.path(), 3) == files(other.path(), 3));
    assert!(files(one.path(), 3)[2] != files(other.path(), 4)[2]);
    assert!(losses.len() == 6 && losses.iter().all(|loss| loss.is_finite()) && losses[5] < losses[0], "{losses:?}");
    assert!(checkpoint.load(Device::cpu(), None).is_ok());
}

#[test]
fn what_is_in_the_cache_is_used_again_and_what_is_damaged_is_made_again() {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(made(cache.path(), 3).1.len(), 6);
    assert_eq!(made(cache.path(), 3).1.len(), 0);
    let before = files(cache.path(), 3);
    let weights = folder(cache.path(), &SHORT, 3).join(WEIGHTS_FILE);
    let mut damaged = fs::read(&weights).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&weights, damaged).unwrap();
    assert_eq!(made(cache.path(), 3).1.len(), 6);
    assert!(files(cache.path(), 3) == before);
    fs::remove_file(folder(cache.path(), &SHORT, 3).join(ABOUT_FILE)).unwrap();
    assert_eq!(made(cache.path(), 3).1.len(), 6);
}

#[test]
fn every_text_has_tokens_that_are_that_text() {
    let json = tokenizer::train(&SHORT, 1).unwrap();
    assert!(json == tokenizer::train(&SHORT, 1).unwrap());
    let tokenizer = crate::tokens::Tokenizer::parse(&json).unwrap();
    assert_eq!(tokenizer.count(), SHORT.vocabulary);
    for text in ["The rain falls.", "schön, déjà vu", "雨が降る 🌧", "\u{1}\t\r\n x", tokenizer::END] {
        let tokens = tokenizer.encode(text).unwrap();
        let expected = if text == tokenizer::END { "" } else { text };
        assert_eq!(tokenizer.decode(&tokens).unwrap(), expected);
        assert!(!tokens.is_empty());
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = open(&file.join("cache"), &SHORT, 1, &mut |_| {}).unwrap_err();
    assert!(matches!(&refused, EmbeddedError::Io { .. }) && refused.to_string().contains("cache"), "{refused}");
}
