//! Small data files, made on the spot.

use std::{io::Write as _, sync::Arc};

use ml_sidecar::corpus::{self, Topic};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use crate::server::Repositories;

/// Texts that pass the filters: the corpus, but two at a time.
pub(crate) fn texts(seed: u64, count: usize) -> Vec<String> {
    let text = |index| corpus::text(seed, Topic::Events, index);
    (0..count as u64).map(|index| format!("Number {index} of {seed}. {} {}", text(2 * index), text(2 * index + 1))).collect()
}

/// A file with the columns `id`, `url` (nullable), `text` (nullable), a row group for each slice of texts.
pub(crate) fn parquet(groups: &[&[String]], compression: Compression) -> Vec<u8> {
    let schema = "message schema { required int64 id; optional binary url (UTF8); optional binary text (UTF8); }";
    let properties = WriterProperties::builder().set_compression(compression).set_dictionary_enabled(false).build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for texts in groups {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids: Vec<i64> = (0..).take(texts.len() + 1).collect();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        for name in ["url", "text"] {
            let value = |text: &String| {
                ByteArray::from(if name == "url" { b"https://example.org/".to_vec() } else { text.clone().into_bytes() })
            };
            let values: Vec<ByteArray> = texts.iter().map(value).collect();
            // One row without a text.
            let levels: Vec<i16> = std::iter::once(0).chain(texts.iter().map(|_| 1)).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

pub(crate) fn zstd_level() -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(3).unwrap())
}

pub(crate) fn json_lines(texts: &[String]) -> Vec<u8> {
    let line = |text: &String| {
        format!("{}\n", serde_json::json!({ "url": "https://example.org/", "text": text, "meta": { "a": [1, 2] } }))
    };
    texts.iter().map(line).collect::<String>().into_bytes()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    gzip_at(bytes, flate2::Compression::fast())
}

pub(crate) fn gzip_well(bytes: &[u8]) -> Vec<u8> {
    gzip_at(bytes, flate2::Compression::best())
}

fn gzip_at(bytes: &[u8], level: flate2::Compression) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// The datasets of the tests: wikipedia_simple (two files of two row groups of 40 texts), fineweb_sample (one large file of incompressible
/// texts), c4_en and long_data.
pub(crate) fn repositories() -> Repositories {
    let mut repositories = Repositories::new();
    let mut put = |repository: &str, path: &str, bytes: Vec<u8>| {
        repositories.entry(repository.to_owned()).or_default().insert(path.to_owned(), bytes);
    };
    for file in 0..2_u64 {
        let texts = texts(10 + file, 80);
        let bytes = parquet(&[&texts[..40], &texts[40..]], Compression::SNAPPY);
        put("datasets/wikimedia/wikipedia", &format!("20231101.simple/train-0000{file}-of-00002.parquet"), bytes);
    }
    put("datasets/wikimedia/wikipedia", "20231101.simple/README.md", b"no data".to_vec());
    put("datasets/HuggingFaceFW/fineweb", "sample/10BT/000_00000.parquet", large());
    put("datasets/allenai/c4", "en/c4-train.00000-of-00002.json.gz", gzip(&json_lines(&texts(20, 50))));
    put("datasets/allenai/c4", "en/c4-train.00001-of-00002.json.gz", gzip(&json_lines(&texts(21, 50))));
    put("datasets/allenai/c4", "en/c4-validation.00000-of-00001.json.gz", gzip(&json_lines(&texts(22, 5))));
    put("datasets/togethercomputer/Long-Data-Collections", "pretrain/books.jsonl.zst", zstd(&json_lines(&texts(30, 50))));
    repositories
}

/// About 10 MB in eight row groups: texts that zstd can do little about.
pub(crate) fn large() -> Vec<u8> {
    let texts: Vec<String> =
        texts(40, 800).into_iter().enumerate().map(|(i, text)| format!("{text} {}", noise(i as u64))).collect();
    let groups: Vec<&[String]> = texts.chunks(100).collect();
    parquet(&groups, zstd_level())
}

/// 21,000 letters.
fn noise(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let mut letter = |at: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if at % 9 == 8 { ' ' } else { char::from(b'a' + u8::try_from(state % 26).unwrap()) }
    };
    (0..21_000).map(&mut letter).collect()
}
