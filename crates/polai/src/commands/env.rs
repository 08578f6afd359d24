//! `polai env`.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use clap::CommandFactory as _;
use pol_kit::{config, exit::Exit};

use crate::{
    args::Args,
    programs::{self, Programs},
    up::say,
};

/// Words of a help that are looked at, bytes.
const HELP_BYTES: usize = 1 << 20;

/// A variable as a program's own help tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    name: String,
    text: String,
    processes: Vec<String>,
}

/// Lists all variables: polai's own and the beacon node's as code has them, the other programs' as their helps say.
///
/// # Errors
/// None: a program that is not there is left out, in a comment.
pub fn env(programs: &Programs) -> Result<(), Exit> {
    let own = config::variables(&[Args::command(), pol_beacon::process::args::Args::command()]);
    say(config::render(&own).trim_end());
    let mut others = BTreeMap::<String, Told>::new();
    for (name, more) in [(programs::DHT, None), (programs::EXECUTION, None), (programs::SIDECAR, Some("serve"))] {
        let Some(help) = help(programs, name, more) else {
            say(&format!("\n# {name} is not there, its variables are not listed"));
            continue;
        };
        for (variable, text) in variables(&help) {
            if own.iter().any(|own| own.name == variable) {
                continue;
            }
            let entry = Told { name: variable.clone(), text, processes: Vec::new() };
            others.entry(variable).or_insert(entry).processes.push(name.to_owned());
        }
    }
    for Told { name, text, processes } in others.into_values() {
        say(&format!("\n# {text}\n# read by {}\n#{name}=", processes.join(", ")));
    }
    Ok(())
}

fn help(programs: &Programs, name: &str, more: Option<&str>) -> Option<String> {
    let program = programs.find(name).ok()?;
    let mut command = Command::new(program);
    command.args(more).arg("--help").stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success() && output.stdout.len() <= HELP_BYTES)?;
    String::from_utf8(output.stdout).ok()
}

/// Variables of a help, and what it says of each.
fn variables(help: &str) -> Vec<(String, String)> {
    let mut entries: Vec<String> = Vec::new();
    for line in help.lines() {
        let words = line.trim();
        let is_flag = line.starts_with(' ') && (words.starts_with("--") || words.starts_with('-') && words.contains(", --"));
        if is_flag {
            entries.push(words.to_owned());
        } else if !words.is_empty() && !line.starts_with("   ") {
            entries.push(String::new());
        } else if let Some(entry) = entries.last_mut().filter(|entry| !entry.is_empty()) {
            entry.push(' ');
            entry.push_str(words);
        }
    }
    let named = |entry: String| {
        let (_, rest) = entry.split_once("[env: ")?;
        let name = rest.split([',', ']', '=']).next()?.trim();
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        plain.then(|| (name.to_owned(), entry.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    entries.into_iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_both_forms_of_help() {
        let help = "Runs\n\nOptions:\n      --port <PORT>\n          Port of it\n          \n          [env: A_PORT, B_PORT] [default: 7]\n\n  \
                    -x, --exact <X>   Exactly that, as\n                    it is [env: EXACT]\n      --none   No variable\n  -h, --help   Print help\n";
        let found = variables(help);
        assert_eq!(found[0].0, "A_PORT");
        assert_eq!(found[1], ("EXACT".to_owned(), "-x, --exact <X> Exactly that, as it is [env: EXACT]".to_owned()));
        assert_eq!(found.len(), 2);
    }
}
