//! Kademlia's view of the store: verified records to serve, provider records in memory.

use std::{borrow::Cow, iter, sync::Arc};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey as KadKey,
        store::{Error, RecordStore, Result},
    },
};
use pol_core::record::RecordKey;

use super::providers::Providers;
use crate::shared::Shared;

/// What Kademlia may serve. It never writes a record here: that is the intake's to do, after verification.
pub(crate) struct Shelf {
    shared: Arc<Shared>,
    providers: Providers,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl Shelf {
    /// A shelf over a node's store.
    pub(crate) fn new(local: PeerId, shared: Arc<Shared>) -> Self {
        Self { shared, providers: Providers::new(local) }
    }
}

impl RecordStore for Shelf {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &KadKey) -> Option<Cow<'_, Record>> {
        let parsed = RecordKey::parse(key.as_ref()).ok()?;
        let stored = self.shared.store.get(&parsed, self.shared.now()).ok()??;
        Some(Cow::Owned(Record { key: key.clone(), value: stored.envelope, publisher: None, expires: None }))
    }

    /// Says yes without storing: our own records were stored before they are published, others' go through the intake.
    fn put(&mut self, _: Record) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &KadKey) {}

    /// Nothing to replicate by Kademlia's own jobs: anti-entropy does that, page by page.
    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        if self.providers.add(record) { Ok(()) } else { Err(Error::MaxProvidedKeys) }
    }

    fn providers(&self, key: &KadKey) -> Vec<ProviderRecord> {
        self.providers.of(key)
    }

    /// Nothing for Kademlia to renew: the upkeep does that, which knows what is still held.
    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, key: &KadKey, peer: &PeerId) {
        self.providers.remove(key.as_ref(), peer);
    }
}
