//! The checks themselves, and the repository's patches as far as they need no checkout.

use std::{fs, path::Path, process::Command};

use pol_patches::{Patch, PatchError, applies, check, rows};
use proptest::prelude::*;

const GOOD: &str = "diff --git a/x.rs b/x.rs\n--- a/x.rs\n+++ b/x.rs\n@@ -3 +3 @@\n-old\n+new\n@@ -9,0 +10,2 @@\n+one\n+two\n\
                    diff --git a/y.rs b/y.rs\nnew file mode 100644\n--- /dev/null\n+++ b/y.rs\n@@ -0,0 +1 @@\n+three\n";
const TABLE: &str =
    "| patch | file | lines | why |\n| --- | --- | --- | --- |\n| `a.patch` | `x.rs` | +3 -1 | w |\n| | `y.rs` | +1 | w |\n";

fn parse(text: &str) -> Result<Patch, PatchError> {
    Patch::parse("a.patch", text)
}

#[test]
fn the_patches_have_no_context_and_are_what_their_readme_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../patches/lighthouse");
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            patches.push(Patch::parse(&name, &fs::read_to_string(&path).unwrap()).unwrap());
        }
    }
    assert_eq!(patches.len(), 6);
    check(&patches, &rows(&fs::read_to_string(folder.join("README.md")).unwrap())).unwrap();
    let changed: usize = patches.iter().flat_map(|patch| patch.files.values()).map(|(_, removed)| removed).sum();
    assert_eq!(changed, 2, "only the two limits are changed; everything else is added");
}

#[test]
fn a_patch_with_context_or_with_other_lines_than_it_says_is_found() {
    let patch = parse(GOOD).unwrap();
    assert_eq!(patch.files.into_iter().collect::<Vec<_>>(), [("x.rs".to_owned(), (3, 1)), ("y.rs".to_owned(), (1, 0))]);
    for (from, to) in
        [("-old", " old"), ("+two\n", " two\n"), ("+two\n", "+two\n+more\n"), ("+two\n", ""), ("b/x.rs\n---", "b/z.rs\n---")]
    {
        assert!(parse(&GOOD.replacen(from, to, 1)).is_err(), "{from:?} to {to:?}");
    }
    assert!(parse("+alone\n").is_err() && parse("index 1..2 100644\n").is_err());
}

#[test]
fn a_table_that_says_something_else_is_found() {
    let patch = parse(GOOD).unwrap();
    check(std::slice::from_ref(&patch), &rows(TABLE)).unwrap();
    for (from, to) in
        [("+3 -1", "+3"), ("+3 -1", "+2 -1"), ("`y.rs` | +1", "`y.rs` | +2"), ("x.rs", "z.rs"), ("a.patch", "b.patch")]
    {
        assert!(check(std::slice::from_ref(&patch), &rows(&TABLE.replacen(from, to, 1))).is_err(), "{from} to {to}");
    }
    let other = Patch { name: "b.patch".to_owned(), ..patch.clone() };
    assert!(matches!(check(&[patch, other], &rows(TABLE)), Err(PatchError::Shared { .. })));
}

#[test]
fn git_says_whether_a_patch_applies_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, patch) = (folder.path().join("tree"), folder.path().join("a.patch"));
    fs::create_dir(&tree).unwrap();
    assert!(Command::new("git").arg("-C").arg(&tree).args(["init", "--quiet"]).status().unwrap().success());
    let old: String = (1..=12).map(|line| if line == 3 { "old\n".to_owned() } else { format!("{line}\n") }).collect();
    fs::write(tree.join("x.rs"), &old).unwrap();
    fs::write(&patch, GOOD).unwrap();
    applies(&tree, &[&patch]).unwrap();
    assert_eq!(fs::read_to_string(tree.join("x.rs")).unwrap(), old);
    fs::write(tree.join("x.rs"), old.replace("old", "newer")).unwrap();
    assert!(applies(&tree, &[&patch]).unwrap_err().contains("x.rs"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(diff --git a/x b/x\n|@@ -[0-9]{0,3}(,[0-9])? \\+1 @@\n|[-+ ]{0,2}[a-z]{0,4}\n|\\PC{0,20}\n){0,12}") {
        let _ = parse(&text);
        let _ = rows(&text);
    }
}
