//! The rules, run on the repository itself.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use tidy::{Finding, dependencies, documents, leftovers, locks, manifests, repository, sizes};

fn assert_none(findings: Vec<Finding>) {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} finding(s):\n{}", lines.len(), lines.join("\n"));
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

#[test]
fn dependencies_point_inward_only() {
    assert_none(dependencies::check_direction(&dependencies::members(&repository::metadata())));
}

#[test]
fn the_core_is_pure() {
    let tree = dependencies::normal_tree(&repository::metadata(), "pol-core");
    assert!(tree.contains("sha2"), "the tree of pol-core was not found: {tree:?}");
    assert_none(dependencies::check_core(&tree));
}

#[test]
fn files_and_functions_fit_one_reading() {
    let exceptions = repository::text("testing/tidy/exceptions.toml").unwrap();
    let exceptions = toml::from_str(&exceptions).unwrap();
    let files = repository::texts(is_rust);
    let measured: Vec<_> = files.iter().map(|(path, text)| sizes::measure(path, text).expect(path)).collect();
    assert_none(sizes::check(&measured, &exceptions));
}

#[test]
fn nothing_unfinished_is_left() {
    let rust = repository::texts(is_rust);
    let mut findings: Vec<_> = rust.iter().flat_map(|(path, text)| leftovers::check_rust(path, text).expect(path)).collect();
    let code = repository::texts(leftovers::is_code);
    findings.extend(code.iter().flat_map(|(path, text)| leftovers::check_words(path, text)));
    assert_none(findings);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let files = repository::texts(|_| true);
    assert_none(files.iter().flat_map(|(path, text)| leftovers::check_local_paths(path, text)).collect());
}

#[test]
fn every_command_in_the_documents_exists() {
    let known = known();
    let documents = repository::texts(|path| path.ends_with("README.md") || path.ends_with("CONTRIBUTING.md"));
    let in_front = documents.iter().find(|(path, _)| path == "README.md").expect("README.md");
    assert!(!documents::commands(&in_front.1).is_empty(), "README.md shows no command");
    assert_none(documents.iter().flat_map(|(path, text)| documents::check(path, text, &known)).collect());
}

#[test]
fn the_justfile_stays_short() {
    assert_none(documents::check_recipe_count(&justfile()));
}

#[test]
fn a_reth_node_shares_the_types_that_are_tested_here() {
    let lock = |path| repository::text(path).unwrap();
    assert_none(locks::check(&lock("Cargo.lock"), &lock("reth-ai-exex/node/Cargo.lock")).unwrap());
}

#[test]
fn every_crate_introduces_itself() {
    let packages = repository::metadata();
    let crates: Vec<_> = packages
        .workspace_packages()
        .into_iter()
        .map(|package| manifests::Crate {
            name: package.name.to_string(),
            manifest: std::fs::read_to_string(&package.manifest_path).unwrap(),
            has_readme: package.manifest_path.with_file_name("README.md").is_file(),
        })
        .collect();
    assert!(crates.len() > 1);
    assert_none(manifests::check(&crates).unwrap());
}

fn justfile() -> String {
    repository::text("justfile").unwrap()
}

fn known() -> documents::Known {
    let root = repository::root();
    let is_executable = |path: &String| root.join(path).metadata().is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    let mut packages: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for package in repository::metadata().workspace_packages() {
        let targets = packages.entry(package.name.to_string()).or_default();
        for target in &package.targets {
            targets.extend(target.kind.iter().map(|kind| (kind.to_string(), target.name.clone())));
        }
    }
    documents::Known {
        scripts: repository::files().into_iter().filter(is_executable).collect(),
        recipes: documents::recipes(&justfile()).into_iter().collect(),
        packages,
    }
}
