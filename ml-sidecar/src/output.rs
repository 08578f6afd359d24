//! Standard output of the commands.
//!
//! `println!` panics when nobody reads (`ml-sidecar delta inspect d.pld | head -1`). Here a reader that has seen enough is no failure, and a
//! full disk behind `>` is one line in the log.

use std::{
    fmt,
    io::{self, Write as _},
};

/// Writes to standard output what `format!` makes of the arguments.
macro_rules! say {
    ($($argument:tt)*) => { $crate::output::write(format_args!($($argument)*), true) };
}

/// The same, without the end of the line.
macro_rules! say_part {
    ($($argument:tt)*) => { $crate::output::write(format_args!($($argument)*), false) };
}

pub(crate) fn write(text: fmt::Arguments<'_>, is_line: bool) {
    let mut out = io::stdout().lock();
    let written = out.write_fmt(text).and_then(|()| if is_line { out.write_all(b"\n") } else { out.flush() });
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            tracing::error!(target: "polai::ml", %error, "standard output cannot be written to");
        }
        _ => {}
    }
}
