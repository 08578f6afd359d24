//! What makes a chain's signatures its own: fork versions and domains (section 2).
//!
//! # Why this way
//! A domain of the consensus specification is bound to a fork version and the genesis validators root. Both would be equal on every
//! chain made from one GENESIS_SEED, and then a header, a fault proof or an identity of yesterday's devnet would be valid evidence on
//! today's. So the fork versions carry three bytes of the chain's name. They separate an operator's own chains; against a grinder
//! there is nothing to gain in 24 bits, because the keys must sign on both chains.

use crate::{
    GenesisId, Hash32,
    params::{DOMAIN_BEACON_PROPOSER, FORK_TAG},
    sha256, ssz,
};

/// Forks of the consensus specification up to the one this chain runs; all are active from epoch 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fork {
    /// GENESIS_FORK_VERSION, also of our own three domains.
    Phase0,
    /// ALTAIR_FORK_VERSION.
    Altair,
    /// BELLATRIX_FORK_VERSION.
    Bellatrix,
    /// CAPELLA_FORK_VERSION.
    Capella,
    /// DENEB_FORK_VERSION: what blocks are signed under.
    Deneb,
}

impl Fork {
    const fn byte(self) -> u8 {
        match self {
            Self::Phase0 => 0x10,
            Self::Altair => 0x11,
            Self::Bellatrix => 0x12,
            Self::Capella => 0x13,
            Self::Deneb => 0x14,
        }
    }
}

/// The signing context of one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domains {
    genesis_validators_root: Hash32,
    tag: [u8; 3],
}

impl Domains {
    /// The context of the chain with this name and validators root.
    pub fn new(genesis_id: GenesisId, genesis_validators_root: Hash32) -> Self {
        let [a, b, c, ..] = sha256(&[FORK_TAG, &genesis_id.0]);
        Self { genesis_validators_root, tag: [a, b, c] }
    }

    /// A fork's version on this chain, as in config.yaml.
    pub const fn fork_version(&self, fork: Fork) -> [u8; 4] {
        let [a, b, c] = self.tag;
        [fork.byte(), a, b, c]
    }

    /// Root of the genesis validator list.
    pub const fn genesis_validators_root(&self) -> Hash32 {
        self.genesis_validators_root
    }

    /// Domain of one of our own message types: the genesis fork version, so that signatures of any epoch aggregate.
    pub fn ai(&self, domain_type: [u8; 4]) -> Hash32 {
        ssz::compute_domain(domain_type, self.fork_version(Fork::Phase0), self.genesis_validators_root)
    }

    /// Domain of beacon block headers.
    pub fn beacon_proposer(&self) -> Hash32 {
        ssz::compute_domain(DOMAIN_BEACON_PROPOSER, self.fork_version(Fork::Deneb), self.genesis_validators_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::DOMAIN_AI_ACK;

    #[test]
    fn two_chains_of_one_seed_share_no_domain() {
        let validators = Hash32([1; 32]);
        let [a, b] = [2, 3].map(|name| Domains::new(GenesisId([name; 32]), validators));
        assert_ne!(a.ai(DOMAIN_AI_ACK), b.ai(DOMAIN_AI_ACK));
        assert_ne!(a.beacon_proposer(), b.beacon_proposer());
        for fork in [Fork::Phase0, Fork::Altair, Fork::Bellatrix, Fork::Capella, Fork::Deneb] {
            assert_ne!(a.fork_version(fork), b.fork_version(fork));
        }
        assert!(Fork::Phase0 < Fork::Deneb && a.fork_version(Fork::Phase0) < a.fork_version(Fork::Deneb));
    }
}
