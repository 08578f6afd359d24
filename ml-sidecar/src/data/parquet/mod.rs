//! One text column of a parquet file, row group by row group.
//!
//! Only the footer and the pages of that column are read, one page at a time: memory is bounded by two pages and the footer, time by
//! what is asked for. Where the crate panics on a damaged file, that is an error here.

mod guard;

pub use guard::PAGE_BYTES_MAX;

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use parquet::{
    basic::Type,
    column::reader::{ColumnReader, get_column_reader},
    errors::ParquetError,
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader},
        serialized_reader::SerializedPageReader,
    },
};

use super::read::{Counts, ReadError};
use crate::hub::ReadAt;
use guard::Guarded;

/// Longest footer, bytes. A file of 2 GB has some hundred thousand.
const FOOTER_BYTES_MAX: u64 = 16 << 20;
const MAGIC: &[u8; 4] = b"PAR1";
/// Texts that are decoded at once.
const BATCH: usize = 64;

/// An open parquet file.
#[derive(Debug)]
pub(super) struct ParquetTexts {
    source: Arc<dyn ReadAt>,
    metadata: ParquetMetaData,
    column: usize,
}

impl ParquetTexts {
    /// Reads the footer and finds the column.
    pub(super) fn open(source: Arc<dyn ReadAt>, column: &str) -> Result<Self, ReadError> {
        let size = source.size();
        let mut tail = [0; 8];
        let Some(tail_start) = size.checked_sub(12) else { return Err(not_parquet("too short")) };
        source.read_at(&mut tail, tail_start + 4).map_err(ReadError::from)?;
        let ([a, b, c, d], magic) = tail.split_first_chunk::<4>().map_or(([0; 4], &tail[..]), |(length, magic)| (*length, magic));
        if magic != MAGIC {
            return Err(not_parquet("it does not end as one"));
        }
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        if length > FOOTER_BYTES_MAX || length > tail_start {
            return Err(not_parquet(&format!("a footer of {length} bytes")));
        }
        let mut footer = vec![0; usize::try_from(length).unwrap_or_default()];
        source.read_at(&mut footer, tail_start + 4 - length).map_err(ReadError::from)?;
        let metadata = guarded(|| ParquetMetaDataReader::decode_metadata(&footer))?;
        let schema = metadata.file_metadata().schema_descr();
        let found = schema.columns().iter().position(|found| matches!(found.path().parts(), [name] if name == column));
        let is_text = |at: usize| {
            let found = schema.column(at);
            found.physical_type() == Type::BYTE_ARRAY && found.max_rep_level() == 0
        };
        let Some(at) = found.filter(|at| is_text(*at)) else {
            let known = schema.columns().iter().take(50).map(|found| found.path().string()).collect::<Vec<_>>().join(", ");
            return Err(ReadError::Column { column: column.to_owned(), known });
        };
        Ok(Self { source, metadata, column: at })
    }

    /// Row groups of the file.
    pub(super) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Hands out the texts of a row group until `sink` breaks.
    pub(super) fn read(&self, group: usize, sink: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Counts, ReadError> {
        let mut counts = Counts::default();
        if group >= self.groups() {
            return Ok(counts);
        }
        let group = self.metadata.row_group(group);
        let rows = usize::try_from(group.num_rows()).unwrap_or_default();
        let mut reader = guarded(|| {
            let pages = Arc::new(Guarded(Arc::clone(&self.source)));
            let pages = SerializedPageReader::new(pages, group.column(self.column), rows, None)?;
            Ok(get_column_reader(self.metadata.file_metadata().schema_descr().column(self.column), Box::new(pages)))
        })?;
        let ColumnReader::ByteArrayColumnReader(reader) = &mut reader else {
            return Err(not_parquet("another type than its footer says"));
        };
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        loop {
            levels.clear();
            values.clear();
            let (read, ..) = guarded(|| reader.read_records(BATCH, Some(&mut levels), None, &mut values))?;
            if read == 0 {
                return Ok(counts);
            }
            counts.missing = counts.missing.saturating_add(read.saturating_sub(values.len()) as u64);
            for value in &values {
                if counts.hand_out(value.data(), sink).is_break() {
                    return Ok(counts);
                }
            }
        }
    }
}

fn not_parquet(reason: &str) -> ReadError {
    ReadError::Format(format!("not a parquet file: {reason}"))
}

/// The crate asserts here and there on what stands in a file.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ReadError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ParquetError::External(error))) => match error.downcast::<std::io::Error>() {
            Ok(error) => Err((*error).into()),
            Err(error) => Err(ReadError::Format(format!("parquet: {error}"))),
        },
        Ok(Err(error)) => Err(ReadError::Format(format!("parquet: {error}"))),
        Err(_) => Err(ReadError::Format("a parquet file whose parts contradict each other".to_owned())),
    }
}
