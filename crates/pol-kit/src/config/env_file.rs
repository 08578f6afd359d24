//! The `.env` file.

use super::ConfigError;
use crate::limits::ENV_FILE_BYTES;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The variables of a `.env` file; none when there is no such file. The last of several lines for one name counts.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, OsString>, ConfigError> {
    let io = |source| ConfigError::EnvFile { path: path.to_owned(), source };
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(ENV_FILE_BYTES.saturating_add(1)).read_to_string(&mut text).map_err(io)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(io(error)),
    };
    if text.len() > usize::try_from(ENV_FILE_BYTES).unwrap_or(usize::MAX) {
        return Err(io(io::Error::new(io::ErrorKind::FileTooLarge, "too long for a .env file")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let assigned = |item| match item {
        Ok((name, value)) => Ok((name, OsString::from(value))),
        Err(dotenvy::Error::LineParse(found, _)) => {
            // The parser gives the text, not the number, of a line.
            let before = text.find(found.trim_end()).and_then(|at| text.get(..at)).unwrap_or_default();
            Err(ConfigError::EnvFileLine { path: path.to_owned(), line: before.lines().count().saturating_add(1) })
        }
        Err(dotenvy::Error::Io(source)) => Err(io(source)),
        Err(_) => Err(io(io::ErrorKind::InvalidData.into())),
    };
    dotenvy::from_read_iter(text.as_bytes()).map(assigned).collect()
}
