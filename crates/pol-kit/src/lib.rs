//! x

pub mod breaker;
pub mod clock;
pub mod fs;
pub mod limits;
