//! One update through this crate: guarded, ACKed, counted, certified, in a block, checked at import.
//!
//! `cargo run -p lighthouse-ack-quorum --example one_update`
#![allow(clippy::disallowed_methods)]

#[path = "../src/fixtures.rs"]
mod fixtures;

use std::{error::Error, sync::Arc};

use lighthouse_ack_quorum::{
    collector::{Collector, Seen},
    guard::{Candidate, Guard, Key},
    import::{Anchor, BlockView, HeadTable, Importer},
    quorum::certify,
    signer::Signer,
};
use pol_core::{Hash32, ResultRoot, ack::AckData};

fn main() -> Result<(), Box<dyn Error>> {
    let (folder, spec) = (tempfile::tempdir()?, fixtures::spec());
    let (domains, rule, genesis) = (spec.domains(), spec.parameters().quorum, spec.genesis_head());

    // Who may ACK: the beacon side tells, once an epoch.
    let members = Arc::new(fixtures::members(4, 0));
    let committee = members.committee(0).ok_or("no committee")?;

    // The gate approved of a delta. The guard writes first, then the signer signs, for validators 0 to 2.
    let guard = Guard::open(&folder.path().join("guard"), spec.delta_context(), domains)?;
    let signer = Signer::new((0..3).map(fixtures::secret), domains);
    let delta = fixtures::delta(1, genesis, 0);
    let data = AckData { update_id: delta.update_id(), model_head: genesis, result_root: ResultRoot([3; 32]) };
    let keys: Vec<Key> = signer.keys();
    let mut acks = Vec::new();
    for receipt in guard.acks(&Candidate::from(delta), &data, &keys)? {
        acks.push(Seen { ack: *signer.ack(receipt?)?.raw(), first_seen_ms: fixtures::NOW_MS });
    }
    println!("{} ACKs for {}", acks.len(), data.update_id);

    // Every node counts; a proposer certifies.
    let mut collector = Collector::new(domains, rule);
    collector.set_members(Arc::clone(&members));
    let added = collector.add(&acks, fixtures::NOW_MS);
    println!("{} counted, quorum is {}", added.counted, committee.quorum(rule));
    let certified = certify(&collector, genesis, committee, rule, &domains)?.ok_or("no quorum")?;

    // The block carries update and certificate; every node checks it before it imports it.
    let table = HeadTable::open(&folder.path().join("heads.redb"), spec.genesis_id())?;
    table.anchor(Anchor { root: Hash32([1; 32]), model_head: genesis }, 0)?;
    let importer = Importer::new(Arc::new(table), rule, domains, spec.parameters().preset.slots_per_epoch());
    let payload_parent_hash = [2; 32];
    let extra_data = fixtures::extra_data(payload_parent_hash, data.update_id, &certified.trailer());
    let block = BlockView { root: [9; 32], parent_root: [1; 32], slot: 1, extra_data: &extra_data, payload_parent_hash };
    let checked = importer.check(&block, committee)?;
    println!("block imported with {} ACKs; model head is now {}", certified.acks(), checked.model_head);

    // The same block without its certificate is refused, and its proposer slashable.
    let bare = BlockView { root: [8; 32], extra_data: &extra_data[..80], ..block };
    println!("without certificate: {}", importer.check(&bare, committee).unwrap_err());
    Ok(())
}
