//! The shape of the adapter: how many values there are, in which order, in which chunks (section 6.1).

use core::{fmt, ops::Range};

use crate::params::LORA_RANK;

/// Values of a chunk; the last chunk may be shorter (section 6.1).
pub const CHUNK_VALUES: u32 = 4_096;
/// Values of an adapter, at most.
pub const MAX_VALUES: u32 = 1 << 28;
/// Layers, at most.
pub const MAX_LAYERS: u32 = 256;
/// Each of hidden, query, key/value and intermediate, at most.
pub const MAX_WIDTH: u32 = 65_536;

/// The seven targets of LoRA in a layer, in flat order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Projection {
    /// Attention query.
    Q,
    /// Attention key.
    K,
    /// Attention value.
    V,
    /// Attention output.
    O,
    /// Feed-forward gate.
    Gate,
    /// Feed-forward up.
    Up,
    /// Feed-forward down.
    Down,
}

impl Projection {
    /// All of them in flat order.
    pub const ALL: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// Place in flat order, 0..=6: section 6.1's "module" in a tensor index.
    pub const fn index(self) -> u32 {
        match self {
            Self::Q => 0,
            Self::K => 1,
            Self::V => 2,
            Self::O => 3,
            Self::Gate => 4,
            Self::Up => 5,
            Self::Down => 6,
        }
    }
}

/// The two LoRA factors of a projection: the product B A is added to its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Factor {
    /// 8 x in.
    A,
    /// out x 8.
    B,
}

/// One projection of one layer: its A and its B together (section 12's caps).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Module {
    /// Layer, from 0.
    pub layer: u32,
    /// Projection within the layer.
    pub projection: Projection,
}

/// One factor matrix in the flat array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Whose factor it is.
    pub module: Module,
    /// Which factor it is.
    pub factor: Factor,
    /// Rows: 8 for A, out for B.
    pub rows: u32,
    /// Columns: in for A, 8 for B.
    pub columns: u32,
    /// Flat indices it covers, row-major.
    pub range: Range<u32>,
}

impl Tensor {
    /// `layer * 7 + module`, the number that seeds the initial values of an A tensor (section 6.1).
    pub const fn index(&self) -> u32 {
        self.module.layer.saturating_mul(7).saturating_add(self.module.projection.index())
    }
}

/// Why five numbers are no adapter shape. The operator's fault (they come from `chain.toml`), never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A number outside its range.
    #[error("shape: {field} is {found}, expected 1..={limit}")]
    Range {
        /// Name of the number.
        field: &'static str,
        /// The number.
        found: u32,
        /// The largest one allowed.
        limit: u32,
    },
    /// Each number is in range, the adapter as a whole is too large.
    #[error("shape: {found} values, expected at most {MAX_VALUES}")]
    Values {
        /// Values of the adapter.
        found: u64,
    },
}

/// A validated adapter shape. Two chains with equal shapes have the same flat order and chunks.
///
/// It says nothing of the model behind it: that the base model has these widths is checked where its files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    layers: u32,
    hidden: u32,
    query: u32,
    key_value: u32,
    intermediate: u32,
    a_per_layer: u32,
    b_per_layer: u32,
    a_values: u32,
    values: u32,
}

