//! The header: metadata and the descriptions of the tensors.

use std::collections::BTreeMap;

use super::{
    error::{GgufError, TensorFault},
    input::{Input, ReadAt},
    tensor::{Tensor, TensorType},
};

/// Longest header that is read, bytes. Those of vocabularies of 256,000 tokens have about 10 million.
pub const HEADER_BYTES_MAX: u64 = 32 << 20;
/// Elements of all arrays of a header together, at most.
pub const ITEMS_MAX: u64 = 1 << 22;
/// Tensors, at most.
pub const TENSORS_MAX: u64 = 1 << 16;
const KEYS_MAX: u64 = 1 << 12;
const NAME_BYTES_MAX: u64 = 256;
const TEXT_BYTES_MAX: u64 = 1 << 20;
const ALIGNMENT: &str = "general.alignment";
const ALIGNMENT_DEFAULT: u64 = 32;
const ALIGNMENT_MAX: u64 = 1 << 16;

/// A metadata value. Widths of numbers do not survive.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An integer of whatever width.
    Integer(i128),
    /// A float of whatever width.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// An array of texts.
    Texts(Vec<String>),
    /// An array of integers; of truth values too.
    Integers(Vec<i64>),
    /// An array of floats.
    Floats(Vec<f64>),
}

/// What stands before the tensors' data. A value of this type is consistent with itself and with the file's length.
#[derive(Debug, Clone)]
pub struct Header {
    /// Metadata by key.
    pub values: BTreeMap<String, Value>,
    /// Tensors by their GGUF names.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Header {
    /// Reads and checks the header of `source`.
    pub(super) fn read(source: &impl ReadAt) -> Result<Self, GgufError> {
        let length = source.length()?;
        let mut input = Input::new(source, length.min(HEADER_BYTES_MAX));
        let found = input.magic()?;
        if &found != b"GGUF" {
            return Err(GgufError::Magic { found });
        }
        let version = input.u32("version")?;
        if !matches!(version, 2 | 3) {
            return Err(GgufError::Version { found: version });
        }
        // A tensor's description has a name, a dimension, a type and an offset; a value has a key, a type and a byte.
        let tensors = input.count("tensors", 8 + 4 + 8 + 4 + 8, TENSORS_MAX)?;
        let keys = input.count("keys", 8 + 4 + 1, KEYS_MAX)?;
        let values = read_values(&mut input, keys)?;
        let alignment = alignment(&values)?;
        let described = (0..tensors).map(|_| describe(&mut input)).collect::<Result<Vec<_>, _>>()?;
        let data = input.at().next_multiple_of(alignment);
        let tensors = place(described, data, alignment, length)?;
        Ok(Self { values, tensors })
    }

    /// The value of a key, when it is there and an unsigned 32-bit number.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        match self.values.get(key)? {
            Value::Integer(number) => u32::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The value of a key, when it is there and a text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn read_values<S: ReadAt>(input: &mut Input<'_, S>, count: usize) -> Result<BTreeMap<String, Value>, GgufError> {
    let mut values = BTreeMap::new();
    let mut items_left = ITEMS_MAX;
    for _ in 0..count {
        let key = input.text("key", NAME_BYTES_MAX)?;
        let kind = input.u32("value type")?;
        let value = read_value(input, &key, kind, &mut items_left)?;
        if values.contains_key(&key) {
            return Err(GgufError::Duplicate { what: "key", name: key });
        }
        values.insert(key, value);
    }
    Ok(values)
}

fn read_value<S: ReadAt>(input: &mut Input<'_, S>, key: &str, kind: u32, items_left: &mut u64) -> Result<Value, GgufError> {
    const WHAT: &str = "value";
    Ok(match kind {
        0..=5 | 10 | 11 => Value::Integer(read_integer(input, kind)?),
        6 | 12 => Value::Float(read_float(input, kind)?),
        7 => Value::Bool(input.u8(WHAT)? != 0),
        8 => Value::Text(input.text(WHAT, TEXT_BYTES_MAX)?),
        9 => {
            let kind = input.u32("element type")?;
            read_array(input, key, kind, items_left)?
        }
        found => return Err(GgufError::ValueType { key: key.to_owned(), found }),
    })
}

fn read_integer<S: ReadAt>(input: &mut Input<'_, S>, kind: u32) -> Result<i128, GgufError> {
    const WHAT: &str = "number";
    Ok(match kind {
        0 | 7 => input.u8(WHAT)?.into(),
        1 => input.i8(WHAT)?.into(),
        2 => input.u16(WHAT)?.into(),
        3 => input.i16(WHAT)?.into(),
        4 => input.u32(WHAT)?.into(),
        5 => input.i32(WHAT)?.into(),
        10 => input.u64(WHAT)?.into(),
        _ => input.i64(WHAT)?.into(),
    })
}

fn read_float<S: ReadAt>(input: &mut Input<'_, S>, kind: u32) -> Result<f64, GgufError> {
    if kind == 6 { Ok(input.f32("number")?.into()) } else { input.f64("number") }
}

fn read_array<S: ReadAt>(input: &mut Input<'_, S>, key: &str, kind: u32, items_left: &mut u64) -> Result<Value, GgufError> {
    let size = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        found => return Err(GgufError::ValueType { key: key.to_owned(), found }),
    };
    let count = input.count("array elements", size, *items_left)?;
    *items_left = items_left.saturating_sub(count as u64);
    Ok(match kind {
        8 => Value::Texts((0..count).map(|_| input.text("text", TEXT_BYTES_MAX)).collect::<Result<_, _>>()?),
        6 | 12 => Value::Floats((0..count).map(|_| read_float(input, kind)).collect::<Result<_, _>>()?),
        _ => {
            let narrow = |number| i64::try_from(number).map_err(|_| GgufError::ValueType { key: key.to_owned(), found: kind });
            Value::Integers((0..count).map(|_| narrow(read_integer(input, kind)?)).collect::<Result<_, _>>()?)
        }
    })
}

