//! The small commands.

mod doctor;
mod down;
mod env;
mod logs;
mod reset;

pub use doctor::doctor;
pub use down::down;
pub use env::env;
pub use logs::logs;
pub use reset::reset;
