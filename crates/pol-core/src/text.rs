//! Strict lower-case hex, the only text form of bytes in this protocol.

use core::fmt;

/// Why a text is not the hex it should be. The peer's or operator's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// Wrong number of characters.
    #[error("{field}: found {found} characters, expected {expected} hex digits")]
    Length {
        /// Name of the value.
        field: &'static str,
        /// Characters (bytes) found.
        found: usize,
        /// Digits expected.
        expected: usize,
    },
    /// A character outside the alphabet.
    #[error("{field}: character {position} is not a hex digit of the expected alphabet ({alphabet})")]
    Digit {
        /// Name of the value.
        field: &'static str,
        /// Position of the first wrong byte, from 0.
        position: usize,
        /// The digits that are allowed here.
        alphabet: &'static str,
    },
}

/// Writes bytes as lower-case hex without allocating.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// Parses exactly `2 * N` lower-case hex digits.
pub(crate) fn lower_hex<const N: usize>(field: &'static str, s: &str) -> Result<[u8; N], HexError> {
    if let Some(position) = s.bytes().position(|b| b.is_ascii_uppercase()) {
        return Err(HexError::Digit { field, position, alphabet: "0-9a-f" });
    }
    any_hex(field, s)
}

/// Parses exactly `2 * N` hex digits of either case.
pub(crate) fn any_hex<const N: usize>(field: &'static str, s: &str) -> Result<[u8; N], HexError> {
    let expected = N.saturating_mul(2);
    if s.len() != expected {
        return Err(HexError::Length { field, found: s.len(), expected });
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(s, &mut bytes).map_err(|_| {
        let position = s.bytes().position(|b| !b.is_ascii_hexdigit()).unwrap_or(0);
        HexError::Digit { field, position, alphabet: "0-9a-fA-F" }
    })?;
    Ok(bytes)
}
