//! The registry's BLS keys, decoded when first needed and shared by all states that hold them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use pol_core::bls::PublicKey;

use super::math::{length, place};
use crate::types::{PublicKeyBytes, ValidatorIndex};

#[derive(Debug)]
struct Entry {
    bytes: PublicKeyBytes,
    decoded: OnceLock<Option<PublicKey>>,
}

/// Keys by registry index, and the other way round. Decoding a key costs a square root and a subgroup check; it is done once for
/// all copies of a state.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyTable {
    entries: Vec<Arc<Entry>>,
    indices: BTreeMap<PublicKeyBytes, ValidatorIndex>,
}

impl KeyTable {
    pub(crate) fn push(&mut self, bytes: PublicKeyBytes) {
        let index = length(self.entries.len());
        // The first holder of a key keeps it, as in the specification's `validator_pubkeys.index`.
        self.indices.entry(bytes).or_insert(index);
        self.entries.push(Arc::new(Entry { bytes, decoded: OnceLock::new() }));
    }

    /// None for an index beyond the registry; Some(None) for bytes that are no key.
    pub(crate) fn key(&self, index: ValidatorIndex) -> Option<Option<&PublicKey>> {
        let entry = self.entries.get(place(index))?;
        Some(entry.decoded.get_or_init(|| PublicKey::from_bytes(&entry.bytes.0).ok()).as_ref())
    }

    pub(crate) fn index_of(&self, bytes: &PublicKeyBytes) -> Option<ValidatorIndex> {
        self.indices.get(bytes).copied()
    }
}

impl FromIterator<PublicKeyBytes> for KeyTable {
    fn from_iter<I: IntoIterator<Item = PublicKeyBytes>>(keys: I) -> Self {
        let mut table = Self::default();
        keys.into_iter().for_each(|key| table.push(key));
        table
    }
}
