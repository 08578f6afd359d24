//! A model state in a file: `POLS`, version 1 (u32), the shape's five numbers (u32), the root (32 bytes), the values (i32); little-endian.

use std::path::Path;

use pol_core::state::{Shape, ShapeError, State, ValuesError};
use pol_kit::fs::{Access, write_durably};

use crate::weights::{WeightError, read_bounded};

const MAGIC: &[u8; 4] = b"POLS";
const VERSION: u32 = 1;
const HEAD: usize = 60;
/// Of the largest adapter that the protocol allows.
const BYTES_MAX: u64 = HEAD as u64 + 4 * (1 << 28);

/// Why a file is no state. The fault of whoever made it, or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// It cannot be read, or is too long.
    #[error(transparent)]
    Read(#[from] WeightError),
    /// It cannot be written. The operator's to mend.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another kind of file, or another version.
    #[error("not a state file of version {VERSION}")]
    Magic,
    /// Numbers that are no shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Cut short, or too long.
    #[error("state file of {found} bytes, expected {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes by its shape.
        expected: usize,
    },
    /// Values that are no state.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// Damaged: the values do not give the root.
    #[error("state file: its values do not give its root")]
    Root,
}

/// Writes a state, durably.
///
/// # Errors
/// [`StateFileError::Write`].
pub fn write_state(state: &State, path: &Path) -> Result<(), StateFileError> {
    let shape = state.shape();
    let mut bytes = Vec::with_capacity(HEAD + 4 * state.values().len());
    bytes.extend_from_slice(MAGIC);
    for number in [VERSION, shape.layers(), shape.hidden(), shape.query(), shape.key_value(), shape.intermediate()] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&state.root().0);
    bytes.extend(state.values().iter().flat_map(|value| value.to_le_bytes()));
    let written = write_durably(path, &bytes, Access::Everybody);
    written.map_err(|source| StateFileError::Write { path: path.display().to_string(), source })
}

/// Reads a state; it is the one that its root names.
///
/// # Errors
/// [`StateFileError`].
pub fn read_state(path: &Path) -> Result<State, StateFileError> {
    parse(&read_bounded(path, BYTES_MAX)?)
}

fn parse(bytes: &[u8]) -> Result<State, StateFileError> {
    let (head, values) = bytes.split_at_checked(HEAD).ok_or(StateFileError::Magic)?;
    let (magic, head) = head.split_at(4);
    let (numbers, root) = head.split_at(24);
    let numbers: Vec<u32> = numbers.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let [VERSION, layers, hidden, query, key_value, intermediate] = numbers[..] else { return Err(StateFileError::Magic) };
    if magic != MAGIC {
        return Err(StateFileError::Magic);
    }
    let shape = Shape::new(layers, hidden, query, key_value, intermediate)?;
    let expected = HEAD + 4 * shape.value_count() as usize;
    if bytes.len() != expected {
        return Err(StateFileError::Length { found: bytes.len(), expected });
    }
    let values = values.as_chunks().0.iter().map(|word| i32::from_le_bytes(*word)).collect();
    let state = State::from_values(shape, values)?;
    if state.root().0 == root { Ok(state) } else { Err(StateFileError::Root) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pol_core::GenesisId;

    fn written() -> (State, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::initial(&GenesisId([5; 32]), Shape::new(2, 16, 16, 8, 24).unwrap());
        write_state(&state, &folder.path().join("s")).unwrap();
        assert_eq!(read_state(&folder.path().join("s")).unwrap(), state);
        let bytes = std::fs::read(folder.path().join("s")).unwrap();
        (state, bytes)
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let (state, bytes) = written();
        assert_eq!(parse(&bytes).unwrap(), state);
    }

    #[test]
    fn a_damaged_file_is_never_a_state() {
        let (_, bytes) = written();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(parse(&damaged).is_err(), "byte {at}");
        }
        for length in [0, 3, HEAD - 1, HEAD, bytes.len() - 1] {
            assert!(parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(matches!(parse(&[&bytes[..], &[0]].concat()), Err(StateFileError::Length { .. })));
    }
}
