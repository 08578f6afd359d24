//! Files and folders of this machine, and what is saved.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ml_sidecar::{
    data::{CorpusSet, Cursor, Format, PART_TEXTS, Sampler, Statistics, TextFile, Texts, list, sample_id, save},
    hub::{LocalFile, ReadAt},
};
use parquet::basic::Compression;

use super::*;

fn offline(folder: &Path) -> DataAcquisition {
    let args = HubArgs { hf_hub_offline: true, hf_home: Some(folder.join("none")), ..HubArgs::default() };
    acquisition(&args, folder)
}

fn get(folder: &Path, files: &[&str]) -> Result<Vec<String>, AcquireError> {
    let files = files.iter().map(|file| folder.join(file)).collect();
    let set = offline(folder).acquire(&Request { files, ..Request::default() }, &mut |_| {})?;
    let mut texts = texts_of(&set);
    texts.sort();
    Ok(texts)
}

#[test]
fn texts_of_every_kind_of_file_and_of_folders_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("a.txt", b"First text,\nsecond line.\n\n\n  \nSecond text.\r\n\nThird text.");
    write("b.jsonl", b"{\"text\":\"From JSON.\"}\n\n{\"text\":\"From JSON as well.\"}\n");
    write("c.jsonl.gz", &files::gzip(b"{\"text\":\"From gzip.\"}\n"));
    write("deep/er/d.txt.zst", &files::zstd("Grüße aus der Tiefe.\n".as_bytes()));
    write("deep/e.parquet", &files::parquet(&[&["From parquet.".to_owned()]], Compression::SNAPPY));
    write("deep/notes.md", b"Not read.");
    assert_eq!(get(folder.path(), &["a.txt"]).unwrap(), ["First text,\nsecond line.", "Second text.", "Third text."]);
    assert_eq!(get(folder.path(), &["b.jsonl", "c.jsonl.gz"]).unwrap(), ["From JSON as well.", "From JSON.", "From gzip."]);
    assert_eq!(get(folder.path(), &["deep"]).unwrap(), ["From parquet.", "Grüße aus der Tiefe."]);
}

#[test]
fn files_that_changed_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "One.").unwrap();
    assert_eq!(get(folder.path(), &["a.txt"]).unwrap(), ["One."]);
    std::fs::write(folder.path().join("a.txt"), "Another one.").unwrap();
    assert_eq!(get(folder.path(), &["a.txt"]).unwrap(), ["Another one."]);
}

#[test]
fn what_others_are_writing_counts_in_the_budget_and_what_a_killed_process_left_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, sets) = (folder.path().join("cache"), folder.path().join("cache/sets"));
    let acquire = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("The text of {name}.")).unwrap();
        let args = HubArgs { hf_hub_offline: true, hf_home: Some(folder.path().join("none")), ..HubArgs::default() };
        let acquisition = DataAcquisition::new(hub(&args, folder.path(), BUDGET), &cache, 1_000);
        acquisition.acquire(&Request { files: vec![path], ..Request::default() }, &mut |_| {}).unwrap();
        let entries = std::fs::read_dir(&sets).unwrap().flatten();
        entries.filter(|entry| entry.path().join("set.json").exists()).count()
    };
    assert_eq!([acquire("a.txt"), acquire("b.txt")], [1, 2]);
    let at_work = std::fs::File::create(sets.join(".lock")).unwrap();
    at_work.lock_shared().unwrap();
    let other = sets.join(".unfinished-other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("texts"), vec![b'x'; 2_000]).unwrap();
    assert_eq!((acquire("c.txt"), other.exists()), (1, true), "finished sets make room for it");
    // It is killed.
    drop(at_work);
    assert_eq!((acquire("d.txt"), other.exists()), (2, false));
}

