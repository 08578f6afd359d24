//! What works.

use std::collections::BTreeSet;

use ml_sidecar::{
    data::{Event, Refusal, TextSource as _, Texts},
    hub::HubError,
};

use super::*;
use crate::server::{COMMIT, Fault};

fn is_subset(some: &[String], of: &[String]) -> bool {
    let all: BTreeSet<&String> = of.iter().collect();
    some.iter().all(|text| all.contains(text))
}

#[test]
fn texts_of_several_datasets_and_formats_come_in_one_set() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let acquisition = acquisition(&args(&server, folder.path()), folder.path());
    let request = request(&["wikipedia_simple", "c4_en", "long_data"], 50);
    let mut events = 0;
    let set = acquisition.acquire(&request, &mut |event| events += usize::from(matches!(event, Event::Progress { .. }))).unwrap();
    let kept: Vec<(&str, u64, Option<&str>)> =
        set.about().contributions.iter().map(|c| (c.source.as_str(), c.kept, c.commit.as_deref())).collect();
    assert_eq!(kept, [("wikipedia_simple", 17, Some(COMMIT)), ("c4_en", 17, Some(COMMIT)), ("long_data", 16, Some(COMMIT))]);
    let texts = texts_of(&set);
    assert!(texts.len() == 50 && events >= 3);
    let wiki = [files::texts(10, 80), files::texts(11, 80)].concat();
    assert!(is_subset(&texts[..17], &wiki));
    assert!(is_subset(&texts[17..34], &[files::texts(20, 50), files::texts(21, 50)].concat()), "no validation data");
    assert!(is_subset(&texts[34..], &files::texts(30, 50)));
    // A part of each file in turn.
    assert!(!is_subset(
        &super::acquire(&args(&server, folder.path()), folder.path(), &super::request(&["wikipedia_simple"], 60)).unwrap(),
        &files::texts(10, 80)
    ));
}

#[test]
fn all_that_is_there_comes_once_and_rows_without_text_are_counted() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let acquisition = acquisition(&args(&server, folder.path()), folder.path());
    let set = acquisition.acquire(&request(&["wikipedia_simple", "wikipedia_simple"], 2_000), &mut |_| {}).unwrap();
    let texts: BTreeSet<String> = texts_of(&set).into_iter().collect();
    assert_eq!(texts, [files::texts(10, 80), files::texts(11, 80)].concat().into_iter().collect());
    let [first, second] = &set.about().contributions[..] else { panic!() };
    assert_eq!((first.read, first.kept, first.unreadable), (160, 160, 4));
    assert_eq!((second.kept, second.refused.get(&Refusal::Duplicate)), (0, Some(&160)));
}

#[test]
fn the_same_request_gives_the_same_texts_in_every_cache_and_another_seed_others() {
    let server = TestHub::start(files::repositories());
    let ask = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let request = Request { seed, ..request(&["wikipedia_simple"], 30) };
        super::acquire(&args(&server, folder.path()), folder.path(), &request).unwrap()
    };
    let first = ask(1);
    assert_eq!(first, ask(1));
    // Two files of two row groups: some seeds begin alike.
    assert!((2..12).any(|seed| ask(seed) != first));
}

#[test]
fn only_the_row_groups_that_are_needed_are_fetched() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let size = files::large().len() as u64;
    assert!(size > 9 << 20, "{size}");
    let texts = super::acquire(&args(&server, folder.path()), folder.path(), &request(&["fineweb_sample"], 20)).unwrap();
    let sent = server.sent();
    assert!(texts.len() == 20 && sent > 1 << 20 && sent <= 7 << 20, "{sent} of {size} bytes");
    // More texts: what is here is not fetched again.
    super::acquire(&args(&server, folder.path()), folder.path(), &request(&["fineweb_sample"], 800)).unwrap();
    assert!(server.sent() <= size - sent + (1 << 20));
}

#[test]
fn once_fetched_it_works_without_the_hub() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let online = args(&server, folder.path());
    let request = request(&["wikipedia_simple", "c4_en"], 40);
    let texts = super::acquire(&online, folder.path(), &request).unwrap();
    server.requests();
    let offline = HubArgs { hf_hub_offline: true, ..online.clone() };
    assert_eq!(super::acquire(&offline, folder.path(), &request).unwrap(), texts);
    // Not only the set: the files, too.
    std::fs::remove_dir_all(folder.path().join("cache/sets")).unwrap();
    assert_eq!(super::acquire(&offline, folder.path(), &request).unwrap(), texts);
    assert_eq!(server.requests(), [], "switched off is switched off");
    let error = super::acquire(&offline, folder.path(), &super::request(&["long_data"], 5)).unwrap_err();
    assert!(matches!(&error, AcquireError::Hub { source: HubError::Offline { .. }, .. }), "{error}");
    server.stop();
    assert_eq!(super::acquire(&online, folder.path(), &request).unwrap(), texts);
}

