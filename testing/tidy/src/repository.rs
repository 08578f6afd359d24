//! Reads the real repository. The only module with I/O; it panics, because only tests call it.

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
///
/// # Panics
/// When this crate does not lie two folders below it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("testing/tidy lies two folders below the root").to_owned()
}

/// Paths of the files that git tracks, or would track: a rule should fire before the commit.
///
/// # Panics
/// When git does not list them.
pub fn files() -> Vec<String> {
    let list = ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(root()).args(list).output().expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let mut paths: Vec<String> = paths.split('\0').filter(|path| root().join(path).is_file()).map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    assert!(paths.iter().any(|path| path == "Cargo.toml"), "git lists no Cargo.toml");
    paths
}

/// A file's text; none when it is not UTF-8.
///
/// # Panics
/// When it cannot be read.
pub fn text(path: &str) -> Option<String> {
    String::from_utf8(fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))).ok()
}

/// Path and text of every UTF-8 file that `wanted` names.
pub fn texts(wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let texts: Vec<_> =
        files().into_iter().filter(|path| wanted(path)).filter_map(|path| Some((path.clone(), text(&path)?))).collect();
    assert!(!texts.is_empty(), "no such file at all: the rule would check nothing");
    texts
}

/// Cargo's view of the workspace, dependencies resolved for Linux on x86-64.
///
/// # Panics
/// When Cargo cannot give it.
pub fn metadata() -> Metadata {
    let options = ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(String::from).to_vec();
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).features(CargoOpt::AllFeatures).other_options(options);
    command.exec().expect("cargo metadata")
}
