//! From the layers to a process's arguments.

use super::layers::{Origin, Sources, alias, in_layer};
use super::{ConfigError, DATA_DIR, env_file};
use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Parser};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A process's settings.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// The arguments.
    pub args: A,
    /// By variable name, where those come from that are set at all. Without values: they may be secret.
    pub origins: BTreeMap<String, Origin>,
}

/// By our name, what the layers below the flags say.
type Found = BTreeMap<String, (OsString, Origin)>;

/// Reads a process's settings from all layers.
///
/// # Errors
/// [`ConfigError`]; the operator's fault, or a request for help, which [`crate::exit::main`] answers. A process ends with code 2.
pub fn load<A: Parser>(sources: &Sources) -> Result<Loaded<A>, ConfigError> {
    let command = A::command();
    let env_path = data_dir(&command, sources)?.map(|directory| directory.join(".env"));
    let mut env_file = env_path.as_deref().map(env_file::read).transpose()?.unwrap_or_default();
    // A file cannot say where it lies itself.
    for (_, name) in with_variable(&command).iter().filter(|(arg, _)| arg.get_id() == DATA_DIR) {
        env_file.remove(name);
    }
    let mut found = Found::new();
    for name in names(&command) {
        let environment = in_layer(&sources.env, &name, |name| Origin::Environment { name })?;
        let path = env_path.clone().unwrap_or_default();
        let file = in_layer(&env_file, &name, |name| Origin::EnvFile { name, path: path.clone() })?;
        if let Some((value, origin)) = environment.or(file) {
            found.insert(name, (value.clone(), origin));
        }
    }
    let layered = layered(command.clone(), &found);
    let matches = layered.try_get_matches_from(&sources.args).map_err(|error| explain(error, &command, &found))?;
    let args = A::from_arg_matches(&matches).map_err(|error| explain(error, &command, &found))?;
    let mut origins = BTreeMap::new();
    collect_origins(&command, &matches, &found, &mut origins);
    Ok(Loaded { args, origins })
}

/// All arguments that have a variable, those of subcommands included.
pub(super) fn with_variable(command: &Command) -> Vec<(&Arg, String)> {
    let own = command.get_arguments().filter_map(|arg| Some((arg, arg.get_env()?.to_str()?.to_owned())));
    own.chain(command.get_subcommands().flat_map(with_variable)).collect()
}

fn names(command: &Command) -> impl Iterator<Item = String> {
    with_variable(command).into_iter().map(|(_, name)| name)
}

/// Where `.env` lies must be known before the rest is parsed: the flag is looked for by hand, just as clap reads it.
fn data_dir(command: &Command, sources: &Sources) -> Result<Option<PathBuf>, ConfigError> {
    let Some((arg, name)) = with_variable(command).into_iter().find(|(arg, _)| arg.get_id() == DATA_DIR) else { return Ok(None) };
    let flag = format!("--{}", arg.get_long().unwrap_or("data-dir"));
    let mut args = sources.args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if *arg == *flag {
            return Ok(args.next().map(PathBuf::from));
        }
        if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix(&flag)?.strip_prefix('=')) {
            return Ok(Some(value.into()));
        }
    }
    if let Some((value, _)) = in_layer(&sources.env, &name, |name| Origin::Environment { name })? {
        return Ok(Some(value.into()));
    }
    Ok(arg.get_default_values().first().map(|value| PathBuf::from(value.as_os_str())))
}

/// The command with what the layers say as its defaults. Clap's own reading of the environment is taken out, so that the layers
/// are the only way in; the help still names the variables.
fn layered(mut command: Command, found: &Found) -> Command {
    let ids: Vec<_> = command.get_arguments().filter(|arg| arg.get_env().is_some()).map(|arg| arg.get_id().clone()).collect();
    for id in ids {
        command = command.mut_arg(id, |arg| layered_arg(arg, found));
    }
    command.mut_subcommands(|subcommand| layered(subcommand, found))
}

fn layered_arg(arg: Arg, found: &Found) -> Arg {
    let Some(name) = arg.get_env().and_then(OsStr::to_str).map(str::to_owned) else { return arg };
    let names = alias(&name).map(|alias| format!("{name}, {alias}")).unwrap_or_else(|| name.clone());
    let default = default_text(&arg).map(|default| format!(" [default: {default}]")).unwrap_or_default();
    let help = format!("{} [env: {names}]{default}", arg.get_help().map(ToString::to_string).unwrap_or_default());
    let takes_values = arg.get_action().takes_values();
    let arg = arg.env(Resettable::Reset).hide_default_value(takes_values).help(help);
    match found.get(&name) {
        Some((value, _)) => arg.required(false).default_value(value.clone()),
        None => arg,
    }
}

/// The default as a person reads it; none for switches, whose default is to be off.
pub(super) fn default_text(arg: &Arg) -> Option<String> {
    if !arg.get_action().takes_values() || arg.get_default_values().is_empty() {
        return None;
    }
    let values = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
    Some(values.collect::<Vec<_>>().join(","))
}

/// A wrong value is reported with the place it stands in, a secret one without the value. All else is clap's own.
fn explain(error: clap::Error, command: &Command, found: &Found) -> ConfigError {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return error.into();
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let shown = text(ContextKind::InvalidArg).unwrap_or_default();
    // An argument has its full name only in a built command.
    let mut built = command.clone();
    built.build();
    let Some((arg, name)) = with_variable(&built).into_iter().find(|(arg, _)| arg.to_string() == shown) else {
        return error.into();
    };
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    let lower = found.get(&name).filter(|(lower, _)| lower.to_string_lossy().contains(&value));
    let origin = lower.map_or(Origin::Flag, |(_, origin)| origin.clone());
    let secret = arg.is_hide_env_values_set();
    let possible = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!("expected one of {}", values.join(", ")),
        _ => "not accepted".to_owned(),
    };
    let reason = error.source().map_or(possible, ToString::to_string);
    let reason = if secret && !value.is_empty() { reason.replace(&value, "(secret)") } else { reason };
    ConfigError::Value { argument: shown, origin, found: (!secret).then_some(value), reason }
}

fn collect_origins(command: &Command, matches: &ArgMatches, found: &Found, origins: &mut BTreeMap<String, Origin>) {
    for arg in command.get_arguments() {
        let Some(name) = arg.get_env().and_then(OsStr::to_str) else { continue };
        let origin = match matches.value_source(arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(_) => found.get(name).map_or(Origin::Default, |(_, origin)| origin.clone()),
            None => continue,
        };
        origins.insert(name.to_owned(), origin);
    }
    if let Some((name, matches)) = matches.subcommand()
        && let Some(subcommand) = command.find_subcommand(name)
    {
        collect_origins(subcommand, matches, found, origins);
    }
}
