//! The beacon state's validators: committees for us, the validator set for pol-dht.

use std::{collections::BTreeMap, sync::Arc};

use pol_api::validators::{Epochs, Validator as DhtValidator};
use pol_core::{Hash32, params::MAX_COMMITTEE, sha256};

use super::{
    beacon::{BeaconError, RegistryEntry},
    shared::{Chain, Shared, lock},
};
use crate::{
    limits,
    members::{Committee, MembersError, Validator},
};

/// DOMAIN_BEACON_ATTESTER of the consensus specification.
const DOMAIN_BEACON_ATTESTER: [u8; 4] = [1, 0, 0, 0];
/// MIN_SEED_LOOKAHEAD and one more: which epoch's mix an epoch's seed is made of.
const SEED_LOOKBACK: u64 = 2;

/// Why the members of an epoch are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EpochError {
    /// The beacon node.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// Its validators.
    #[error(transparent)]
    Members(#[from] MembersError),
}

/// Reads the registry and makes the committees of `epoch`, its neighbours and of those before that are not known yet.
pub(crate) async fn refresh(shared: &Shared, epoch: u64) -> Result<(), EpochError> {
    let mut entries = shared.beacon.registry().await?;
    entries.sort_unstable_by_key(|entry| entry.index);
    let known = shared.members();
    let first = epoch.saturating_sub(limits::EPOCHS_BACK);
    let mut seeds = BTreeMap::new();
    for wanted in first..=epoch.saturating_add(1) {
        if wanted.saturating_add(1) >= epoch || known.committee(wanted).is_none() {
            let active = entries.iter().filter(|entry| entry.is_active(wanted)).count();
            let seed = if active > MAX_COMMITTEE { seed(shared, wanted).await? } else { Hash32::ZERO };
            seeds.insert(wanted, seed);
        }
    }
    install(shared, epoch, &entries, &seeds)?;
    let members = shared.members();
    lock(&shared.collector).set_members(members);
    Ok(())
}

fn install(shared: &Shared, epoch: u64, entries: &[RegistryEntry], seeds: &BTreeMap<u64, Hash32>) -> Result<(), MembersError> {
    let mut registry = lock(&shared.registry);
    let mut committees = Vec::new();
    for (wanted, seed) in seeds {
        let active: Vec<Validator> = entries
            .iter()
            .filter(|entry| entry.is_active(*wanted))
            .map(|entry| Validator { index: entry.index, public_key: entry.public_key })
            .collect();
        committees.push(Arc::new(Committee::draw(*wanted, &active, *seed, shared.chain.preset, &mut registry.keys)?));
    }
    let members = registry.members.advance(epoch, committees);
    let seated = |wanted: u64, index| members.committee(wanted).is_some_and(|committee| committee.seat_of(index).is_some());
    let of_epochs = |is: &dyn Fn(u64) -> bool| Epochs {
        previous: epoch > 0 && is(epoch.saturating_sub(1)),
        current: is(epoch),
        next: is(epoch.saturating_add(1)),
    };
    let for_dht = entries.iter().filter_map(|entry| {
        let active = of_epochs(&|wanted| entry.is_active(wanted));
        let seats = of_epochs(&|wanted| seated(wanted, entry.index));
        let validator = DhtValidator { index: entry.index, public_key: entry.public_key, active, seats };
        (active != Epochs::default()).then_some(validator)
    });
    registry.for_dht = for_dht.collect();
    registry.by_index = entries.iter().map(|entry| (entry.index, entry.public_key)).collect();
    registry.members = Arc::new(members);
    Ok(())
}

/// `get_seed(state, epoch, DOMAIN_BEACON_ATTESTER)`. The mixes before genesis all equal the genesis state's.
async fn seed(shared: &Shared, epoch: u64) -> Result<Hash32, BeaconError> {
    let mix = match epoch.checked_sub(SEED_LOOKBACK) {
        Some(of) => shared.beacon.randao("head", Some(of)).await?,
        None => shared.beacon.randao("genesis", None).await?,
    };
    Ok(Hash32(sha256(&[&DOMAIN_BEACON_ATTESTER, &epoch.to_le_bytes(), &mix.0])))
}

/// Does the beacon node run this chain?
pub(crate) async fn check_chain(shared: &Shared) -> Result<Result<(), String>, BeaconError> {
    let Chain { domains, preset, genesis_time, slot_seconds, .. } = shared.chain;
    let (genesis, spec) = (shared.beacon.genesis().await?, shared.beacon.spec().await?);
    let version = |bytes: [u8; 4]| format!("0x{}", hex::encode(bytes));
    let fork = |fork| version(domains.fork_version(fork));
    let pairs = [
        ("genesis time", genesis.genesis_time.to_string(), genesis_time.to_string()),
        ("genesis validators root", genesis.genesis_validators_root.to_string(), domains.genesis_validators_root().to_string()),
        ("SLOTS_PER_EPOCH", spec.slots_per_epoch.to_string(), preset.slots_per_epoch().to_string()),
        ("SECONDS_PER_SLOT", spec.seconds_per_slot.to_string(), slot_seconds.to_string()),
        ("GENESIS_FORK_VERSION", version(spec.genesis_fork_version), fork(pol_core::domains::Fork::Phase0)),
        ("DENEB_FORK_VERSION", version(spec.deneb_fork_version), fork(pol_core::domains::Fork::Deneb)),
    ];
    let differs = pairs.into_iter().find(|(_, found, expected)| found != expected);
    Ok(match differs {
        Some((what, found, expected)) => {
            Err(format!("the beacon node runs another chain: {what} is {found}, chain.toml says {expected}"))
        }
        None => Ok(()),
    })
}
