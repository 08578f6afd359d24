//! Files of texts, one a line.

use std::path::Path;

use pol_kit::exit::{Exit, OrUsage as _};

use crate::weights::read_bounded;

/// Longest file of texts, bytes.
pub const TEXT_FILE_BYTES_MAX: u64 = 256 << 20;

/// Lines of a UTF-8 file that are not blank.
///
/// # Errors
/// It cannot be read, is too long, is not UTF-8, or has no text: the operator's fault.
pub fn read_texts(path: &Path) -> Result<Vec<String>, Exit> {
    let bytes = read_bounded(path, TEXT_FILE_BYTES_MAX).or_usage()?;
    let text = String::from_utf8(bytes).map_err(|_| Exit::usage(format!("{}: not UTF-8", path.display())))?;
    let texts: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    if texts.is_empty() { Err(Exit::usage(format!("{}: no text in it", path.display()))) } else { Ok(texts) }
}
