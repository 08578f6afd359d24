//! What a hub may try, and what comes of it: one clear error each.

use ml_sidecar::{data::ReadError, hub::HubError};
use parquet::basic::Compression;

use super::*;
use crate::server::{Fault, Repositories};

/// The error of a request for all of a dataset from a hub with this fault.
fn failing(fault: Fault, key: &str) -> AcquireError {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    server.set(fault);
    let error = acquire(&args(&server, folder.path()), folder.path(), &request(&[key], 800)).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

fn hub_error(fault: Fault, key: &str) -> HubError {
    match failing(fault, key) {
        AcquireError::Hub { source, .. } | AcquireError::Read { source: ReadError::Hub(source), .. } => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_longer_than_the_list_says_is_refused() {
    assert!(matches!(hub_error(Fault::Size, "wikipedia_simple"), HubError::Size { .. }));
}

#[test]
fn a_page_for_people_is_not_taken_for_data() {
    let error = hub_error(Fault::Html, "wikipedia_simple");
    assert!(matches!(&error, HubError::Answer { .. }) && error.to_string().contains("page for people"), "{error}");
}

#[test]
fn redirects_to_private_addresses_and_foreign_hosts_are_not_followed() {
    for to in [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "http://[::1]:80/x",
        "http://localhost/x",
        "https://evil.example/x",
        "https://huggingface.co.evil.example/x",
        "file:///etc/passwd",
        "//evil.example/x",
        "",
    ] {
        let error = hub_error(Fault::RedirectTo(to), "wikipedia_simple");
        assert!(matches!(&error, HubError::Redirect { .. }), "{to}: {error}");
    }
}

#[test]
fn redirects_in_circles_end() {
    assert!(matches!(hub_error(Fault::RedirectLoop, "wikipedia_simple"), HubError::RedirectLoop { .. }));
}

#[test]
fn a_hub_that_always_stops_half_way_is_given_up_and_what_came_is_kept() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    server.set(Fault::StopAfter(900_000));
    let request = request(&["fineweb_sample"], 800);
    let error = acquire(&args(&server, folder.path()), folder.path(), &request).unwrap_err();
    assert!(
        matches!(&error, AcquireError::Read { source: ReadError::Hub(HubError::Stopped { attempts: 4, .. }), .. }),
        "{error}"
    );
    server.set(Fault::None);
    assert_eq!(acquire(&args(&server, folder.path()), folder.path(), &request).unwrap().len(), 800);
}

#[test]
fn other_bytes_than_asked_for_are_refused() {
    assert!(matches!(hub_error(Fault::OtherRange, "fineweb_sample"), HubError::Answer { .. }));
}

#[test]
fn a_whole_file_with_another_hash_is_thrown_away() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    server.set(Fault::Hash);
    let request = request(&["wikipedia_simple"], 160);
    let error = acquire(&args(&server, folder.path()), folder.path(), &request).unwrap_err();
    assert!(matches!(&error, AcquireError::Read { source: ReadError::Hub(HubError::Hash { .. }), .. }), "{error}");
    server.set(Fault::None);
    assert_eq!(acquire(&args(&server, folder.path()), folder.path(), &request).unwrap().len(), 160);
}

#[test]
fn a_content_encoding_nobody_asked_for_is_refused() {
    let error = hub_error(Fault::Encoding, "wikipedia_simple");
    // Whether the HTTP client knows the encoding depends on what other crates ask of it: then it finds no gzip.
    assert!(matches!(error, HubError::Answer { .. } | HubError::Stopped { .. }), "{error:?}");
}

#[test]
fn statuses_are_told_apart() {
    assert!(matches!(hub_error(Fault::ListStatus(401), "wikipedia_simple"), HubError::Denied { status: 401, .. }));
    assert!(matches!(hub_error(Fault::Status(403, 99), "wikipedia_simple"), HubError::Denied { status: 403, .. }));
    assert!(matches!(hub_error(Fault::ListStatus(404), "wikipedia_simple"), HubError::NotFound { .. }));
    assert!(matches!(hub_error(Fault::Status(500, 99), "wikipedia_simple"), HubError::Status { status: 500, .. }));
    assert!(matches!(hub_error(Fault::None, "wikipedia_ar"), HubError::NotFound { .. }), "a folder that is not there");
}

#[test]
fn lists_that_are_none_are_refused() {
    assert!(matches!(hub_error(Fault::ListNoJson, "wikipedia_simple"), HubError::Answer { .. }));
    assert!(matches!(hub_error(Fault::ListEndless, "wikipedia_simple"), HubError::Answer { .. }));
    let traversal = hub_error(Fault::ListTraversal, "wikipedia_simple");
    assert!(matches!(&traversal, HubError::Answer { .. }) && traversal.to_string().contains("no path"), "{traversal}");
}

/// What becomes of a dataset whose one file holds these bytes.
fn with_file(key: &str, path: &str, bytes: Vec<u8>) -> Result<Vec<String>, AcquireError> {
    let repository = format!("datasets/{}", dataset(key).repo);
    let repositories = Repositories::from([(repository, [(path.to_owned(), bytes)].into())]);
    let (server, folder) = (TestHub::start(repositories), tempfile::tempdir().unwrap());
    acquire(&args(&server, folder.path()), folder.path(), &request(&[key], 100))
}

fn with_parquet(bytes: Vec<u8>) -> Result<Vec<String>, AcquireError> {
    with_file("wikipedia_de", "20231101.de/train-00000-of-00001.parquet", bytes)
}

fn format_error(result: Result<Vec<String>, AcquireError>) -> String {
    match result {
        Err(AcquireError::Read {
            source: source @ (ReadError::Format(_) | ReadError::Bomb { .. } | ReadError::Column { .. }),
            ..
        }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_that_are_no_parquet_are_refused() {
    let texts = files::texts(1, 30);
    let good = files::parquet(&[&texts], Compression::SNAPPY);
    assert_eq!(with_parquet(good.clone()).unwrap().len(), 30);
    format_error(with_parquet(b"PAR1".to_vec()));
    format_error(with_parquet(b"<html>not parquet at all</html>".to_vec()));
    format_error(with_parquet(good[..good.len() - 1].to_vec()));
    let footer = good.len() - 8;
    let mut huge = good.clone();
    huge[footer..footer + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(format_error(with_parquet(huge)).contains("footer"));
    let mut broken = good;
    for byte in &mut broken[footer - 40..footer] {
        *byte = 0xff;
    }
    format_error(with_parquet(broken));
}

#[test]
fn a_parquet_file_with_damage_anywhere_gives_texts_or_an_error_and_never_ends_the_process() {
    let texts = files::texts(2, 12);
    let good = files::parquet(&[&texts[..6], &texts[6..]], files::zstd_level());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let server = TestHub::start(files::repositories());
    let mut outcomes = [0, 0];
    for i in 0..1_500_usize {
        let mut bad = good.clone();
        // The footer is where the structure is: half of the damage goes there.
        let at = if i % 2 == 0 { good.len() - 1 - (i * 7) % 600 } else { (i * 7_919) % good.len() };
        bad[at] = bad[at].wrapping_add(1 + (i % 255) as u8);
        std::fs::write(&path, &bad).unwrap();
        let request = Request { files: vec![path.clone()], seed: i as u64, ..Request::default() };
        outcomes[usize::from(acquire(&args(&server, folder.path()), folder.path(), &request).is_ok())] += 1;
    }
    assert!(outcomes[0] > 100 && outcomes[1] > 100, "{outcomes:?}");
}

#[test]
fn a_page_that_would_become_huge_is_refused() {
    // Zeros compress well: 80 MB in a page of a few thousand bytes.
    let bomb = "a".repeat(80 << 20);
    let bytes = files::parquet(&[&[bomb]], files::zstd_level());
    assert!(bytes.len() < 1 << 20);
    let error = format_error(with_parquet(bytes));
    assert!(error.contains("at most"), "{error}");
}

#[test]
fn streams_that_would_become_huge_are_refused() {
    let line = format!("{{\"text\":\"{}\"}}\n", "a".repeat(1 << 20));
    let zeros = line.repeat(300).into_bytes();
    let gzip = files::gzip_well(&zeros);
    assert!(zeros.len() > 200 * gzip.len(), "{}", gzip.len());
    let error = format_error(with_file("c4_en", "en/c4-train.00000-of-00001.json.gz", gzip));
    assert!(error.contains("grows"), "{error}");
    let error = format_error(with_file("long_data", "pretrain/a.jsonl.zst", files::zstd(&zeros)));
    assert!(error.contains("grows"), "{error}");
}

#[test]
fn damaged_and_foreign_streams_are_refused() {
    let good = files::gzip(&files::json_lines(&files::texts(3, 40)));
    let c4 = |bytes| with_file("c4_en", "en/c4-train.00000-of-00001.json.gz", bytes);
    assert_eq!(c4(good.clone()).unwrap().len(), 40);
    format_error(c4(good[..good.len() / 2].to_vec()));
    format_error(c4(b"no gzip".to_vec()));
    assert!(format_error(c4(files::gzip(b"<html>\n"))).contains("not JSON"));
    format_error(with_file("long_data", "pretrain/a.jsonl.zst", b"no zstd".to_vec()));
}

#[test]
fn a_line_that_never_ends_is_passed_over() {
    let texts = files::texts(4, 3);
    let mut bytes = files::json_lines(&texts[..1]);
    bytes.extend(b"{\"text\":\"");
    bytes.extend("long ".repeat(2 << 20).into_bytes());
    bytes.extend(b"\"}\n");
    bytes.extend(files::json_lines(&texts[1..]));
    bytes.extend(b"{\"text\":null}\n{\"other\":1}\nnot json\n");
    assert_eq!(with_file("c4_en", "en/c4-train.00000-of-00001.json.gz", files::gzip(&bytes)).unwrap(), texts);
}

#[test]
fn a_column_that_is_not_there_is_named_with_those_that_are() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let path = folder.path().join("x.parquet");
    std::fs::write(&path, files::parquet(&[&files::texts(5, 2)], Compression::SNAPPY)).unwrap();
    let request = |column: &str| Request { files: vec![path.clone()], column: column.to_owned(), ..Request::default() };
    let error = format_error(acquire(&args(&server, folder.path()), folder.path(), &request("content")));
    assert!(error.contains("content") && error.contains("id, url, text"), "{error}");
    assert!(format_error(acquire(&args(&server, folder.path()), folder.path(), &request("id"))).contains("no text column id"));
}
