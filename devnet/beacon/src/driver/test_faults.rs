//! A proposer that breaks section 9 on purpose, for tests of the slashing story and demonstrations. Off unless asked for.

use pol_core::{Hash32, params::WIRE_HEAD_BYTES};
use ssz_types::VariableList;

use super::{error::DriverError, node::Node, produce::Plan};
use crate::types::{DomainType, EthSpec, ExecutionPayload, HashedBlock, SignatureBytes, SignedBeaconBlock, signing_root};

/// The update that such a block names: nobody has ever ACKed it.
const UPDATE: [u8; 32] = [0xbd; 32];

impl<E: EthSpec> Node<E> {
    /// Signs and offers a block that names an update without a certificate, if this plan's proposer is to. Guard and own check are not asked,
    /// which is what makes it slashable.
    pub(super) async fn propose_badly(&self, plan: &Plan<E>, payload: &ExecutionPayload<E>) -> Result<bool, DriverError> {
        let Some((index, key)) = &self.options.bad_certificates_by else { return Ok(false) };
        if *index != plan.proposer {
            return Ok(false);
        }
        let mut payload = payload.clone();
        let mut extra_data = payload.extra_data.to_vec();
        extra_data.truncate(WIRE_HEAD_BYTES);
        extra_data.iter_mut().skip(32).zip(UPDATE).for_each(|(to, from)| *to = from);
        payload.extra_data = VariableList::new(extra_data).unwrap_or_default();
        let (plan, key, graffiti) = (plan.clone(), key.clone(), self.options.graffiti);
        let slot = plan.slot;
        let block = self.read(move |chain| {
            let Some(block) = chain.unsigned(&plan, payload, graffiti)? else { return Ok::<_, DriverError>(None) };
            let root = signing_root(&block, plan.state.domain(DomainType::BeaconProposer, plan.state.current_epoch()));
            let signature = SignatureBytes::from(key.sign(Hash32(root.0)).to_bytes());
            Ok(Some(HashedBlock::from(SignedBeaconBlock { message: block, signature })))
        });
        if let Some(block) = block.await?? {
            tracing::warn!(target: "polai::beacon", slot, proposer = index, "test: signing a block with a bad certificate");
            // Refused, as it must be.
            drop(self.import(block).await?);
        }
        Ok(true)
    }
}
