//! Texts to train on: named datasets of the hub, files of this machine, or the built-in corpus.
//!
//! # Contract
//! [`DataAcquisition`] turns a request into [`Texts`]: a set with numbers. What a set holds follows from the request and the
//! commits of the datasets alone; it is checked by hashes whenever it is opened. [`Sampler`] goes through a set in an order that follows
//! from (seed, epoch), and its [`Cursor`] goes on exactly where it was kept. Texts are read in streaming: parquet row groups and pages only as
//! needed, JSON lines and text line by line, all bounded.
//!
//! # What it does not protect against
//! Texts that are lies, or that hold what they should not. Two machines with other commits of a dataset train on other texts.

mod acquire;
mod cli;
mod corpus_set;
mod filter;
mod lines;
mod local;
mod order;
mod parquet;
mod read;
mod registry;
mod report;
mod request;
mod set;

pub use acquire::{DataAcquisition, SAMPLES_DEFAULT};
pub use cli::{CacheArgs, DataCommand, DatasetsArgs, PreviewArgs, SourceArgs};
pub use corpus_set::{CORPUS_TEXTS, CorpusSet};
pub use filter::{Filter, Limits, Refusal};
pub use lines::{LINE_BYTES_MAX, PART_TEXTS};
pub use local::LocalError;
pub use order::{Cursor, Order, Sampler};
pub use parquet::PAGE_BYTES_MAX;
pub use read::{Counts, Format, Packing, ReadError, TextFile};
pub use registry::{DATASETS, Dataset, Named, UnknownDataset};
pub use report::{Statistics, list, save};
pub use request::{AcquireError, Event, Request};
pub use set::{About, Contribution, SampleSet, SetError, TEXTS_MAX, TextSource, Texts, sample_id};
