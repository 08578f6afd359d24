//! Which of several deltas of one model head goes on, alone or merged (section 15).
//!
//! # Purpose
//! One deterministic integer rule per number of inputs, and the plan of the merge it asks for.
//!
//! # Contract
//! The result depends on the set of inputs and on the measured gains alone, never on their order or on threads.
//!
//! # What it does not protect against
//! Gains are measured elsewhere, in floats: two machines may measure different ones and then choose differently, which is harmless,
//! as a choice is a proposal like any other. Sybils that differ enough (overlap below 0.4, or more than four times the size) count as
//! many trainers.
//!
//! # Cost
//! For 64 full deltas of a 1.5 B model [`aggregate`] takes 1.5 to 3 s on one thread (2,016 overlaps, then as many distances). Callers
//! run it off every path that has a deadline.

mod krum;
mod overlap;
mod rule;

pub use krum::{KrumError, krum_scores};
pub use overlap::{copies_any, near_copy, overlap};
pub use rule::{AggregateError, Choice, Input, MAX_KEPT, MergePlan, Outcome, Rule, aggregate, weights};
