//! PLD1, the container of an update (section 14), and what a container means.
//!
//! # Purpose
//! Bytes from anyone become a [`Checked`] update in two stages that the types keep apart: [`RawDelta`] (bounded bytes) ->
//! [`StructurallyValid`] (canonical, for this chain) -> [`Checked`] (signed by its trainer key). Only the last one can be merged,
//! aggregated or added to a state.
//!
//! # Contract
//! One canonical encoding; a decoded container keeps its bytes and decodes records as they are asked for, so decoding needs no
//! memory beyond the container. Every refusal has its own [`DeltaError`].
//!
//! # What it does not protect against
//! A valid signature says who made a container, not that it is any good: loss gate and caps judge that. Slot, samples, steps and
//! tokens are claims of the author. Whether the model head is the current one is asked where the container is used.

mod body;
mod caps;
mod change;
mod choose;
mod decode;
mod elias_fano;
mod encode;
mod error;
mod fp16;
mod header;
mod merge;
mod profile;
mod record;
mod signature;

pub(crate) use caps::lower_median;
pub use caps::{CapError, NORM_WINDOW, check_module_cap, check_norm_cap, norm_cap};
pub use change::{Change, ChangeIter, SparseChange, SparseError};
pub use decode::{
    Changes, Checked, CheckedDelta, CheckedMerge, CheckedVoid, RawDelta, StructurallyValid, decode, decode_structure,
};
pub use encode::{EncodeError, Unsigned, encode, encode_exact, encode_merge, encode_void};
pub use error::{DeltaError, ScaleFault, ValueFault};
pub use fp16::to_units;
pub use header::{Claims, Context, HEADER_BYTES, Header, Kind, SIGNATURE_BYTES};
pub use merge::{MergeError, merge};
pub(crate) use merge::{check_child, weighted_mean};
pub use profile::{Profile, RECORD_BYTES};
pub(crate) use record::Record;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod hostile_tests;