#[test]
fn a_transfer_that_stops_goes_on_where_it_stopped() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    server.set(Fault::StopTimes(5));
    let texts = super::acquire(&args(&server, folder.path()), folder.path(), &request(&["fineweb_sample"], 800)).unwrap();
    let (sent, size) = (server.sent(), files::large().len() as u64);
    assert!(texts.len() == 800 && sent < size + (5 << 20), "{sent} of {size} bytes");
}

#[test]
fn what_came_before_a_crash_is_not_fetched_again() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    server.set(Fault::StopAfter((2 << 20) + 17));
    let all = request(&["fineweb_sample"], 800);
    // Each answer brings two blocks; so far no error, but every block needs its own request.
    let first = super::acquire(&args(&server, folder.path()), folder.path(), &request(&["fineweb_sample"], 150)).unwrap();
    let before = server.sent();
    server.set(Fault::None);
    let texts = super::acquire(&args(&server, folder.path()), folder.path(), &all).unwrap();
    let size = files::large().len() as u64;
    assert!(first.len() == 150 && texts.len() == 800);
    assert!(server.sent() + (before & !((1 << 20) - 1)) * 9 / 10 <= size + (2 << 20));
}

#[test]
fn a_damaged_block_of_the_cache_is_fetched_again() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let request = request(&["fineweb_sample"], 800);
    let texts = super::acquire(&args(&server, folder.path()), folder.path(), &request).unwrap();
    server.sent();
    let blocks = std::fs::read_dir(folder.path().join("cache/blocks")).unwrap().next().unwrap().unwrap().path();
    let mut data = std::fs::read(blocks.join("data")).unwrap();
    data[(3 << 20) + 5] ^= 0x40;
    std::fs::write(blocks.join("data"), data).unwrap();
    std::fs::remove_dir_all(folder.path().join("cache/sets")).unwrap();
    assert_eq!(super::acquire(&args(&server, folder.path()), folder.path(), &request).unwrap(), texts);
    assert!((1 << 20..=4 << 20).contains(&server.sent()));
}

#[test]
fn a_damaged_set_is_made_again() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let request = request(&["c4_en"], 20);
    let texts = super::acquire(&args(&server, folder.path()), folder.path(), &request).unwrap();
    for (file, change) in [("texts", 9), ("index", 9), ("set.json", 1)] {
        let set = std::fs::read_dir(folder.path().join("cache/sets")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(set.join(file)).unwrap();
        bytes[change] ^= 1;
        std::fs::write(set.join(file), bytes).unwrap();
        assert_eq!(super::acquire(&args(&server, folder.path()), folder.path(), &request).unwrap(), texts, "{file}");
    }
}

#[test]
fn files_that_hugging_faces_own_programs_fetched_are_used() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let snapshot = folder.path().join("hf_home/hub/datasets--HuggingFaceFW--fineweb/snapshots").join(COMMIT).join("sample/10BT");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(snapshot.join("000_00000.parquet"), files::large()).unwrap();
    let texts = super::acquire(&args(&server, folder.path()), folder.path(), &request(&["fineweb_sample"], 30)).unwrap();
    assert_eq!((texts.len(), server.sent()), (30, 0));
}

#[test]
fn a_hub_without_ranges_works_too() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    server.set(Fault::NoRanges);
    assert_eq!(
        super::acquire(&args(&server, folder.path()), folder.path(), &request(&["wikipedia_simple"], 160)).unwrap().len(),
        160
    );
}

#[test]
fn a_hub_that_is_busy_is_asked_again() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    for status in [429, 500, 503] {
        server.set(Fault::Status(status, 2));
        let request = Request { seed: status.into(), ..request(&["long_data"], 5) };
        let folder = folder.path().join(status.to_string());
        assert_eq!(super::acquire(&args(&server, &folder), &folder, &request).unwrap().len(), 5);
    }
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let elsewhere: &'static str = Box::leak(
        format!("http://localhost:{}/cdn/datasets/allenai/c4?file=en/c4-train.00000-of-00002.json.gz", server.port())
            .into_boxed_str(),
    );
    server.set(Fault::RedirectTo(elsewhere));
    let args = HubArgs {
        hf_token: Some("hf_secret".to_owned().into()),
        hub_host: vec!["localhost".to_owned()],
        ..args(&server, folder.path())
    };
    // Both files of the dataset lead to the first one now; the second has another length.
    let _ = super::acquire(&args, folder.path(), &request(&["c4_en"], 5));
    let requests = server.requests();
    let (there, here): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.host.starts_with("localhost"));
    assert!(!there.is_empty() && there.iter().all(|request| request.token.is_none()), "{there:?}");
    assert!(!here.is_empty() && here.iter().all(|request| request.token.as_deref() == Some("Bearer hf_secret")), "{here:?}");
}

