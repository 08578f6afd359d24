//! x
#![allow(missing_docs)]
pub mod chain;
pub mod engine;
pub mod execute;
pub mod payload;
pub mod pool;
pub mod limits;
pub mod rpc;
pub mod spec;
pub mod state;
pub mod store;
pub mod trie;
pub mod validate;
