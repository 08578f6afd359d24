//! All variables of all processes, for `polai env`.

use super::layers::alias;
use super::load::{default_text, with_variable};
use clap::Command;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A setting, as its documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment and in `.env`.
    pub name: String,
    /// The original's name for it.
    pub alias: Option<&'static str>,
    /// Its flag, with two dashes.
    pub flag: Option<String>,
    /// Its default; none when there is none, or when it is a secret.
    pub default: Option<String>,
    /// What it means.
    pub meaning: String,
    /// It is never printed.
    pub secret: bool,
    /// The processes that read it.
    pub processes: Vec<String>,
}

/// The variables that these processes read, by name. Where several read one, the first one's words count.
pub fn variables(commands: &[Command]) -> Vec<Variable> {
    let mut variables = BTreeMap::<String, Variable>::new();
    for command in commands {
        for (arg, name) in with_variable(command) {
            let secret = arg.is_hide_env_values_set();
            let variable = variables.entry(name.clone()).or_insert_with(|| Variable {
                alias: alias(&name),
                flag: arg.get_long().map(|long| format!("--{long}")),
                default: default_text(arg).filter(|_| !secret),
                meaning: arg.get_help().map(ToString::to_string).unwrap_or_default(),
                secret,
                processes: Vec::new(),
                name,
            });
            let process = command.get_name().to_owned();
            if !variable.processes.contains(&process) {
                variable.processes.push(process);
            }
        }
    }
    variables.into_values().collect()
}

/// The variables as a text that is a valid `.env` file itself: every assignment a comment, with the default where there is one.
pub fn render(variables: &[Variable]) -> String {
    let mut text = String::from("# flag > environment > .env in the data directory > default\n");
    for variable in variables {
        let flag = variable.flag.as_deref().unwrap_or("no flag");
        let alias = variable.alias.map(|alias| format!(", also {alias}")).unwrap_or_default();
        let secret = if variable.secret { ", secret" } else { "" };
        let default = variable.default.as_deref().unwrap_or_default();
        let processes = variable.processes.join(", ");
        // Writing into a string cannot fail.
        let _ = write!(text, "\n# {}\n# {flag}{alias}{secret}; read by {processes}\n", variable.meaning);
        let _ = writeln!(text, "#{}={default}", variable.name);
    }
    text
}
