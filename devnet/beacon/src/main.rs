//! `pol-beacon`: the embedded beacon node. See README.md.

use pol_beacon::process;
use pol_kit::exit;

fn main() -> exit::Code {
    exit::main("pol-beacon", process::main)
}
