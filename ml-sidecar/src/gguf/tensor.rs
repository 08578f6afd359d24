//! A tensor's place in the file and its numbers.

use half::f16;

use super::{
    error::{GgufError, TensorFault},
    input::ReadAt,
};

/// Values of a tensor, at most.
pub const VALUES_MAX: u64 = 1 << 40;

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorType {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Blocks of 32: scale, minimum, 4 bits each.
    Q4_1,
    /// Blocks of 32: scale, 8 bits each.
    Q8_0,
}

impl TensorType {
    /// The type with this number in the file.
    pub(super) const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::F32),
            1 => Some(Self::F16),
            3 => Some(Self::Q4_1),
            8 => Some(Self::Q8_0),
            _ => None,
        }
    }

    /// Values of a block, and its bytes.
    const fn block(self) -> (u64, u64) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 => (1, 2),
            Self::Q4_1 => (32, 20),
            Self::Q8_0 => (32, 34),
        }
    }

    /// Whether reading it back gives what was written.
    pub const fn is_lossless(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    fn dequantize(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F32 => values.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
            Self::F16 => values.extend(bytes.as_chunks().0.iter().map(half_to_single)),
            Self::Q8_0 => bytes.as_chunks::<34>().0.iter().for_each(|block| dequantize_q8_0(block, values)),
            Self::Q4_1 => bytes.as_chunks::<20>().0.iter().for_each(|block| dequantize_q4_1(block, values)),
        }
    }
}

fn half_to_single(bytes: &[u8; 2]) -> f32 {
    f16::from_le_bytes(*bytes).to_f32()
}

/// `scale * q`.
fn dequantize_q8_0(block: &[u8; 34], values: &mut Vec<f32>) {
    let [low, high, quantized @ ..] = block;
    let scale = half_to_single(&[*low, *high]);
    values.extend(quantized.iter().map(|q| scale * f32::from(q.cast_signed())));
}

/// `scale * q + minimum`; the low halves of the bytes are the first 16 values.
fn dequantize_q4_1(block: &[u8; 20], values: &mut Vec<f32>) {
    let [scale_low, scale_high, minimum_low, minimum_high, quantized @ ..] = block;
    let scale = half_to_single(&[*scale_low, *scale_high]);
    let minimum = half_to_single(&[*minimum_low, *minimum_high]);
    // Two roundings, not one: the same bits as everybody else's readers.
    let value = |q: u8| scale * f32::from(q) + minimum;
    values.extend(quantized.iter().map(|byte| value(byte & 0x0f)));
    values.extend(quantized.iter().map(|byte| value(byte >> 4)));
}

/// A tensor whose data is known to lie inside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    shape: Vec<u64>,
    kind: TensorType,
    start: u64,
    rows: u64,
    row_bytes: u64,
}

impl Tensor {
    pub(super) fn new(
        shape: Vec<u64>,
        kind: TensorType,
        data: u64,
        offset: u64,
        alignment: u64,
        length: u64,
    ) -> Result<Self, TensorFault> {
        let values = shape.iter().try_fold(1_u64, |product, n| product.checked_mul(*n)).filter(|v| (1..=VALUES_MAX).contains(v));
        let (Some(values), Some(&columns)) = (values, shape.last()) else { return Err(TensorFault::Shape(shape)) };
        let (block, block_bytes) = kind.block();
        if !columns.is_multiple_of(block) {
            return Err(TensorFault::Block { found: columns, block });
        }
        if !offset.is_multiple_of(alignment) {
            return Err(TensorFault::Alignment { found: offset, alignment });
        }
        // At most 2^40 values of at most 4 bytes.
        let row_bytes = columns / block * block_bytes;
        let rows = values / columns;
        let start = data.saturating_add(offset);
        let end = start.saturating_add(rows * row_bytes);
        if end > length {
            return Err(TensorFault::Beyond { end, length });
        }
        Ok(Self { shape, kind, start, rows, row_bytes })
    }

    /// Its shape, rows first. A vector has one number; its values are its rows.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// How its numbers are stored.
    pub const fn kind(&self) -> TensorType {
        self.kind
    }

    /// Product of all dimensions but the last.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    pub(super) const fn end(&self) -> u64 {
        self.start + self.rows * self.row_bytes
    }

    /// Reads whole rows. `first <= end <= rows` is the caller's business.
    pub(super) fn read(&self, source: &impl ReadAt, first: u64, end: u64) -> Result<Vec<f32>, GgufError> {
        let rows = end.saturating_sub(first);
        let byte_count = usize::try_from(rows.saturating_mul(self.row_bytes)).unwrap_or(usize::MAX);
        let value_count =
            usize::try_from(rows.saturating_mul(self.shape.last().copied().unwrap_or_default())).unwrap_or(usize::MAX);
        // Both are bounded by the file, which is that long.
        let mut bytes = vec![0; byte_count];
        source.read_exact_at(&mut bytes, self.start.saturating_add(first.saturating_mul(self.row_bytes)))?;
        let mut values = Vec::with_capacity(value_count);
        self.kind.dequantize(&bytes, &mut values);
        Ok(values)
    }
}
