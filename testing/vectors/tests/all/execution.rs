//! Section 5: the execution genesis; the deposit contract, run by an EVM.

use alloy_primitives::{Address, B256, Bytes, Log, U256, b256, hex};
use pol_core::identity::GenesisSeed;
use pol_vectors::{Object, cases, open};
use reth_ai_exex::genesis::{DEPOSIT_CONTRACT, DEPOSIT_CONTRACT_CODE, GenesisDraft, GenesisParameters};
use revm::{
    Context, ExecuteCommitEvm as _, ExecuteEvm as _, MainBuilder as _, MainContext as _,
    bytecode::Bytecode,
    context::{TxEnv, result::ExecutionResult},
    database::{CacheDB, EmptyDB},
    primitives::{TxKind, hardfork::SpecId},
    state::AccountInfo,
};

pub(crate) fn genesis(file: &str) {
    cases(file, |case| {
        let seed: GenesisSeed = case.text("genesis_seed").parse().unwrap();
        let parameters = GenesisParameters {
            seed,
            genesis_time: case.num("genesis_time"),
            chain_id: case.num("chain_id"),
            difficulty_floor: case.num("difficulty_floor"),
        };
        let funded = Address::from(case.bytes::<20>("funded"));
        assert_eq!(parameters.seed.funded_account().unwrap().address(), funded.0.0, "{}", case.name());
        let draft = GenesisDraft::build(&parameters).unwrap();
        assert_eq!(draft.header().state_root.0, case.bytes("state_root"), "{}", case.name());
        assert_eq!(draft.hash().0, case.bytes("hash"), "{}", case.name());
    });
}

const CALLER: Address = Address::repeat_byte(0xca);
const EVENT: B256 = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// The contract as genesis puts it into the state: code alone, no storage.
struct Contract(CacheDB<EmptyDB>);

impl Contract {
    fn new() -> Self {
        let mut state = CacheDB::new(EmptyDB::default());
        let code = Bytecode::new_raw(Bytes::from_static(DEPOSIT_CONTRACT_CODE));
        state.insert_account_info(DEPOSIT_CONTRACT, AccountInfo { nonce: 1, ..AccountInfo::from_bytecode(code) });
        state.insert_account_info(CALLER, AccountInfo { balance: U256::MAX >> 1, ..AccountInfo::default() });
        Self(state)
    }

    fn transaction(wei: U256, data: Vec<u8>) -> TxEnv {
        let call = TxEnv::builder().caller(CALLER).kind(TxKind::Call(DEPOSIT_CONTRACT)).value(wei).data(data.into());
        call.gas_limit(10_000_000).gas_price(0).build().unwrap()
    }

    fn send(&mut self, wei: U256, data: Vec<u8>) -> ExecutionResult {
        let nonce = self.0.cache.accounts.get(&CALLER).unwrap().info.nonce;
        let context =
            Context::mainnet().with_db(&mut self.0).modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN));
        let transaction = TxEnv { nonce, ..Self::transaction(wei, data) };
        context.build_mainnet().transact_commit(transaction).unwrap()
    }

    fn call(&mut self, data: Vec<u8>) -> Vec<u8> {
        let nonce = self.0.cache.accounts.get(&CALLER).unwrap().info.nonce;
        let context =
            Context::mainnet().with_db(&mut self.0).modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN));
        let transaction = TxEnv { nonce, ..Self::transaction(U256::ZERO, data) };
        let result = context.build_mainnet().transact(transaction).unwrap().result;
        assert!(result.is_success(), "{result:?}");
        result.output().unwrap().to_vec()
    }

    fn root(&mut self) -> B256 {
        B256::from_slice(&self.call(hex!("c5f2892f").to_vec()))
    }

    fn count(&mut self) -> Vec<u8> {
        // A dynamic value: where it begins, its length, its bytes padded.
        let output = self.call(hex!("621fd130").to_vec());
        assert_eq!((U256::from_be_slice(&output[..32]), U256::from_be_slice(&output[32..64])), (U256::from(32), U256::from(8)));
        assert_eq!(output[72..], [0; 24]);
        output[64..72].to_vec()
    }
}

