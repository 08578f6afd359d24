//! Texts as tokens and back.

use std::path::Path;

use tokenizers::Tokenizer as Inner;

use crate::weights::{WeightError, read_bounded};

/// Longest `tokenizer.json` that is looked at, bytes. Those of 256,000 tokens have 35 million.
pub const TOKENIZER_BYTES_MAX: u64 = 64 << 20;
/// Name of the file in a model folder.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// Why there is no tokenizer for a model.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file cannot be read, or is too long. The operator's to mend.
    #[error(transparent)]
    File(#[from] WeightError),
    /// Not a tokenizer. The fault of whoever made it.
    #[error("{TOKENIZER_FILE}: {0}")]
    Format(String),
    /// It makes tokens that the model does not have.
    #[error("tokenizer and model do not match: the tokenizer has token {found}, the model {vocabulary} tokens")]
    TooMany {
        /// The greatest token id.
        found: u32,
        /// Tokens of the model.
        vocabulary: u32,
    },
    /// It has far fewer tokens than the model: it is another model's. Embeddings are padded by a few hundred at most.
    #[error("tokenizer and model do not match: {found} tokens, the model has {vocabulary}")]
    TooFew {
        /// Tokens of the tokenizer.
        found: u32,
        /// Tokens of the model.
        vocabulary: u32,
    },
    /// A text that it cannot take apart, or tokens that are no text.
    #[error("tokenizer: {0}")]
    Text(String),
}

/// A model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: Inner,
    greatest: u32,
    count: u32,
}

impl Tokenizer {
    /// Reads the `tokenizer.json` of a model folder.
    ///
    /// # Errors
    /// [`TokenizerError::File`], [`TokenizerError::Format`].
    pub fn open(folder: &Path) -> Result<Self, TokenizerError> {
        Self::parse(&read_bounded(&folder.join(TOKENIZER_FILE), TOKENIZER_BYTES_MAX)?)
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError::Format`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TokenizerError> {
        Self::new(Inner::from_bytes(bytes).map_err(|error| TokenizerError::Format(error.to_string()))?)
    }

    /// Takes one that was put together elsewhere (out of a GGUF file).
    ///
    /// # Errors
    /// [`TokenizerError::Format`]: it has no token, or asks for impossible truncation.
    pub fn new(mut inner: Inner) -> Result<Self, TokenizerError> {
        // What a file says of these is about how it was trained.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TokenizerError::Format(error.to_string()))?;
        let vocabulary = inner.get_vocab(true);
        let greatest = vocabulary.values().max().ok_or_else(|| TokenizerError::Format("no tokens".to_owned()))?;
        let count = u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
        Ok(Self { greatest: *greatest, count, inner })
    }

    /// Checks that it is the tokenizer of a model of so many tokens.
    ///
    /// It cannot tell two tokenizers of about one size apart: a chain's manifest hash is for that.
    ///
    /// # Errors
    /// [`TokenizerError::TooMany`], [`TokenizerError::TooFew`].
    pub const fn check_fits(&self, vocabulary: u32) -> Result<(), TokenizerError> {
        if self.greatest >= vocabulary {
            return Err(TokenizerError::TooMany { found: self.greatest, vocabulary });
        }
        if self.count < vocabulary / 4 * 3 {
            return Err(TokenizerError::TooFew { found: self.count, vocabulary });
        }
        Ok(())
    }

    /// Tokens of a text, with those that the tokenizer puts around it (Llama's begin-of-text), as transformers does.
    ///
    /// # Errors
    /// [`TokenizerError::Text`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, true).map_err(|error| TokenizerError::Text(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens, without special ones.
    ///
    /// # Errors
    /// [`TokenizerError::Text`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, true).map_err(|error| TokenizerError::Text(error.to_string()))
    }

    /// Tokens that it has.
    pub const fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: u32) -> String {
        let vocabulary: serde_json::Map<String, serde_json::Value> = (0..count).map(|id| (format!("w{id}"), id.into())).collect();
        serde_json::json!({
            "version": "1.0", "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 5}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "w0"},
            "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"},
        })
        .to_string()
    }

    #[test]
    fn texts_are_neither_cut_nor_padded_whatever_the_file_says() {
        let tokenizer = Tokenizer::parse(words(10).as_bytes()).unwrap();
        assert_eq!(tokenizer.encode("w3 w1 w2").unwrap(), [3, 1, 2]);
        assert_eq!(tokenizer.encode("w3").unwrap(), [3]);
        assert_eq!(tokenizer.decode(&[3, 1]).unwrap(), "w3 w1");
    }

    #[test]
    fn a_tokenizer_of_another_model_is_refused() {
        let tokenizer = Tokenizer::parse(words(100).as_bytes()).unwrap();
        assert!(tokenizer.check_fits(100).is_ok() && tokenizer.check_fits(128).is_ok());
        assert!(matches!(tokenizer.check_fits(99), Err(TokenizerError::TooMany { found: 99, vocabulary: 99 })));
        assert!(matches!(tokenizer.check_fits(200), Err(TokenizerError::TooFew { found: 100, vocabulary: 200 })));
    }

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        for bytes in [&b""[..], b"{}", b"null", b"\xff\xfe", words(0).as_bytes()] {
            assert!(matches!(Tokenizer::parse(bytes), Err(TokenizerError::Format(_))), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(matches!(Tokenizer::open(Path::new("/nowhere")), Err(TokenizerError::File(WeightError::File { .. }))));
    }
}
