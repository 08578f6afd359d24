//! Peers of earlier runs, so that a restart does not depend on bootstrap nodes.

use libp2p::{Multiaddr, PeerId};
use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::{Commit, Store, StoreError, layout, write::Writer};

/// Peers remembered; the one not seen for longest goes first.
pub const PEERS_MAX: u64 = 1_024;
/// Addresses remembered of one peer; further ones are dropped.
pub const PEER_ADDRESSES_MAX: usize = 8;
/// Longer addresses are dropped.
const ADDRESS_BYTES_MAX: usize = 256;

/// A peer and where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEntry {
    /// Its libp2p name.
    pub peer: PeerId,
    /// Addresses that worked.
    pub addresses: Vec<Multiaddr>,
    /// Unix seconds.
    pub last_seen: u64,
}

impl Store {
    /// Remembers peers, in place of what was known of them.
    ///
    /// # Errors
    /// As of a put.
    pub fn remember_peers(&self, peers: &[PeerEntry], now: u64) -> Result<(), StoreError> {
        self.write(now, Commit::Lazy, |writer| peers.iter().try_for_each(|peer| remember(writer, peer)))
    }

    /// All remembered peers, the one seen last first.
    ///
    /// # Errors
    /// What the database says.
    pub fn peers(&self) -> Result<Vec<PeerEntry>, StoreError> {
        let damaged = || StoreError::Damaged { table: "peers" };
        let mut peers = self.read(|transaction| {
            let table = transaction.open_table(layout::PEERS)?;
            let mut peers = Vec::new();
            for item in table.iter()? {
                let (key, row) = item?;
                let (last_seen, addresses) = row.value();
                let peer = PeerId::from_bytes(key.value()).map_err(|_| damaged())?;
                let addresses = addresses.into_iter().map(|bytes| Multiaddr::try_from(bytes.to_vec()).map_err(|_| damaged()));
                peers.push(PeerEntry { peer, addresses: addresses.collect::<Result<_, _>>()?, last_seen });
            }
            Ok(peers)
        })?;
        peers.sort_by_key(|peer| core::cmp::Reverse((peer.last_seen, peer.peer)));
        Ok(peers)
    }
}

fn remember(writer: &mut Writer<'_>, peer: &PeerEntry) -> Result<(), StoreError> {
    let key = peer.peer.to_bytes();
    if writer.peers.len()? >= PEERS_MAX && writer.peers.get(key.as_slice())?.is_none() {
        let mut oldest: Option<(u64, Vec<u8>)> = None;
        for item in writer.peers.iter()? {
            let (name, row) = item?;
            let last_seen = row.value().0;
            if oldest.as_ref().is_none_or(|(least, _)| last_seen < *least) {
                oldest = Some((last_seen, name.value().to_vec()));
            }
        }
        if let Some((_, name)) = oldest {
            writer.peers.remove(name.as_slice())?;
        }
    }
    let addresses: Vec<Vec<u8>> = peer.addresses.iter().map(Multiaddr::to_vec).filter(|a| a.len() <= ADDRESS_BYTES_MAX).collect();
    let addresses: Vec<&[u8]> = addresses.iter().take(PEER_ADDRESSES_MAX).map(Vec::as_slice).collect();
    writer.peers.insert(key.as_slice(), (peer.last_seen, addresses))?;
    Ok(())
}
