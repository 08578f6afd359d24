//! The embedded model's tokenizer: byte-level BPE, from the built-in corpus.

use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerBuilder,
    models::bpe::{BPE, BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

use super::Recipe;
use crate::{corpus::Corpus, tokens::TokenizerError};

/// Ends a text; token 0.
pub(super) const END: &str = "<|endoftext|>";

/// Content of a `tokenizer.json`. Every text has tokens: all bytes are in the vocabulary.
///
/// Merges are chosen by count, ties by token, so that neither threads nor hash tables have a say.
pub(super) fn train(recipe: &Recipe, seed: u64) -> Result<Vec<u8>, TokenizerError> {
    let failed = |error: tokenizers::Error| TokenizerError::Format(error.to_string());
    let mut trainer = BpeTrainer::builder()
        .vocab_size(recipe.vocabulary as usize)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(END, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let byte_level = ByteLevel::new(false, false, true);
    let mut tokenizer =
        TokenizerBuilder::<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>::new()
            .with_model(BPE::default())
            .with_normalizer(None)
            .with_pre_tokenizer(Some(byte_level.into()))
            .with_post_processor(None)
            .with_decoder(Some(byte_level.into()))
            .build()
            .map_err(failed)?;
    let corpus = Corpus::new(seed, &[]);
    let texts: Vec<String> = corpus.iter().take(usize::try_from(recipe.tokenizer_texts).unwrap_or(usize::MAX)).collect();
    tokenizer.train(&mut trainer, texts.into_iter()).map_err(failed)?;
    Ok(tokenizer.to_string(false).map_err(failed)?.into_bytes())
}