impl Shape {
    /// Checks the five numbers of section 6.1.
    ///
    /// # Errors
    /// [`ShapeError`] names the first number out of range, or the total.
    pub fn new(layers: u32, hidden: u32, query: u32, key_value: u32, intermediate: u32) -> Result<Self, ShapeError> {
        let numbers = [
            ("layers", layers, MAX_LAYERS),
            ("hidden", hidden, MAX_WIDTH),
            ("query", query, MAX_WIDTH),
            ("key_value", key_value, MAX_WIDTH),
            ("intermediate", intermediate, MAX_WIDTH),
        ];
        for (field, found, limit) in numbers {
            if found == 0 || found > limit {
                return Err(ShapeError::Range { field, found, limit });
            }
        }
        let mut shape =
            Self { layers, hidden, query, key_value, intermediate, a_per_layer: 0, b_per_layer: 0, a_values: 0, values: 0 };
        // Saturation cannot be reached: 14 widths of at most 2^16 times 8 stay below 2^23 a layer, 2^31 in all.
        for projection in Projection::ALL {
            let (inputs, outputs) = shape.dimensions(projection);
            shape.a_per_layer = shape.a_per_layer.saturating_add(inputs.saturating_mul(u32::from(LORA_RANK)));
            shape.b_per_layer = shape.b_per_layer.saturating_add(outputs.saturating_mul(u32::from(LORA_RANK)));
        }
        shape.a_values = shape.a_per_layer.saturating_mul(layers);
        shape.values = shape.a_values.saturating_add(shape.b_per_layer.saturating_mul(layers));
        if shape.values > MAX_VALUES {
            return Err(ShapeError::Values { found: u64::from(shape.values) });
        }
        Ok(shape)
    }

    /// Layers.
    pub const fn layers(&self) -> u32 {
        self.layers
    }

    /// Width of the residual stream.
    pub const fn hidden(&self) -> u32 {
        self.hidden
    }

    /// Width of all query heads together.
    pub const fn query(&self) -> u32 {
        self.query
    }

    /// Width of all key (or value) heads together.
    pub const fn key_value(&self) -> u32 {
        self.key_value
    }

    /// Width of the feed-forward layer.
    pub const fn intermediate(&self) -> u32 {
        self.intermediate
    }

    /// (in, out) of a projection.
    pub const fn dimensions(&self, projection: Projection) -> (u32, u32) {
        match projection {
            Projection::Q => (self.hidden, self.query),
            Projection::K | Projection::V => (self.hidden, self.key_value),
            Projection::O => (self.query, self.hidden),
            Projection::Gate | Projection::Up => (self.hidden, self.intermediate),
            Projection::Down => (self.intermediate, self.hidden),
        }
    }

    /// Values in the flat array.
    pub const fn value_count(&self) -> u32 {
        self.values
    }

    /// Values of all A tensors; B begins at this flat index.
    pub const fn a_count(&self) -> u32 {
        self.a_values
    }

    /// Chunks of the flat array, at least 1.
    pub const fn chunk_count(&self) -> u32 {
        self.values.div_ceil(CHUNK_VALUES)
    }

    /// Values of one chunk: 4,096, fewer in the last, 0 beyond it.
    pub fn chunk_len(&self, chunk: u32) -> u32 {
        self.values.saturating_sub(chunk.saturating_mul(CHUNK_VALUES)).min(CHUNK_VALUES)
    }

    /// All tensors in flat order.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor> + use<> {
        let shape = *self;
        let mut start = 0_u32;
        [Factor::A, Factor::B]
            .into_iter()
            .flat_map(move |factor| (0..shape.layers).map(move |layer| (factor, layer)))
            .flat_map(|(factor, layer)| Projection::ALL.map(|projection| (factor, Module { layer, projection })))
            .map(move |(factor, module)| {
                let (rows, columns) = shape.matrix(factor, module.projection);
                let end = start.saturating_add(rows.saturating_mul(columns));
                let range = start..end;
                start = end;
                Tensor { module, factor, rows, columns, range }
            })
    }

    /// Which module a flat index belongs to; `None` beyond the last value.
    pub fn module_of(&self, index: u32) -> Option<(Module, Factor)> {
        let (factor, offset, per_layer) = match index.checked_sub(self.a_values) {
            None => (Factor::A, index, self.a_per_layer),
            Some(offset) if index < self.values => (Factor::B, offset, self.b_per_layer),
            Some(_) => return None,
        };
        let layer = offset.checked_div(per_layer)?;
        let mut rest = offset.checked_rem(per_layer)?;
        for projection in Projection::ALL {
            let (rows, columns) = self.matrix(factor, projection);
            match rest.checked_sub(rows.saturating_mul(columns)) {
                Some(left) => rest = left,
                None => return Some((Module { layer, projection }, factor)),
            }
        }
        None
    }

    fn matrix(&self, factor: Factor, projection: Projection) -> (u32, u32) {
        let (inputs, outputs) = self.dimensions(projection);
        match factor {
            Factor::A => (u32::from(LORA_RANK), inputs),
            Factor::B => (outputs, u32::from(LORA_RANK)),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layers, hidden, query, key_value, intermediate, values, .. } = self;
        let chunks = self.chunk_count();
        write!(f, "{layers} layers, hidden {hidden}, query {query}, key_value {key_value}, intermediate {intermediate}")?;
        write!(f, " ({values} values in {chunks} chunks)")
    }
}

