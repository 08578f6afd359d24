//! Things that must not stay in a commit: unfinished work, silent skips, paths of somebody's machine.

use crate::{Finding, tokens};
use proc_macro2::LexError;

/// Macros that mark unfinished work or were left by a debugging session.
const BANNED_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];

/// Marks of unfinished work; spelled in two halves so that this file does not hold them.
const BANNED_WORDS: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];

/// Absolute paths that exist on one machine only, up to the part that varies; spelled in two halves likewise.
const LOCAL_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/tmp/", "wt-"), concat!("/tmp/", "target-")];

/// Banned macros and unreasoned ignores of a Rust file.
///
/// # Errors
/// When the text is not Rust.
pub fn check_rust(path: &str, source: &str) -> Result<Vec<Finding>, LexError> {
    let tokens = tokens::parse(source)?;
    let macros = tokens::macro_calls(&tokens, BANNED_MACROS).into_iter();
    let macros = macros.map(|(line, name)| Finding::new(format!("{path}:{line}"), format!("{name}! is left in the code")));
    let ignores = tokens::ignores_without_reason(&tokens).into_iter();
    let ignores = ignores.map(|line| Finding::new(format!("{path}:{line}"), "#[ignore] without a reason"));
    Ok(macros.chain(ignores).collect())
}

/// Whether the words are looked for in this file: code and scripts, not prose.
pub fn is_code(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((_, extension)) => matches!(extension, "rs" | "py" | "sh" | "toml" | "yaml" | "yml" | "proto"),
        None => true,
    }
}

/// Marks of unfinished work, as whole words.
pub fn check_words(path: &str, text: &str) -> Vec<Finding> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut findings = Vec::new();
    for (line, content) in text.lines().enumerate() {
        for word in content.split(|c| !is_word(c)).filter(|word| BANNED_WORDS.contains(word)) {
            findings.push(Finding::new(format!("{path}:{}", line + 1), format!("{word} is left: do it, or file an issue")));
        }
    }
    findings
}

/// Paths of one machine. A path counts only from its root, so `docs/work/x` is none.
pub fn check_local_paths(path: &str, text: &str) -> Vec<Finding> {
    let continues = |c: char| c.is_alphanumeric() || "._-/}~*".contains(c);
    let mut findings = Vec::new();
    for (line, content) in text.lines().enumerate() {
        for pattern in LOCAL_PATHS {
            let starts_here = |(at, _): (usize, &str)| {
                let named = content[at + pattern.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.' || c == '_');
                named && !content[..at].ends_with(continues)
            };
            if content.match_indices(pattern).any(starts_here) {
                findings.push(Finding::new(format!("{path}:{}", line + 1), format!("names a path of one machine ({pattern}..)")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_macros_and_silent_ignores_are_found() {
        let source = "fn a() {\n    todo!()\n}\n#[test]\n#[ignore]\nfn b() {\n    dbg!(1);\n    unimplemented!()\n}\n";
        let places: Vec<_> = check_rust("a.rs", source).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["a.rs:2", "a.rs:7", "a.rs:8", "a.rs:5"]);
        assert!(check_rust("a.rs", "/// Not todo!().\nfn a() { assert!(true) }").unwrap().is_empty());
    }

    #[test]
    fn unfinished_marks_are_found_as_whole_words_only() {
        for word in BANNED_WORDS {
            assert_eq!(check_words("a.sh", &format!("one\n# {word}: later")).len(), 1);
            assert!(check_words("a.sh", &format!("mktemp /tmp/x.{word}{word}")).is_empty());
        }
    }

    #[test]
    fn prose_may_speak_of_the_marks() {
        assert!(is_code("src/a.rs") && is_code("scripts/test") && is_code("justfile"));
        assert!(!is_code("README.md") && !is_code("testing/vectors/seal.json"));
    }

    #[test]
    fn every_path_of_one_machine_is_found() {
        for pattern in LOCAL_PATHS {
            for text in [format!("{pattern}x/y"), format!("cd \"{pattern}x/y\""), format!("PATH={pattern}x/bin")] {
                assert_eq!(check_local_paths("a.md", &text).len(), 1, "{text}");
            }
        }
    }

    #[test]
    fn a_path_below_another_folder_is_no_local_path() {
        for text in ["docs/work/a.md", "$HOME/work/x", "${POLAI}/work/x", "see /work/", "at home/root"] {
            assert!(check_local_paths("a.md", text).is_empty(), "{text}");
        }
    }
}