/// ABI encoding of `deposit(bytes,bytes,bytes,bytes32)`.
fn deposit_call(parts: [&[u8]; 3], root: &[u8; 32]) -> Vec<u8> {
    let mut data = hex!("22895118").to_vec();
    let mut tail = Vec::new();
    for part in parts {
        data.extend(U256::from(4 * 32 + tail.len()).to_be_bytes::<32>());
        tail.extend(U256::from(part.len()).to_be_bytes::<32>());
        tail.extend(part);
        tail.resize(tail.len().next_multiple_of(32), 0);
    }
    data.extend(root);
    data.extend(tail);
    data
}

fn only_log(result: &ExecutionResult) -> &Log {
    let [log] = result.logs() else { panic!("one event, not {:?}", result.logs()) };
    assert_eq!((log.address, log.topics()), (DEPOSIT_CONTRACT, [EVENT].as_slice()));
    log
}

pub(crate) fn deposit(file: &str) {
    let mut contract = Contract::new();
    let mut vectors = open(file);
    assert_eq!(contract.root().0, vectors.bytes("empty_root"));
    assert_eq!(contract.count(), [0; 8]);
    vectors.each("cases", |case| one_deposit(&mut contract, case));
    vectors.finish();
    the_interfaces_are_named(&mut contract);
    a_full_tree_takes_no_deposit();
}

fn one_deposit(contract: &mut Contract, case: &mut Object) {
    let parts = ["pubkey", "withdrawal_credentials", "signature"].map(|name| case.hex(name));
    let (wei, root) = (U256::from(u128::try_from(case.int("wei")).unwrap()), case.bytes("deposit_data_root"));
    let before = (contract.root(), contract.count());
    let result = contract.send(wei, deposit_call(parts.each_ref().map(Vec::as_slice), &root));
    let Some(error) = case.error() else {
        assert!(result.is_success(), "{}: {result:?}", case.name());
        assert_eq!(only_log(&result).data.data.to_vec(), case.hex("event"), "{}", case.name());
        assert_eq!(contract.root().0, case.bytes("deposit_root"), "{}", case.name());
        assert_eq!(contract.count(), case.hex("deposit_count"), "{}", case.name());
        return;
    };
    let text = match error.as_str() {
        "wrong_length" => "bytes",
        "too_little" => "less than 1 ether",
        "not_gwei" => "not a whole number of gwei",
        "too_much" => "more than 2^64 - 1 gwei",
        "wrong_root" => "of other data",
        other => panic!("{}: no such word: {other}", case.name()),
    };
    let ExecutionResult::Revert { output, .. } = &result else { panic!("{}: {result:?}", case.name()) };
    let reason = String::from_utf8_lossy(output);
    assert!(reason.contains(text), "{}: {reason}", case.name());
    assert_eq!((contract.root(), contract.count()), before, "{}: something remained", case.name());
}

fn the_interfaces_are_named(contract: &mut Contract) {
    let mut supports = |id: [u8; 4]| {
        let mut data = hex!("01ffc9a7").to_vec();
        data.extend(id);
        data.resize(36, 0);
        contract.call(data).last() == Some(&1)
    };
    assert!(supports(hex!("01ffc9a7")) && supports(hex!("85640907")));
    assert!(!supports(hex!("ffffffff")) && !supports(hex!("00000000")));
}

/// 2^32 - 1 deposits, without making them: the count lies behind the 32 branches.
fn a_full_tree_takes_no_deposit() {
    let mut contract = Contract::new();
    let vectors = open("deposit").all("cases", |case| {
        let parts = ["pubkey", "withdrawal_credentials", "signature"].map(|name| case.hex(name));
        let found = (parts, U256::from(u128::try_from(case.int("wei")).unwrap()), case.bytes("deposit_data_root"));
        for key in case.keys() {
            case.take(&key);
        }
        found
    });
    let (parts, wei, root) = &vectors[0];
    for (count, accepted) in [((1_u64 << 32) - 2, true), ((1 << 32) - 1, false)] {
        contract.0.insert_account_storage(DEPOSIT_CONTRACT, U256::from(32), U256::from(count)).unwrap();
        let result = contract.send(*wei, deposit_call(parts.each_ref().map(Vec::as_slice), root));
        assert_eq!(result.is_success(), accepted, "{count}: {result:?}");
    }
    assert_eq!(contract.count(), ((1_u64 << 32) - 1).to_le_bytes());
}
