use super::*;

fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn set(number: u8, nonce: u64, storage: &[(u64, u64)]) -> StateDiff {
    let storage = storage.iter().map(|(slot, value)| (keccak256(U256::from(*slot).to_be_bytes::<32>()), U256::from(*value)));
    let fields = AccountFields { nonce, ..AccountFields::default() };
    let account = AccountDiff { fields: Some(fields), wiped: false, storage: storage.collect() };
    StateDiff { accounts: BTreeMap::from([(keccak256(address(number)), account)]), codes: BTreeMap::new() }
}

#[test]
fn a_diff_makes_the_next_state_and_leaves_this_one() {
    let first = WorldState::default().apply(&set(1, 5, &[(1, 10), (2, 20)]));
    let second = first.apply(&set(1, 6, &[(1, 0), (3, 30)]));
    let slots = |state: &WorldState| [1, 2, 3].map(|slot| state.storage(&address(1), U256::from(slot)).to::<u64>());
    assert_eq!((slots(&first), slots(&second)), ([10, 20, 0], [0, 20, 30]));
    assert_eq!((first.fields(&address(1)).nonce, second.fields(&address(1)).nonce), (5, 6));
    assert_ne!(first.root(), second.root());
}

#[test]
fn a_wiped_account_keeps_no_slot_and_one_that_is_gone_leaves_the_empty_root() {
    let first = WorldState::default().apply(&set(1, 5, &[(1, 10)]));
    let mut wiped = set(1, 1, &[(2, 2)]);
    wiped.accounts.values_mut().for_each(|account| account.wiped = true);
    assert_eq!(first.apply(&wiped).storage(&address(1), U256::from(1)), U256::ZERO);
    let mut gone = set(1, 1, &[]);
    gone.accounts.values_mut().for_each(|account| account.fields = None);
    assert_eq!(first.apply(&gone).root(), WorldState::default().root());
}

#[test]
fn a_diff_reads_back_from_its_bytes() {
    let mut diff = set(1, 5, &[(1, 10), (2, 0)]);
    diff.accounts.insert(B256::repeat_byte(9), AccountDiff { fields: None, wiped: true, storage: BTreeMap::new() });
    diff.codes.insert(B256::repeat_byte(3), Bytes::from_static(b"code"));
    assert_eq!(StateDiff::from_rlp(&diff.to_rlp()), Ok(diff.clone()));
    for cut in 0..diff.to_rlp().len() {
        assert!(StateDiff::from_rlp(&diff.to_rlp()[..cut]).is_err());
    }
}
