//! SHA-256 of what streams by.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

const BUFFER_BYTES: usize = 1 << 18;

/// Copies at most `most` bytes, and says how many they were and what their SHA-256 is.
///
/// # Errors
/// What the reader or the writer says.
pub(crate) fn copy(from: &mut impl Read, to: &mut impl Write, most: u64) -> io::Result<(u64, [u8; 32])> {
    let mut from = from.take(most);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut total = 0_u64;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        to.write_all(bytes)?;
        total = total.saturating_add(count as u64);
    }
    Ok((total, hasher.finalize().into()))
}
