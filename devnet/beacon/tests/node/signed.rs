//! Everything that a guard ever allowed to be signed, read from its file between two lives of a node.

use std::{collections::BTreeMap, path::Path};

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// As in the guard: (key, slot) -> signing root, (key, target epoch) -> (source epoch, signing root).
type Place = (&'static [u8; 48], u64);
const BLOCKS: TableDefinition<'_, Place, &[u8; 32]> = TableDefinition::new("blocks");
const ATTESTATIONS: TableDefinition<'_, Place, (u64, &[u8; 32])> = TableDefinition::new("attestations");

/// By key and slot, by key and target epoch.
#[derive(Default)]
pub(crate) struct Signed {
    pub(crate) blocks: BTreeMap<(Vec<u8>, u64), [u8; 32]>,
    pub(crate) votes: BTreeMap<(Vec<u8>, u64), [u8; 32]>,
}

impl Signed {
    /// Adds what the guard of a dead node holds. A second signing root for one slot or target is a double signature.
    pub(crate) fn add(&mut self, guard: &Path) {
        let database = redb::Database::open(guard.join("guard.redb")).unwrap();
        let read = database.begin_read().unwrap();
        for row in read.open_table(BLOCKS).unwrap().iter().unwrap() {
            let (place, root) = row.unwrap();
            let (key, slot) = place.value();
            let before = self.blocks.insert((key.to_vec(), slot), *root.value());
            assert!(before.is_none_or(|before| before == *root.value()), "two blocks for slot {slot}");
        }
        for row in read.open_table(ATTESTATIONS).unwrap().iter().unwrap() {
            let (place, value) = row.unwrap();
            let (key, target) = place.value();
            let root = *value.value().1;
            let before = self.votes.insert((key.to_vec(), target), root);
            assert!(before.is_none_or(|before| before == root), "two attestations for target {target}");
        }
    }
}
