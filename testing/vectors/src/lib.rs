//! Reads golden vectors so strictly that nothing in them can go untested.
//!
//! Every value is *taken* out of its object, and [`Object::finish`] fails on a key that no test took. `tests/all.rs` fails on a file
//! that no test opens.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

/// The folder of the JSON files.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// Opens `data/{name}.json`; `about` and `source` must be there.
///
/// # Panics
/// When the file is missing or is not what it should be: a test's verdict.
pub fn open(name: &str) -> Object {
    open_in(&folder(), name)
}

/// The same in the folder of another crate's vectors.
///
/// # Panics
/// As [`open`].
pub fn open_in(folder: &Path, name: &str) -> Object {
    let path = folder.join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut file = Object::new(name, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")));
    assert!(!file.text("about").is_empty() && !file.text("source").is_empty());
    file
}

/// Opens a file that holds nothing but `cases`, and visits them.
pub fn cases(name: &str, visit: impl FnMut(&mut Object)) {
    let mut file = open(name);
    file.each("cases", visit);
    file.finish();
}

/// A JSON object whose values are taken one by one. All methods panic with the object's name when a value is not as asked.
#[derive(Debug)]
pub struct Object {
    name: String,
    map: Map<String, Value>,
}

impl Object {
    fn new(name: &str, value: Value) -> Self {
        let Value::Object(map) = value else { panic!("{name}: not an object") };
        let own = map.get("name").and_then(Value::as_str).map(|own| format!("{name}/{own}"));
        let mut object = Self { name: own.unwrap_or_else(|| name.to_owned()), map };
        object.map.remove("name");
        object
    }

    /// File and case, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key is (still) there.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Takes any value.
    pub fn take(&mut self, key: &str) -> Value {
        self.map.remove(key).unwrap_or_else(|| panic!("{}: no {key}", self.name))
    }

    /// Takes a string.
    pub fn text(&mut self, key: &str) -> String {
        match self.take(key) {
            Value::String(text) => text,
            other => panic!("{}: {key} is no string: {other}", self.name),
        }
    }

    /// Takes the error word of a refusal, None for an accepted case.
    pub fn error(&mut self) -> Option<String> {
        self.has("error").then(|| self.text("error"))
    }

    /// Takes a boolean.
    pub fn flag(&mut self, key: &str) -> bool {
        self.take(key).as_bool().unwrap_or_else(|| panic!("{}: {key} is no boolean", self.name))
    }

    /// Takes an integer: a JSON number, or a decimal string from 2^53 on.
    pub fn int(&mut self, key: &str) -> i128 {
        let value = self.take(key);
        int(&value).unwrap_or_else(|| panic!("{}: {key} is no integer: {value}", self.name))
    }

    /// Takes an integer that fits `T`.
    pub fn num<T: TryFrom<i128>>(&mut self, key: &str) -> T {
        let value = self.int(key);
        T::try_from(value).unwrap_or_else(|_| panic!("{}: {key} = {value} does not fit", self.name))
    }

    /// Takes hex of any length.
    pub fn hex(&mut self, key: &str) -> Vec<u8> {
        let text = self.text(key);
        hex::decode(&text).unwrap_or_else(|e| panic!("{}: {key}: {e}", self.name))
    }

    /// Takes hex of exactly `N` bytes.
    pub fn bytes<const N: usize>(&mut self, key: &str) -> [u8; N] {
        let bytes = self.hex(key);
        let found = bytes.len();
        bytes.try_into().unwrap_or_else(|_| panic!("{}: {key} has {found} bytes, not {N}", self.name))
    }

    /// Takes an object.
    pub fn object(&mut self, key: &str) -> Self {
        let value = self.take(key);
        Self::new(&format!("{}.{key}", self.name), value)
    }

    /// Takes an object or null.
    pub fn maybe(&mut self, key: &str) -> Option<Self> {
        match self.take(key) {
            Value::Null => None,
            value => Some(Self::new(&format!("{}.{key}", self.name), value)),
        }
    }

    /// Takes a list.
    pub fn list(&mut self, key: &str) -> Vec<Value> {
        match self.take(key) {
            Value::Array(values) => values,
            other => panic!("{}: {key} is no list: {other}", self.name),
        }
    }

    /// Takes a list of integers.
    pub fn ints(&mut self, key: &str) -> Vec<i128> {
        let values = self.list(key);
        values.iter().map(|v| int(v).unwrap_or_else(|| panic!("{}: {key}: {v}", self.name))).collect()
    }

    /// Takes a list of objects, visits each, and checks that each was read whole. An empty list is an error: it tests nothing.
    pub fn each(&mut self, key: &str, mut visit: impl FnMut(&mut Self)) {
        let values = self.list(key);
        assert!(!values.is_empty(), "{}: {key} is empty", self.name);
        for (i, value) in values.into_iter().enumerate() {
            let mut object = Self::new(&format!("{}.{key}[{i}]", self.name), value);
            visit(&mut object);
            object.finish();
        }
    }

    /// Takes a list of objects (possibly empty) and returns what `read` makes of each, checked to be read whole.
    pub fn all<T>(&mut self, key: &str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let values = self.list(key);
        let label = format!("{}.{key}", self.name);
        let one = |value| {
            let mut object = Self::new(&label, value);
            let result = read(&mut object);
            object.finish();
            result
        };
        values.into_iter().map(one).collect()
    }

    /// Keys that are still there.
    pub fn keys(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    /// Fails when a key was not taken.
    pub fn finish(&self) {
        assert!(self.map.is_empty(), "{}: nobody read {:?}", self.name, self.keys());
    }
}

/// An integer: a JSON number or a decimal string.
pub fn int(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Compares a verdict with the vector's error word. `words` are those that this error of ours stands for.
///
/// # Panics
/// When one accepts what the other refuses, or refuses for another reason.
pub fn agree<T, E: std::fmt::Display>(
    name: &str,
    result: Result<T, E>,
    wanted: Option<&str>,
    words: impl FnOnce(&E) -> &'static [&'static str],
) -> Option<T> {
    match (result, wanted) {
        (Ok(value), None) => Some(value),
        (Err(error), Some(wanted)) => {
            assert!(words(&error).contains(&wanted), "{name}: the vector says {wanted}, refused: {error}");
            None
        }
        (Ok(_), Some(wanted)) => panic!("{name}: accepted, the vector refuses: {wanted}"),
        (Err(error), None) => panic!("{name}: the vector accepts, refused: {error}"),
    }
}
