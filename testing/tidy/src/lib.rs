//! Rules about the repository itself, as pure functions over text.
//!
//! Purpose: what a reviewer would otherwise have to remember. Contract: `tests/repository.rs` reads the files and fails on any
//! [`Finding`]; every rule has a test beside it that shows it firing. Limits: see README.md. What it does not protect against: a
//! rule says nothing about whether the code is right.

pub mod dependencies;
pub mod documents;
pub mod leftovers;
pub mod locks;
pub mod manifests;
pub mod repository;
pub mod sizes;
pub mod tokens;

use std::fmt;

/// One broken rule: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A path, `path:line`, or the name of a crate.
    pub place: String,
    /// One sentence for the person who has to mend it.
    pub text: String,
}

impl Finding {
    /// A finding about `place`.
    pub fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
