use pol_kit::clock::System;
use reth_ai_exex::{candidate::Mode, metrics::Metrics};

use super::*;
use crate::{
    chain::History,
    fixtures::{GENESIS_TIME, SLOT, genesis, sealer},
};

fn parts(directory: &std::path::Path) -> Parts {
    let chain = Chain::open(directory, genesis(), History::default(), Metrics::new()).unwrap();
    let (pool, clock) = (Pool::new(chain.clone()), Arc::new(System::new()));
    let sealer = Some(sealer(chain.genesis()));
    let register = Register::new(*chain.genesis().chain(), clock.clone(), Mode::Enabled, Metrics::new());
    Parts { chain, pool, register, sealer, clock, gas_limit: 30_000_000 }
}

/// A seal that does not come is played by a job that nobody works on.
#[tokio::test]
async fn the_empty_block_comes_before_a_beacon_node_hangs_up() {
    let directory = tempfile::tempdir().unwrap();
    let (payloads, mut runner) = Payloads::new(parts(directory.path()));
    let (parent, attributes) =
        (payloads.parts.chain.head(), PayloadAttributes { timestamp: GENESIS_TIME + SLOT, ..PayloadAttributes::default() });
    let id = payloads.start(Arc::clone(&parent), attributes).unwrap();
    let job = runner.orders.recv().await.unwrap();
    let hang_up = Duration::from_secs(SLOT).div_f64(3.0);
    let get = || tokio::time::timeout(hang_up, payloads.get(id));
    assert_eq!(get().await, Ok(Err(PayloadError::Late)), "nothing is sealed");
    let (payload, _) = ExecutionPayload::from_block_unchecked(parent.data.hash, &parent.data.block);
    let overtaken = Built { payload, value: U256::ZERO, generation: u64::MAX, names_update: false };
    job.best.send_replace(Some(Arc::new(overtaken.clone())));
    assert_eq!(get().await, Ok(Ok(Arc::new(overtaken.clone()))));
    job.best.send_replace(Some(Arc::new(Built { names_update: true, ..overtaken })));
    assert_eq!(get().await, Ok(Err(PayloadError::Late)), "its update is not the choice any more");
}
