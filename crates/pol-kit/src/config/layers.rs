//! Which layer a variable's value comes from.

use super::{ALIASES, ConfigError};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where a value comes from, the strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// A variable of the process's environment.
    Environment {
        /// Under this name.
        name: String,
    },
    /// A line of the `.env` file.
    EnvFile {
        /// Under this name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// The default.
    Default,
}

impl Origin {
    /// In words, for a message.
    pub fn place(&self) -> String {
        match self {
            Self::Flag => "the command line".to_owned(),
            Self::Environment { name } => format!("the environment ({name})"),
            Self::EnvFile { name, path } => format!("{} ({name})", path.display()),
            Self::Default => "the default".to_owned(),
        }
    }
}

/// What a process was started with.
#[derive(Clone, Default)]
pub struct Sources {
    /// The command line, the program's name first.
    pub args: Vec<OsString>,
    /// The environment.
    pub env: BTreeMap<String, OsString>,
}

impl Sources {
    /// Those of this process. Variables whose names are not UTF-8 are left out: none of ours is.
    pub fn of_process() -> Self {
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self { args: std::env::args_os().collect(), env: env.collect() }
    }
}

/// Secrets may stand in either.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sources({} arguments, {} variables)", self.args.len(), self.env.len())
    }
}

/// The original's name of a setting.
pub(super) fn alias(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs)
}

/// The value of the setting `name` in one layer, and the name it stands under.
pub(super) fn in_layer<'a>(
    layer: &'a BTreeMap<String, OsString>,
    name: &str,
    origin: impl Fn(String) -> Origin,
) -> Result<Option<(&'a OsString, Origin)>, ConfigError> {
    let set = |name: &str| layer.get(name).filter(|value| !value.is_empty());
    let (ours, alias) = (set(name), alias(name));
    let theirs = alias.and_then(|alias| Some((set(alias)?, alias)));
    match (ours, theirs) {
        (Some(ours), Some((theirs, alias))) if ours != theirs => {
            Err(ConfigError::Ambiguous { name: name.to_owned(), alias, origin: origin(name.to_owned()) })
        }
        (Some(ours), _) => Ok(Some((ours, origin(name.to_owned())))),
        (None, Some((theirs, alias))) => Ok(Some((theirs, origin(alias.to_owned())))),
        (None, None) => Ok(None),
    }
}