#[test]
fn a_token_file_of_hugging_faces_programs_is_used() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    std::fs::create_dir_all(folder.path().join("hf_home")).unwrap();
    std::fs::write(folder.path().join("hf_home/token"), "hf_from_file\n").unwrap();
    super::acquire(&args(&server, folder.path()), folder.path(), &request(&["long_data"], 5)).unwrap();
    assert!(server.requests().iter().all(|request| request.token.as_deref() == Some("Bearer hf_from_file")));
}

#[test]
fn the_cache_stays_within_its_budget_and_what_was_used_last_stays() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let args = args(&server, folder.path());
    let budget = 16 << 20;
    let acquire = |keys: &[&str], total| {
        let acquisition = DataAcquisition::new(hub(&args, folder.path(), budget), &folder.path().join("cache"), BUDGET);
        acquisition.acquire(&request(keys, total), &mut |_| {}).map(|set| set.count())
    };
    let blocks = || std::fs::read_dir(folder.path().join("cache/blocks")).unwrap().count();
    assert_eq!(acquire(&["wikipedia_simple"], 160).unwrap(), 160);
    assert_eq!(acquire(&["c4_en"], 100).unwrap(), 100);
    assert_eq!(blocks(), 4);
    // 12 MB and four files of one block each are at most 16 blocks; one request fetches four blocks ahead.
    assert_eq!(acquire(&["fineweb_sample"], 800).unwrap(), 800);
    assert_eq!(acquire(&["long_data"], 50).unwrap(), 50);
    let used: u64 = std::fs::read_dir(folder.path().join("cache/blocks"))
        .unwrap()
        .map(|entry| std::fs::metadata(entry.unwrap().path().join("journal")).unwrap().len() / 36)
        .sum();
    assert!(used <= 16, "{used} blocks");
}

#[test]
fn without_a_named_dataset_one_that_fails_is_passed_over() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let acquisition = acquisition(&args(&server, folder.path()), folder.path());
    let request = Request { datasets: all_datasets(), named: false, total: Some(400), ..Request::default() };
    let mut skipped = Vec::new();
    let texts = acquisition.texts(&request, &mut |event| {
        if let Event::Skipped { source, .. } = event {
            skipped.push((*source).to_owned());
        }
    });
    let Texts::Set(set) = texts.unwrap() else { panic!("a hub is there") };
    let sources: Vec<&str> = set.about().contributions.iter().map(|c| c.source.as_str()).collect();
    assert_eq!(sources, ["wikipedia_simple", "c4_en", "fineweb_sample", "long_data"]);
    assert_eq!((skipped.len(), set.count()), (16, 80));
}

#[test]
fn without_a_hub_the_built_in_corpus_is_used_unless_datasets_were_named() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let args = args(&server, folder.path());
    server.stop();
    let acquisition = acquisition(&args, folder.path());
    let all = Request { datasets: all_datasets(), named: false, total: Some(7), ..Request::default() };
    let texts = acquisition.texts(&all, &mut |_| {}).unwrap();
    assert!(matches!(&texts, Texts::Corpus(_)) && texts.count() == 7);
    let error = acquisition.texts(&request(&["c4_en"], 7), &mut |_| {}).unwrap_err();
    assert!(error.is_out_of_reach() && error.to_string().contains("out of reach"), "{error}");
    assert!(matches!(acquisition.texts(&Request::default(), &mut |_| {}).unwrap(), Texts::Corpus(_)));
}

#[test]
fn a_full_cache_says_what_is_needed_and_allowed_and_names_the_flag_where_there_is_one() {
    let (server, folder) = (TestHub::start(files::repositories()), tempfile::tempdir().unwrap());
    let small = hub(&args(&server, folder.path()), folder.path(), 3 << 20);
    let acquisition = DataAcquisition::new(small, &folder.path().join("cache"), BUDGET);
    let error = acquisition.acquire(&request(&["fineweb_sample"], 800), &mut |_| {}).unwrap_err().to_string();
    for said in ["bytes more are needed", "3145728 are allowed", "half of --data-budget"] {
        assert!(error.contains(said), "{error}");
    }
    let bare = HubError::Budget { needed: 1, most: 2 }.to_string();
    assert!(!bare.contains("--"), "`model fetch` has no such flag: {bare}");
}
