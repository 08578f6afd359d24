//! What can be wrong with a GGUF file.

use std::io;

/// Why a GGUF file is not read. But for [`Self::Io`] the fault of whoever made the file.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// It cannot be read, or became shorter meanwhile. The operator's to mend.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("not a GGUF file: it begins with {found:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A version that is not read here.
    #[error("GGUF version {found}: only 2 and 3 are read")]
    Version {
        /// Version found.
        found: u32,
    },
    /// It ends too early, or a length in it lies.
    #[error("{what} at byte {at} needs {needed} bytes, but {available} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where.
        at: u64,
        /// Bytes it needs.
        needed: u64,
        /// Bytes that are there.
        available: u64,
    },
    /// More of something than any model has.
    #[error("{found} {what}, at most {most} are read")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        found: u64,
        /// How many are read.
        most: u64,
    },
    /// A name or a text that is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    Utf8 {
        /// What was being read.
        what: &'static str,
        /// Where.
        at: u64,
    },
    /// A type of values that does not exist, or an array of arrays.
    #[error("{key}: values of type {found} are not read")]
    ValueType {
        /// The key.
        key: String,
        /// The type's number.
        found: u32,
    },
    /// Two of one name.
    #[error("{what} {name} is there twice")]
    Duplicate {
        /// A key or a tensor.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A key that must be there, of that type.
    #[error("{key} is missing or is not {expected}")]
    Key {
        /// The key.
        key: String,
        /// What was looked for.
        expected: &'static str,
    },
    /// A value out of range, or one that stands for something that is not implemented here.
    #[error("{key} is {found}, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        found: String,
        /// What is read.
        expected: String,
    },
    /// A tensor whose description contradicts itself or the file.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: TensorFault,
    },
    /// A tensor, or rows of one, that is not there. The caller's fault, or the file lacks a tensor of its architecture.
    #[error("tensor {name} has no rows {first}..{end}")]
    Rows {
        /// Its Hugging Face name.
        name: String,
        /// First row asked for.
        first: u64,
        /// One past the last.
        end: u64,
    },
    /// The file's tokens are no tokenizer.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
}

/// What is wrong with a tensor's description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorFault {
    /// A number type that is not read.
    #[error("type {0} is not read (F32, F16, Q4_1, Q8_0 are)")]
    Type(u32),
    /// Not one to four dimensions of at least one, or more than 2^40 values.
    #[error("shape {0:?} is impossible")]
    Shape(Vec<u64>),
    /// A row that is not whole blocks.
    #[error("rows of {found} values are not whole blocks of {block}")]
    Block {
        /// Values of a row.
        found: u64,
        /// Values of a block.
        block: u64,
    },
    /// Data that does not begin where the alignment says.
    #[error("offset {found} is no multiple of {alignment}")]
    Alignment {
        /// Its offset.
        found: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// Data beyond the end of the file.
    #[error("its data ends at byte {end}, the file at {length}")]
    Beyond {
        /// Where its data would end.
        end: u64,
        /// Length of the file.
        length: u64,
    },
    /// Data shared with another tensor.
    #[error("its data overlaps that of {0}")]
    Overlap(String),
    /// A name without a place in the architecture.
    #[error("the architecture has no place for it")]
    Unexpected,
    /// Rows that are not whole heads.
    #[error("{rows} rows are not {heads} heads of {head_dimension}")]
    Heads {
        /// Its rows.
        rows: u64,
        /// Heads by the metadata.
        heads: u32,
        /// Width of a head.
        head_dimension: u32,
    },
}