fn alignment(values: &BTreeMap<String, Value>) -> Result<u64, GgufError> {
    let found = match values.get(ALIGNMENT) {
        None => return Ok(ALIGNMENT_DEFAULT),
        Some(Value::Integer(number)) => *number,
        Some(_) => return Err(GgufError::Key { key: ALIGNMENT.to_owned(), expected: "an integer" }),
    };
    let alignment = u64::try_from(found).ok().filter(|a| a.is_power_of_two() && (8..=ALIGNMENT_MAX).contains(a));
    let expected = || format!("a power of two, 8 ..= {ALIGNMENT_MAX}");
    alignment.ok_or_else(|| GgufError::Value { key: ALIGNMENT, found: found.to_string(), expected: expected() })
}

/// A tensor's description, as it stands in the file.
struct Described {
    name: String,
    shape: Vec<u64>,
    kind: TensorType,
    offset: u64,
}

fn describe<S: ReadAt>(input: &mut Input<'_, S>) -> Result<Described, GgufError> {
    let name = input.text("tensor name", NAME_BYTES_MAX)?;
    let dimensions = input.u32("dimensions")?;
    if !(1..=4).contains(&dimensions) {
        return Err(GgufError::Limit { what: "dimensions of a tensor", found: dimensions.into(), most: 4 });
    }
    let mut shape = (0..dimensions).map(|_| input.u64("dimension")).collect::<Result<Vec<_>, _>>()?;
    // The file begins with the dimension that runs fastest, everybody else ends with it.
    shape.reverse();
    let found = input.u32("tensor type")?;
    let offset = input.u64("offset")?;
    match TensorType::from_number(found) {
        Some(kind) => Ok(Described { name, shape, kind, offset }),
        None => Err(GgufError::Tensor { name, reason: TensorFault::Type(found) }),
    }
}

/// Where each tensor's data lies, all of it inside the file and none of it shared.
fn place(described: Vec<Described>, data: u64, alignment: u64, length: u64) -> Result<BTreeMap<String, Tensor>, GgufError> {
    let mut tensors = BTreeMap::new();
    for Described { name, shape, kind, offset } in described {
        let placed = Tensor::new(shape, kind, data, offset, alignment, length);
        let tensor = placed.map_err(|reason| GgufError::Tensor { name: name.clone(), reason })?;
        if tensors.contains_key(&name) {
            return Err(GgufError::Duplicate { what: "tensor", name });
        }
        tensors.insert(name, tensor);
    }
    let mut in_file_order: Vec<(&String, &Tensor)> = tensors.iter().collect();
    in_file_order.sort_by_key(|(_, tensor)| tensor.start());
    for pair in in_file_order.windows(2) {
        if let [(before, first), (name, second)] = pair
            && first.end() > second.start()
        {
            return Err(GgufError::Tensor { name: (*name).clone(), reason: TensorFault::Overlap((*before).clone()) });
        }
    }
    Ok(tensors)
}