#[test]
fn what_cannot_be_read_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("x.docx"), "x").unwrap();
    std::fs::write(folder.path().join("blank.txt"), "\n\n \n").unwrap();
    std::fs::write(folder.path().join("binary.txt"), [0xff, 0xfe, 0x00, 0x01]).unwrap();
    for (name, expected) in [
        ("no", "No such file"),
        ("empty", "no .txt"),
        ("x.docx", "expected .txt"),
        ("blank.txt", "no texts"),
        ("binary.txt", "no texts"),
    ] {
        let error = get(folder.path(), &[name]).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn saved_texts_are_read_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = Texts::Corpus(CorpusSet::new(3, &[], 40));
    let mut expected = texts_of(&corpus);
    expected.sort();
    for name in ["saved.jsonl", "saved.txt"] {
        assert_eq!(save(&corpus, &folder.path().join(name)).unwrap(), 40);
        // Plain text loses empty lines, of which programs in the corpus have some.
        let plain = |text: &String| if name == "saved.txt" { text.replace("\n\n", "\n") } else { text.clone() };
        let mut expected: Vec<String> = expected.iter().map(plain).collect();
        expected.sort();
        assert_eq!(get(folder.path(), &[name]).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_set_is_gone_through_in_a_reproducible_order_with_ids() {
    let corpus = CorpusSet::new(3, &[], 50);
    let mut sampler = Sampler::new(corpus.count(), Cursor::new(9));
    let first: Vec<String> = sampler.by_ref().take(50).map(|number| corpus.get(number).unwrap()).collect();
    let second: Vec<String> = sampler.take(50).map(|number| corpus.get(number).unwrap()).collect();
    assert_ne!(first, second);
    let ids = |texts: &[String]| texts.iter().map(|text| sample_id(text)).collect::<std::collections::BTreeSet<_>>();
    assert!(ids(&first) == ids(&second) && ids(&first).len() == 50);
}

#[test]
fn the_reports_say_what_is_there() {
    let statistics = Statistics::of(&Texts::Corpus(CorpusSet::new(1, &[], 100))).unwrap();
    assert!(statistics.texts == 100 && statistics.lengths.iter().sum::<u64>() == 100 && statistics.shortest > 50);
    assert!(statistics.to_string().starts_with("100 texts"));
    assert_eq!(list().lines().count(), 20);
    assert!(list().lines().all(|line| line.contains('[') && line.len() < 200));
}

#[test]
fn a_set_that_outgrows_its_share_stops_and_says_the_flag_and_the_bytes_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    std::fs::write(&path, (0..1_000).map(|number| format!("This is text number {number:04}.\n\n")).collect::<String>()).unwrap();
    let args = HubArgs { hf_hub_offline: true, hf_home: Some(folder.path().join("none")), ..HubArgs::default() };
    let acquire = |budget, total| {
        let acquisition = DataAcquisition::new(hub(&args, folder.path(), BUDGET), &folder.path().join("cache"), budget);
        let request = Request { files: vec![path.clone()], total, ..Request::default() };
        acquisition.acquire(&request, &mut |_| {}).map(|set| set.count()).map_err(|error| error.to_string())
    };
    let error = acquire(2_500, None).unwrap_err();
    for said in ["--data-budget", "2500 are allowed", "take 2525 bytes"] {
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    let left = std::fs::read_dir(folder.path().join("cache/sets")).unwrap().flatten();
    assert!(left.into_iter().all(|entry| entry.path().is_file()), "the unfinished set is gone");
    assert_eq!((acquire(2_500, Some(99)), acquire(25_000, None)), (Ok(99), Ok(1_000)));
}

/// Counts the bytes that are read of a file.
#[derive(Debug)]
struct Counted(LocalFile, AtomicU64);

impl ReadAt for Counted {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> std::io::Result<()> {
        self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.read_at(buffer, place)
    }
}

#[test]
fn the_parts_of_a_file_of_lines_take_one_pass_in_order_and_are_the_same_in_any() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..PART_TEXTS * 4 + 5).map(|number| format!("{{\"text\":\"Text {number}.\"}}\n")).collect();
    for (name, bytes) in [("a.jsonl", lines.clone().into_bytes()), ("a.jsonl.gz", files::gzip(lines.as_bytes()))] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let source = Arc::new(Counted(LocalFile::open(&path).unwrap(), AtomicU64::new(0)));
        let format = Format::of(name).unwrap();
        let file = TextFile::open(Arc::clone(&source) as Arc<dyn ReadAt>, format, "text").unwrap();
        let part = |number| {
            let mut texts = Vec::new();
            let mut keep = |text: &str| {
                texts.push(text.to_owned());
                ControlFlow::Continue(())
            };
            file.read(number, &mut keep).unwrap();
            texts
        };
        let in_order: Vec<Vec<String>> = (0..6).map(part).collect();
        assert_eq!(source.1.load(Ordering::Relaxed), bytes.len() as u64, "{name}");
        assert_eq!(in_order.iter().map(Vec::len).collect::<Vec<_>>(), [10_000, 10_000, 10_000, 10_000, 5, 0]);
        assert_eq!(in_order[3][7], "Text 30007.");
        for number in [2, 0, 4, 1, 3, 3] {
            assert!(part(number) == in_order[number], "{name} {number}");
        }
    }
}

/// Bytes that this thread has read of files.
fn read_so_far() -> u64 {
    let about = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    about.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn all_texts_of_a_file_of_lines_are_acquired_in_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..PART_TEXTS * 8).map(|number| format!("{{\"text\":\"This is text number {number}.\"}}\n")).collect();
    std::fs::write(folder.path().join("a.jsonl"), &lines).unwrap();
    let before = read_so_far();
    assert_eq!(get(folder.path(), &["a.jsonl"]).unwrap().len() as u64, PART_TEXTS * 8);
    // The set is hashed twice, and read once by this test; from the beginning for every part it would be four and a half times more.
    let read = read_so_far() - before;
    assert!(read < lines.len() as u64 * 6, "{read} bytes read of a file of {}", lines.len());
}
