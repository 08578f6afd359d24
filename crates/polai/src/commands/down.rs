//! `polai down`.

use std::{thread, time::Duration};

use pol_kit::{
    clock::{Clock as _, System},
    exit::Exit,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{layout::Layout, run_file, up::say};

const LOOK: Duration = Duration::from_millis(50);
/// A node ends within 5 s, one with Lighthouse within 20 s, the last of it by force.
const PATIENCE: Duration = Duration::from_secs(32);

/// Stops the node that runs in the folder, and waits until it has.
///
/// # Errors
/// The operator's: no such folder, another user's node. It does not end.
pub fn down(layout: &Layout) -> Result<(), Exit> {
    let Some(holder) = run_file::running(layout)? else {
        say(&format!("{}: no node runs here", layout.directory().display()));
        return Ok(());
    };
    let number = holder.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let pid = number.ok_or_else(|| Exit::failure("the node does not say which process it is: end polai up by hand"))?;
    let pid_text = pid.as_raw_nonzero();
    kill_process(pid, Signal::TERM).map_err(|error| Exit::usage(format!("process {pid_text}: {error}")))?;
    let clock = System::new();
    while run_file::running(layout)?.is_some() {
        if clock.monotonic() > PATIENCE {
            return Err(Exit::failure(format!(
                "process {pid_text} did not end in {} s: kill -9 {pid_text} ends it",
                PATIENCE.as_secs()
            )));
        }
        thread::sleep(LOOK);
    }
    say(&format!("stopped in {:.1} s", clock.monotonic().as_secs_f64()));
    Ok(())
}
