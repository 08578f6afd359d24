//! What is looked at before anything is begun: disk and clock.

use pol_kit::{clock::Clock, exit::Exit};
use rustix::fs::statvfs;

use crate::layout::Layout;

/// A chain of days, logs, and room to stop in good order.
const DISK_BYTES: u64 = 512 << 20;
/// Start of 2024: no clock that is right says less.
const CLOCK_MIN: u64 = 1_704_067_200;

/// Free bytes of the disk that a directory is on.
pub(crate) fn free_bytes(layout: &Layout) -> Option<u64> {
    let disk = statvfs(layout.directory()).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Looks.
///
/// # Errors
/// The operator's: no room, or a clock that is far off.
pub(super) fn check(layout: &Layout, clock: &dyn Clock) -> Result<(), Exit> {
    let folder = layout.directory().display();
    if let Some(free) = free_bytes(layout).filter(|free| *free < DISK_BYTES) {
        return Err(Exit::usage(format!("{folder}: {} MiB of disk are free, {} are needed", free >> 20, DISK_BYTES >> 20)));
    }
    if clock.unix_seconds() < CLOCK_MIN {
        return Err(Exit::usage(format!("this machine's clock says {} s since 1970, before 2024: set it", clock.unix_seconds())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pol_kit::clock::Manual;

    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert!(free_bytes(&layout).is_some());
        let line = check(&layout, &Manual::at(5)).unwrap_err().to_string();
        assert!(line.contains("clock says 5 s"), "{line}");
        check(&layout, &Manual::at(CLOCK_MIN)).unwrap();
    }
}
