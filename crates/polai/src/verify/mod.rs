//! `polai verify`: the whole chain checked again, by rules alone.
//!
//! # Purpose
//! What the node's processes decided while they ran is decided once more, from blocks and bytes, with pol-core and nothing of theirs.
//!
//! # Contract
//! Everything from genesis to the head that stood when it began. It ends at the first contradiction, and says what and where.
//!
//! # What it does not protect against
//! The execution of transactions and the beacon chain's own rules are the clients' to check; here are the rules of docs/PROTOCOL.md. Of a
//! committee of more than 512 validators the seats are drawn from randomness that old states alone know: such certificates are not checked.
//! A void over more than 1,024 updates, and updates whose bytes nobody keeps, end the check without a verdict on the model state.

mod certificates;
mod headers;
mod replay;
mod stopped;
#[cfg(test)]
mod tests;

use pol_core::{Hash32, ModelHead, UpdateId, ack::VerifiedCertificate, genesis::ChainSpec, model_head};
use pol_kit::exit::{Exit, OrUsage as _};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::{
    args::{Ports, VerifyArgs},
    ask::{Ask, AskError, number},
    layout::Layout,
    programs::Programs,
    run_file,
    up::{chain, say},
};

/// What was found to be wrong, and what kept us from looking.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The chain contradicts the rules, or itself: whoever made it is at fault, and every node that took it.
    #[error("CONTRADICTION at block {block}: {what}")]
    Contradiction {
        /// Height of the execution block.
        block: u64,
        /// What is wrong.
        what: String,
    },
    /// A process does not answer, or not in a form that can be read. Not the chain's fault.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Bytes of an update are not to be had. Not the chain's fault: ask again when a peer has them.
    #[error("block {block}: update {update_id}: {error}")]
    Bytes {
        /// Height of the execution block.
        block: u64,
        /// The update.
        update_id: UpdateId,
        /// What pol-dht says.
        error: String,
    },
    /// No peer that can be reached keeps the bytes of an update. Nobody's fault: they need not be kept for ever.
    #[error("not checked: block {block}: the bytes of update {update_id} are gone; the model state cannot be replayed")]
    Gone {
        /// Height of the execution block.
        block: u64,
        /// The update.
        update_id: UpdateId,
    },
    /// The chain voids more than this check remembers. Nobody's fault.
    #[error(
        "not checked: block {block}: its void goes {updates} updates back, verify follows {most} at most; the model state cannot be replayed"
    )]
    TooFarBack {
        /// Height of the execution block.
        block: u64,
        /// Updates that it returns over.
        updates: usize,
        /// What is remembered.
        most: usize,
    },
    /// The head that was checked is no longer of the chain, twice. Nobody's fault.
    #[error("not checked: block {block} was replaced by a reorg during the check, twice: try again, or after polai down")]
    Moved {
        /// Height of the head that was checked.
        block: u64,
    },
}

impl VerifyError {
    /// Whether a reorg during the check may have caused it.
    const fn may_be_a_reorg(&self) -> bool {
        matches!(self, Self::Contradiction { .. })
    }
}

fn contradiction(block: u64, what: impl ToString) -> VerifyError {
    VerifyError::Contradiction { block, what: what.to_string() }
}

/// A block whose header is in order.
#[derive(Debug, Clone, Copy)]
struct Block {
    number: u64,
    hash: Hash32,
    timestamp: u64,
    update_id: UpdateId,
    /// Head after its parent.
    parent_head: ModelHead,
}

/// An AI block whose certificate is in order.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    block: Block,
    certificate: VerifiedCertificate,
}

/// Whom to ask.
#[derive(Debug, Clone)]
struct Node {
    ask: Ask,
    spec: ChainSpec,
    ports: Ports,
}

impl Node {
    fn execution(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    fn beacon(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.beacon)
    }
}

