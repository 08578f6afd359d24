//! Frames of the oracle: a tag, the number of fields, and each field with its length in front.

use std::io::{ErrorKind, Read};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What.
    pub tag: char,
    /// Its data.
    pub fields: Vec<Vec<u8>>,
}

impl Frame {
    /// Field number `n`.
    ///
    /// # Panics
    /// When there is no such field.
    pub fn field(&self, n: usize) -> &[u8] {
        self.fields.get(n).unwrap_or_else(|| panic!("frame {}: no field {n}", self.tag))
    }

    /// Field number `n`, of exactly `N` bytes.
    ///
    /// # Panics
    /// When it has another length.
    pub fn array<const N: usize>(&self, n: usize) -> [u8; N] {
        let field = self.field(n);
        field.try_into().unwrap_or_else(|_| panic!("frame {}: field {n} has {} bytes, not {N}", self.tag, field.len()))
    }
}

/// Reads frames one by one.
#[derive(Debug)]
pub struct Frames<R>(pub R);

impl<R: Read> Iterator for Frames<R> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        match self.0.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
            result => result.expect("the oracle's output"),
        }
        let [tag, count] = head;
        let field = |_| {
            let mut length = [0; 4];
            self.0.read_exact(&mut length).expect("a field's length");
            let length = u64::from(u32::from_le_bytes(length));
            let mut field = Vec::new();
            let read = self.0.by_ref().take(length).read_to_end(&mut field).expect("a field");
            assert_eq!(u64::try_from(read), Ok(length), "the oracle stopped in the middle of a field");
            field
        };
        Some(Frame { tag: tag.into(), fields: (0..count).map(field).collect() })
    }
}