/// A flat index or count as a `usize`. No machine this runs on has fewer than 32 bits; there it would point nowhere.
pub(crate) fn to_usize(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_qwen_1_5b_shape_has_the_numbers_of_the_design() {
        let shape = Shape::new(28, 1_536, 1_536, 256, 8_960).unwrap();
        assert_eq!((shape.value_count(), shape.chunk_count()), (9_232_384, 2_254));
        assert_eq!(
            shape.to_string(),
            "28 layers, hidden 1536, query 1536, key_value 256, intermediate 8960 (9232384 values in 2254 chunks)"
        );
    }

    #[test]
    fn tensors_cover_the_flat_array_without_gap_and_agree_with_module_of() {
        let shape = Shape::new(3, 5, 7, 2, 11).unwrap();
        let mut next = 0;
        for tensor in shape.tensors() {
            assert_eq!(tensor.range.start, next);
            assert_eq!(tensor.range.len(), usize::try_from(tensor.rows * tensor.columns).unwrap());
            for index in tensor.range.clone() {
                assert_eq!(shape.module_of(index), Some((tensor.module, tensor.factor)));
            }
            next = tensor.range.end;
        }
        assert_eq!(next, shape.value_count());
        assert_eq!(shape.module_of(next), None);
        assert_eq!(shape.module_of(u32::MAX), None);
        let first_b = shape.tensors().nth(21).unwrap();
        assert_eq!((first_b.factor, first_b.rows, first_b.columns, first_b.range.start), (Factor::B, 7, 8, shape.a_count()));
        assert_eq!(shape.tensors().nth(8).unwrap().index(), 8);
    }

    #[test]
    fn chunk_lengths_add_up_to_the_value_count() {
        let shape = Shape::new(1, 100, 100, 50, 300).unwrap();
        let total: u32 = (0..shape.chunk_count()).map(|chunk| shape.chunk_len(chunk)).sum();
        assert_eq!(total, shape.value_count());
        assert!(shape.chunk_len(shape.chunk_count() - 1) > 0);
        assert_eq!(shape.chunk_len(shape.chunk_count()), 0);
        assert_eq!(shape.chunk_len(u32::MAX), 0);
    }

    #[test]
    fn every_number_out_of_range_is_named() {
        for (position, field) in ["layers", "hidden", "query", "key_value", "intermediate"].into_iter().enumerate() {
            for bad in [0, if position == 0 { 257 } else { 65_537 }, u32::MAX] {
                let mut n = [1_u32; 5];
                n[position] = bad;
                let limit = if position == 0 { 256 } else { 65_536 };
                assert_eq!(
                    Shape::new(n[0], n[1], n[2], n[3], n[4]),
                    Err(ShapeError::Range { field, found: bad, limit }),
                    "{field} {bad}"
                );
            }
        }
    }

    #[test]
    fn an_adapter_of_more_than_2_pow_28_values_is_refused() {
        // 14 widths of 65,536 times 8 are 7,340,032 values a layer: 36 layers fit, 37 do not.
        assert!(Shape::new(36, 65_536, 65_536, 65_536, 65_536).is_ok());
        let found = 37 * 7_340_032;
        assert_eq!(Shape::new(37, 65_536, 65_536, 65_536, 65_536), Err(ShapeError::Values { found }));
        assert!(Shape::new(256, 65_536, 65_536, 65_536, 65_536).is_err());
    }
}
