//! The byte-level BPE tokenizer inside the file, as a `tokenizer.json`.

use serde_json::{Map, Value as Json, json};

use super::{
    error::GgufError,
    header::{Header, Value},
};

/// `tokenizer.ggml.token_type`: control tokens, and those a user added.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Content of a `tokenizer.json` that makes the same tokens.
pub(super) fn to_json(header: &Header, vocabulary: u32) -> Result<Vec<u8>, GgufError> {
    if header.text("tokenizer.ggml.model") != Some("gpt2") {
        let found = header.text("tokenizer.ggml.model").unwrap_or("none");
        return Err(GgufError::Tokenizer(format!("{found} is not read, only byte-level BPE (gpt2) is")));
    }
    let tokens = texts(header, "tokenizer.ggml.tokens")?;
    if tokens.len() as u64 > u64::from(vocabulary) {
        return Err(GgufError::Tokenizer(format!("{} tokens, the model has {vocabulary}", tokens.len())));
    }
    let mut ids = Map::new();
    for (id, token) in tokens.iter().enumerate() {
        if ids.insert(token.clone(), id.into()).is_some() {
            return Err(GgufError::Tokenizer(format!("token {token:?} is there twice")));
        }
    }
    let merges = texts(header, "tokenizer.ggml.merges")?.iter().map(|merge| {
        let pair = merge.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' '));
        let known = pair.filter(|(left, right)| {
            ids.contains_key(*left) && ids.contains_key(*right) && ids.contains_key(&[*left, *right].concat())
        });
        known.map(|(left, right)| json!([left, right])).ok_or_else(|| GgufError::Tokenizer(format!("{merge:?} merges no tokens")))
    });
    let merges = merges.collect::<Result<Vec<_>, _>>()?;
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": added(header, tokens)?,
        "pre_tokenizer": pre_tokenizer(header)?,
        "post_processor": post_processor(header, tokens)?,
        "decoder": byte_level(),
        "model": {
            "type": "BPE",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": ids,
            "merges": merges,
        },
    });
    serde_json::to_vec(&tokenizer).map_err(|error| GgufError::Tokenizer(error.to_string()))
}

fn texts<'a>(header: &'a Header, key: &str) -> Result<&'a [String], GgufError> {
    match header.values.get(key) {
        Some(Value::Texts(texts)) => Ok(texts),
        _ => Err(GgufError::Key { key: key.to_owned(), expected: "an array of texts" }),
    }
}

fn added(header: &Header, tokens: &[String]) -> Result<Vec<Json>, GgufError> {
    let types = match header.values.get("tokenizer.ggml.token_type") {
        None => return Ok(Vec::new()),
        Some(Value::Integers(types)) if types.len() == tokens.len() => types,
        Some(_) => return Err(GgufError::Tokenizer("a token type is missing or too many".to_owned())),
    };
    let added = tokens.iter().zip(types).enumerate().filter(|(_, (_, kind))| matches!(**kind, CONTROL | USER_DEFINED));
    let entry = |(id, (token, kind)): (usize, (&String, &i64))| {
        json!({
            "id": id, "content": token, "special": *kind == CONTROL,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    Ok(added.map(entry).collect())
}

fn byte_level() -> Json {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})
}

fn pre_tokenizer(header: &Header) -> Result<Json, GgufError> {
    match header.text("tokenizer.ggml.pre").unwrap_or("gpt-2") {
        "gpt-2" | "default" => Ok(byte_level()),
        "smollm" => Ok(json!({
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": true}, byte_level()],
        })),
        other => Err(GgufError::Tokenizer(format!("pre-tokenizer {other} is not read, only gpt-2 and smollm are"))),
    }
}

/// Puts the first token in front when the file says so.
fn post_processor(header: &Header, tokens: &[String]) -> Result<Json, GgufError> {
    if header.values.get("tokenizer.ggml.add_bos_token") != Some(&Value::Bool(true)) {
        return Ok(Json::Null);
    }
    let id = header.number("tokenizer.ggml.bos_token_id").unwrap_or_default();
    let token = usize::try_from(id).ok().and_then(|id| tokens.get(id));
    let token = token.ok_or_else(|| GgufError::Tokenizer(format!("the first token {id} is no token")))?;
    let begin = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |name: &str, type_id: u32| json!({"Sequence": {"id": name, "type_id": type_id}});
    Ok(json!({
        "type": "TemplateProcessing",
        "single": [begin, text("A", 0)],
        "pair": [begin, text("A", 0), text("B", 1)],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    }))
}