/// Checks the chain of the folder; of a stopped node, whose processes are started for it without any key.
///
/// # Errors
/// Exit code 1 at the first contradiction. The operator's: no chain.
pub fn verify(layout: &Layout, args: &VerifyArgs, programs: &Programs) -> Result<(), Exit> {
    let none = || Exit::usage(format!("{}: no chain in it", layout.directory().display()));
    let spec = chain::read(layout)?.ok_or_else(none)?;
    if run_file::running(layout)?.is_some() {
        let node = Node { ask: Ask::new()?, spec, ports: run_file::of_running(layout)?.ports };
        return Ok(Builder::new_current_thread().enable_all().build()?.block_on(check(&node))?);
    }
    let node = Node { ask: Ask::new()?, spec, ports: args.ports.ports().or_usage()? };
    stopped::verify(layout, programs, node)
}

/// All checks; once more from the start when a reorg came between two answers of a running node.
async fn check(node: &Node) -> Result<(), VerifyError> {
    let mut again = true;
    loop {
        let head: Option<Value> = node.ask.call(&node.execution(), "eth_blockNumber", json!([])).await?;
        let head = head.as_ref().and_then(number).unwrap_or(0);
        let before = hash(node, head).await?;
        match pass(node, head).await {
            Err(error) if error.may_be_a_reorg() && hash(node, head).await? != before => {}
            ended => return ended,
        }
        if !again {
            return Err(VerifyError::Moved { block: head });
        }
        again = false;
        say(&format!("reorg      block {head} was replaced meanwhile: starting over"));
    }
}

/// What the execution client names the block at this height, when it has one.
async fn hash(node: &Node, height: u64) -> Result<Option<String>, AskError> {
    let parameters = json!([format!("0x{height:x}"), false]);
    let block: Option<Value> = node.ask.call(&node.execution(), "eth_getBlockByNumber", parameters).await?;
    Ok(block.and_then(|block| Some(block.get("hash")?.as_str()?.to_owned())))
}

async fn pass(node: &Node, head: u64) -> Result<(), VerifyError> {
    say(&format!("verifying  chain {}, blocks 0 to {head}", node.spec.genesis_id()));

    let blocks = headers::check(node, head).await?;
    say(&format!("headers    {head} blocks: hash, parent, extraData, difficulty and seal are right"));

    let (accepted, empty, unseen) = certificates::check(node, &blocks).await?;
    let note =
        if unseen == 0 { String::new() } else { format!("; {unseen} of committees above 512 validators were not looked at") };
    let count = accepted.len();
    say(&format!(
        "ACKs       {count} AI blocks: a quorum of the committee signed each; {empty} empty blocks carry no certificate{note}"
    ));

    let folded = model_head::fold(node.spec.genesis_head(), blocks.iter().map(|block| block.update_id));
    let updates = blocks.iter().filter(|block| !block.update_id.is_zero()).count();
    heads(node, head, folded, updates).await?;
    say(&format!("heads      {updates} updates fold to {folded}, as the execution client says"));

    let root = replay::check(node, &accepted).await?;
    say(&format!("state      {count} updates replayed from their bytes give {root}; each certificate's root is right"));
    say("the chain is what it should be");
    Ok(())
}

/// The execution client's model log against the fold of the headers.
async fn heads(node: &Node, head: u64, folded: ModelHead, updates: usize) -> Result<(), VerifyError> {
    let said: Option<Value> = node.ask.call(&node.execution(), "polai_modelHead", json!([format!("0x{head:x}")])).await?;
    let said = said.ok_or_else(|| contradiction(head, "the execution client's model log does not know the block"))?;
    let expected = format!("0x{folded}");
    if said.get("modelHead").and_then(Value::as_str) != Some(expected.as_str()) {
        return Err(contradiction(head, format!("polai_modelHead says {}, the headers fold to {expected}", said["modelHead"])));
    }
    let counted = said.get("updates").and_then(number);
    if counted != u64::try_from(updates).ok() {
        return Err(contradiction(head, format!("polai_modelHead counts {counted:?} updates, the headers have {updates}")));
    }
    Ok(())
}
