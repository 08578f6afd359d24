//! `polai status`.

mod gather;
mod show;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use pol_kit::{clock::System, exit::Exit};
use tokio::{runtime::Builder, time::sleep};

pub use gather::{Losses, PartHealth, Status, gather};

use crate::{args::StatusArgs, ask::Ask, layout::Layout, run_file, up::say};

const EVERY: Duration = Duration::from_secs(1);
/// Home, and clear to the end: what a terminal needs to draw anew.
const REDRAW: &str = "\x1b[H\x1b[J";

/// Shows how the node of the folder does.
///
/// # Errors
/// The operator's: no node runs there. Exit code 1 after `--once` when it makes no blocks.
pub fn status(layout: &Layout, args: StatusArgs) -> Result<(), Exit> {
    let (ask, clock) = (Ask::new()?, System::new());
    let once = args.once || args.json || !io::stdout().is_terminal();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        loop {
            let file = run_file::of_running(layout)?;
            let status = gather(&ask, &file, &clock).await;
            if args.json {
                say(&serde_json::to_string_pretty(&status)?);
            } else {
                let table = show::table(&status);
                say(&if once { table } else { format!("{REDRAW}{table}") });
            }
            if once {
                let down = || Exit::failure(format!("no blocks: {}", status.missing().join(", ")));
                return if status.makes_blocks() { Ok(()) } else { Err(down()) };
            }
            sleep(EVERY).await;
        }
    })
}
