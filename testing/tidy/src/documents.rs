//! Documents that do not lie: commands in code blocks exist.

use crate::Finding;
use std::collections::{BTreeMap, BTreeSet};

/// Most recipes a justfile may have; beyond that nobody reads the list.
pub const JUST_RECIPES: usize = 25;

/// Cargo's commands that documents may use; the last three come with scripts/setup or are cargo-fuzz.
const CARGO_COMMANDS: &[&str] =
    &["add", "bench", "build", "check", "clean", "clippy", "doc", "fetch", "fmt", "run", "test", "deny", "fuzz", "nextest"];

/// What a command can refer to.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Executable files, from the root of the repository.
    pub scripts: BTreeSet<String>,
    /// Recipes of the justfile.
    pub recipes: BTreeSet<String>,
    /// Packages of the workspace, each with its targets as (kind, name).
    pub packages: BTreeMap<String, BTreeSet<(String, String)>>,
}

impl Known {
    fn has_target(&self, kind: &str, name: &str) -> bool {
        self.packages.values().flatten().any(|target| target.0 == kind && target.1 == name)
    }
}

/// Names of a justfile's recipes, in order.
pub fn recipes(justfile: &str) -> Vec<String> {
    let header = |line: &str| -> Option<String> {
        let (head, rest) = line.split_once(':')?;
        let name = head.split_whitespace().next()?.trim_start_matches('@');
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let is_setting = rest.starts_with('=') || head.contains('=') && !head.contains(['"', '\'']);
        (is_name && !is_setting && !line.starts_with([' ', '\t'])).then(|| name.to_owned())
    };
    justfile.lines().filter_map(header).collect()
}

/// Commands in fenced code blocks: line number and words, without prompt, variables and comment; `a && b` is two.
pub fn commands(markdown: &str) -> Vec<(usize, Vec<String>)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in markdown.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        if !inside {
            continue;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let line = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or(line) };
        for part in line.split("&&").flat_map(|part| part.split(['|', ';'])) {
            let is_variable = |word: &&str| word.contains('=') && !word.starts_with(['-', '.']);
            let words: Vec<String> = part.split_whitespace().skip_while(is_variable).map(str::to_owned).collect();
            let is_ours = |word: &String| word.starts_with("./scripts/") || ["just", "cargo", "polai"].contains(&word.as_str());
            if words.first().is_some_and(is_ours) {
                found.push((number + 1, words));
            }
        }
    }
    found
}

/// Commands of a document that do not exist.
pub fn check(path: &str, markdown: &str, known: &Known) -> Vec<Finding> {
    let wrong = |(line, words): (usize, Vec<String>)| {
        let text = problem(&words, known)?;
        Some(Finding::new(format!("{path}:{line}"), format!("`{}`: {text}", words.join(" "))))
    };
    commands(markdown).into_iter().filter_map(wrong).collect()
}

fn problem(words: &[String], known: &Known) -> Option<String> {
    let (command, arguments) = words.split_first()?;
    match command.as_str() {
        "just" => {
            let recipe = arguments.iter().find(|word| !word.starts_with('-'))?;
            (!known.recipes.contains(recipe)).then(|| format!("the justfile has no recipe {recipe}"))
        }
        "cargo" => cargo_problem(arguments, known),
        "polai" => (!known.has_target("bin", "polai")).then(|| "no crate builds a program called polai".to_owned()),
        script => {
            let script = script.trim_start_matches("./");
            (!known.scripts.contains(script)).then(|| format!("{script} is not an executable file"))
        }
    }
}

fn cargo_problem(arguments: &[String], known: &Known) -> Option<String> {
    let mut words = arguments.iter().skip_while(|word| word.starts_with('+')).take_while(|word| *word != "--");
    let command = words.next()?;
    if !CARGO_COMMANDS.contains(&command.as_str()) {
        return Some(format!("cargo {command} is not a command that scripts/setup provides"));
    }
    while let Some(flag) = words.next() {
        let kind = match flag.as_str() {
            "-p" | "--package" => "package",
            "--bench" => "bench",
            "--bin" => "bin",
            "--example" => "example",
            "--test" => "test",
            _ => continue,
        };
        let name = words.next()?;
        let exists = if kind == "package" { known.packages.contains_key(name) } else { known.has_target(kind, name) };
        if !exists {
            return Some(format!("the workspace has no {kind} {name}"));
        }
    }
    None
}

/// A justfile with more recipes than anyone reads.
pub fn check_recipe_count(justfile: &str) -> Vec<Finding> {
    let count = recipes(justfile).len();
    if count <= JUST_RECIPES {
        return Vec::new();
    }
    vec![Finding::new("justfile", format!("{count} recipes, at most {JUST_RECIPES}: remove some"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let targets = BTreeSet::from([("bench".into(), "core".into()), ("lib".into(), "pol_core".into())]);
        Known {
            scripts: BTreeSet::from(["scripts/test".into()]),
            recipes: BTreeSet::from(["bench-core".into()]),
            packages: BTreeMap::from([("pol-core".into(), targets)]),
        }
    }

    fn findings(command: &str) -> usize {
        check("README.md", &format!("```sh\n{command}\n```\n"), &known()).len()
    }

    #[test]
    fn existing_commands_pass() {
        for command in [
            "./scripts/test",
            "$ ./scripts/test --long # takes an hour",
            "CI=true ./scripts/test",
            "just",
            "just bench-core",
            "cargo bench -p pol-core --bench core",
            "cargo +nightly fuzz run wire -- -max_total_time=60",
            "ls | wc -l",
            "# just nothing",
        ] {
            assert_eq!(findings(command), 0, "{command}");
        }
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        for command in [
            "./scripts/devnet",
            "just bench",
            "cd a && just bench",
            "cargo bench -p pol-core --bench other",
            "cargo test -p pol-cor",
            "cargo frobnicate",
            "RUST_LOG=info polai up",
        ] {
            assert_eq!(findings(command), 1, "{command}");
        }
    }

    #[test]
    fn only_code_blocks_are_read() {
        assert!(check("README.md", "just nothing\n```text\nx\n```\njust nothing\n", &known()).is_empty());
    }

    #[test]
    fn recipes_are_told_from_settings_and_bodies() {
        let justfile = "set shell := ['bash']\ncache := env('X', 'a:b')\nexport A := 'x'\n\n# List.\n@default:\n    @just --list: x\n\n\
            fuzz target seconds='60':\n    echo {{target}}: 1\ntest *args: fmt\n\techo\nalias t := test\n";
        assert_eq!(recipes(justfile), ["default", "fuzz", "test"]);
    }

    #[test]
    fn a_justfile_has_at_most_25_recipes() {
        let justfile = |n: usize| (0..n).map(|i| format!("r{i}:\n    true\n")).collect::<String>();
        assert!(check_recipe_count(&justfile(25)).is_empty());
        assert_eq!(check_recipe_count(&justfile(26)).len(), 1);
    }
}
