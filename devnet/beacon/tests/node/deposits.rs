//! A deposit of the execution chain's log becomes a validator.

use alloy_primitives::B256;
use pol_beacon::{
    driver::{DepositTree, decode_deposit},
    engine::Log,
    types::{DepositData, DomainType, MAX_EFFECTIVE_BALANCE, compute_domain, signing_root},
};
use pol_core::Hash32;
use serde_json::{Value, json};

use crate::world::{World, secret_key};

fn deposit(world: &World, index: u64) -> DepositData {
    let key = secret_key(index);
    let mut data = DepositData {
        pubkey: key.public_key().to_bytes().into(),
        withdrawal_credentials: B256::repeat_byte(1),
        amount: MAX_EFFECTIVE_BALANCE,
        signature: [0; 96].into(),
    };
    let domain = compute_domain(DomainType::Deposit, world.chain.config.forks.phase0, B256::ZERO);
    data.signature = key.sign(Hash32(signing_root(&data.message(), domain).0)).to_bytes().into();
    data
}

/// The ABI encoding of `DepositEvent`.
fn event(data: &DepositData, number: u64) -> Vec<u8> {
    let fields: [&[u8]; 5] =
        [&data.pubkey.0, &data.withdrawal_credentials.0, &data.amount.to_le_bytes(), &data.signature.0, &number.to_le_bytes()];
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let word = |n: usize| [vec![0; 24], u64::try_from(n).unwrap().to_be_bytes().to_vec()].concat();
    for field in fields {
        head.extend(word(160 + tail.len()));
        tail.extend(word(field.len()));
        tail.extend(field);
        tail.resize(tail.len().next_multiple_of(32), 0);
    }
    [head, tail].concat()
}

fn log(data: &DepositData, number: u64, block: u64) -> Value {
    json!({ "blockNumber": format!("{block:#x}"), "data": format!("0x{}", hex::encode(event(data, number))) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_activates_a_validator_and_the_quorum_grows() {
    let world = World::new(4).await;
    let data = deposit(&world, 4);
    world.engine.script.lock().unwrap().logs = vec![log(&data, 0, 3)];
    let status = async || world.node().read(|chain| chain.ai_status()).await.unwrap().unwrap();
    world.slots(0..=60).await;
    let state = world.node().snapshot().head_node().unwrap().state.clone();
    assert_eq!((state.validators.len(), state.eth1_deposit_index), (5, 1));
    assert_eq!(status().await["seats"], "4");
    world.slots(61..=130).await;
    let status = status().await;
    assert_eq!((&status["seats"], &status["quorum"]), (&"5".into(), &"3".into()));
    assert_eq!(world.head_slot(), 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_starts_anew_is_read_again() {
    let world = World::new(4).await;
    let data = deposit(&world, 4);
    // Number 1 without number 0: the execution chain has been reorganized below what is read.
    world.engine.script.lock().unwrap().logs = vec![log(&data, 1, 3)];
    world.slots(0..=30).await;
    world.engine.script.lock().unwrap().logs = vec![log(&data, 0, 3)];
    world.slots(31..=60).await;
    assert_eq!(world.node().snapshot().head_node().unwrap().state.validators.len(), 5);
}

#[tokio::test]
async fn every_proof_of_every_tree_holds_and_foreign_bytes_are_no_deposit() {
    let world = World::new(1).await;
    let data = deposit(&world, 1);
    let mut tree = DepositTree::default();
    let raw = |number: u64| Log { block_number: alloy_primitives::U64::from(9), data: event(&data, number).into() };
    for number in 0..9 {
        let (found, deposit) = decode_deposit(&raw(number)).unwrap();
        assert_eq!((found, &deposit.data), (number, &data));
        tree.push(deposit);
    }
    for count in 1..=9 {
        let root = tree.root(count);
        for index in 0..count {
            let deposit = tree.deposit(index, count).unwrap();
            let mut node = <DepositData as tree_hash::TreeHash>::tree_hash_root(&deposit.data);
            for (depth, sibling) in deposit.proof.iter().enumerate() {
                let is_right = (index >> depth) & 1 == 1;
                let pair = if is_right { [sibling.0, node.0] } else { [node.0, sibling.0] };
                node = B256::from(pol_core::sha256(&[&pair[0], &pair[1]]));
            }
            assert_eq!(node, root, "{index} of {count}");
        }
    }
    let mut bytes = event(&data, 0);
    for cut in [0, 1, 575] {
        assert!(decode_deposit(&Log { data: bytes[..cut].to_vec().into(), ..raw(0) }).is_none());
    }
    bytes[31] ^= 1;
    assert!(decode_deposit(&Log { data: bytes.into(), ..raw(0) }).is_none());
}
