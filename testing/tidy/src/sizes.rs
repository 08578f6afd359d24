//! Files and functions that fit one reading.

use crate::{Finding, tokens};
use proc_macro2::LexError;
use serde::Deserialize;

/// Longest file, in lines.
pub const FILE_LINES: usize = 400;
/// Longest file that holds its own test module, in lines.
pub const FILE_LINES_WITH_TESTS: usize = 500;
/// Longest function, in lines.
pub const FUNCTION_LINES: usize = 70;

/// The exceptions of `exceptions.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exceptions {
    /// Files that may be longer.
    pub file: Vec<FileException>,
    /// Functions that may be longer.
    pub function: Vec<FunctionException>,
}

/// A file that may have up to `lines` lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileException {
    /// From the root of the repository.
    pub path: String,
    /// The ceiling.
    pub lines: usize,
    /// Why it reads better in one piece.
    pub reason: String,
}

/// A function that may have up to `lines` lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionException {
    /// From the root of the repository.
    pub path: String,
    /// Its name; several of one name in one file share the exception.
    pub name: String,
    /// The ceiling.
    pub lines: usize,
    /// Why it reads better in one piece.
    pub reason: String,
}

/// The sizes of one file.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From the root of the repository.
    pub path: String,
    /// Its lines.
    pub lines: usize,
    /// The lines it may have.
    pub limit: usize,
    /// Its functions.
    pub functions: Vec<tokens::Function>,
}

/// Measures one Rust file.
///
/// # Errors
/// When the text is not Rust.
pub fn measure(path: &str, source: &str) -> Result<Measured, LexError> {
    let tokens = tokens::parse(source)?;
    let limit = if tokens::has_test_module(&tokens) { FILE_LINES_WITH_TESTS } else { FILE_LINES };
    Ok(Measured { path: path.to_owned(), lines: source.lines().count(), limit, functions: tokens::functions(&tokens) })
}

/// Everything too long, and every exception that is too low, without a reason, or not needed.
pub fn check(files: &[Measured], exceptions: &Exceptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let ceiling = exceptions.file.iter().find(|e| e.path == file.path).map_or(file.limit, |e| e.lines.max(file.limit));
        if file.lines > ceiling {
            findings.push(Finding::new(&file.path, format!("{} lines, at most {ceiling}: split it", file.lines)));
        }
        for function in &file.functions {
            let exception = exceptions.function.iter().find(|e| e.path == file.path && e.name == function.name);
            let ceiling = exception.map_or(FUNCTION_LINES, |e| e.lines.max(FUNCTION_LINES));
            if function.lines > ceiling {
                let text = format!("fn {} has {} lines, at most {ceiling}: split it", function.name, function.lines);
                findings.push(Finding::new(format!("{}:{}", file.path, function.line), text));
            }
        }
    }
    findings.extend(check_exceptions(files, exceptions));
    findings
}

fn check_exceptions(files: &[Measured], exceptions: &Exceptions) -> Vec<Finding> {
    let file_of = |path: &str| files.iter().find(|file| file.path == path);
    let files = exceptions.file.iter().map(|e| {
        let needed = file_of(&e.path).is_some_and(|file| file.lines > file.limit);
        (e.path.clone(), needed, &e.reason)
    });
    let functions = exceptions.function.iter().map(|e| {
        let is_long = |f: &tokens::Function| f.name == e.name && f.lines > FUNCTION_LINES;
        let needed = file_of(&e.path).is_some_and(|file| file.functions.iter().any(is_long));
        (format!("{} fn {}", e.path, e.name), needed, &e.reason)
    });
    let mut findings = Vec::new();
    for (place, needed, reason) in files.chain(functions) {
        if !needed {
            findings.push(Finding::new(&place, "its exception is no longer needed: delete it from exceptions.toml"));
        }
        if reason.trim().len() < 20 {
            findings.push(Finding::new(place, "its exception gives no reason"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: usize, with_tests: bool) -> Measured {
        let tests = if with_tests { "#[cfg(test)]\nmod tests {}\n" } else { "" };
        measure("a.rs", &format!("{tests}{}", "// x\n".repeat(lines - tests.lines().count()))).unwrap()
    }

    fn function(lines: usize) -> Measured {
        measure("a.rs", &format!("fn long() {{\n{}}}\n", "    x();\n".repeat(lines - 2))).unwrap()
    }

    fn exceptions(text: &str) -> Exceptions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_file_may_have_400_lines_and_500_with_its_tests() {
        let none = Exceptions::default();
        assert!(check(&[file(400, false), file(500, true)], &none).is_empty());
        assert_eq!(check(&[file(401, false)], &none).len(), 1);
        assert_eq!(check(&[file(501, true)], &none).len(), 1);
    }

    #[test]
    fn a_function_may_have_70_lines() {
        assert!(check(&[function(70)], &Exceptions::default()).is_empty());
        let findings = check(&[function(71)], &Exceptions::default());
        assert_eq!(findings, [Finding::new("a.rs:1", "fn long has 71 lines, at most 70: split it")]);
    }

    #[test]
    fn an_exception_lifts_the_limit_to_its_own_ceiling() {
        let text = "[[file]]\npath = 'a.rs'\nlines = 450\nreason = 'one table, read from top to bottom'\n";
        assert!(check(&[file(450, false)], &exceptions(text)).is_empty());
        assert_eq!(check(&[file(451, false)], &exceptions(text)).len(), 1);
        let text = "[[function]]\npath = 'a.rs'\nname = 'long'\nlines = 80\nreason = 'one table, read from top to bottom'\n";
        assert!(check(&[function(80)], &exceptions(text)).is_empty());
        assert_eq!(check(&[function(81)], &exceptions(text)).len(), 1);
    }

    #[test]
    fn an_exception_that_is_not_needed_or_not_reasoned_fails() {
        let text = "[[file]]\npath = 'a.rs'\nlines = 450\nreason = 'one table, read from top to bottom'\n";
        assert_eq!(check(&[file(400, false)], &exceptions(text)).len(), 1);
        assert_eq!(check(&[], &exceptions(text)).len(), 1);
        let text = "[[function]]\npath = 'a.rs'\nname = 'gone'\nlines = 80\nreason = 'one table, read from top to bottom'\n";
        assert_eq!(check(&[function(70)], &exceptions(text)).len(), 1);
        let text = "[[file]]\npath = 'a.rs'\nlines = 450\nreason = 'big'\n";
        assert_eq!(check(&[file(450, false)], &exceptions(text)).len(), 1);
    }
}
