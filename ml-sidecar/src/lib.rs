//! The machine learning side of POL-AI.

pub mod corpus;
pub mod data;
mod digest;
pub mod fetch;
pub mod gguf;
pub mod hub;
pub mod texts;
