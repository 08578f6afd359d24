"""The chain computed again: Ethereum's official execution specification (ethereum-execution, Cancun) runs every block, sections 3 and 5 of
docs/PROTOCOL.md make its header. Of the client only what it alone can know is used: who earns, when, the randomness, the transactions."""

import json
from copy import copy
from dataclasses import replace

from ethereum.crypto.hash import keccak256
from ethereum.forks.cancun import fork, vm
from ethereum.forks.cancun.blocks import Block, Header, Withdrawal
from ethereum.forks.cancun.fork_types import Account
from ethereum.forks.cancun.state import State, set_account, set_storage, state_root
from ethereum.forks.cancun.transactions import LegacyTransaction
from ethereum.forks.cancun.trie import copy_trie, root
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes8, Bytes20, Bytes32, Bytes256
from ethereum_types.numeric import U64, U256, Uint

EMPTY_TRIE = keccak256(rlp.encode(b""))
GAS_LIMIT = 30_000_000
BASE_FEE = 10**9
LARGEST_HASH = 2**256 - 1


def integer(value) -> int:
    """Of genesis.json, where a number is one or is written as text of either kind."""
    return value if isinstance(value, int) else int(value, 0)


def plain(value: str) -> bytes:
    """Bytes of hex digits."""
    return bytes.fromhex(value.removeprefix("0x"))


def difficulty_of_child(difficulty: int, gap: int, floor: int) -> int:
    """Section 3."""
    assert gap >= 1
    steps = min(gap - 1, 15)
    child = difficulty + difficulty // 1024 if steps == 0 else difficulty - steps * (difficulty // 16)
    return max(floor, min(child, 4 * floor))


def seal_hash(header: Header) -> bytes:
    """What the nonce is searched under."""
    return keccak256(rlp.encode(replace(header, nonce=Bytes8(bytes(8)))))


def is_sealed(header: Header) -> bool:
    """Section 3."""
    work = keccak256(seal_hash(header) + header.nonce)
    return int.from_bytes(work, "big") <= LARGEST_HASH // int(header.difficulty)


def seal(header: Header) -> Header:
    """With the lowest nonce that seals."""
    nonces = (Bytes8(nonce.to_bytes(8, "big")) for nonce in range(2**64))
    return next(sealed for nonce in nonces if is_sealed(sealed := replace(header, nonce=nonce)))


def block_hash(header: Header) -> bytes:
    """The ordinary hash of all 20 fields."""
    return bytes(keccak256(rlp.encode(header)))


class Replay:
    """A chain from its genesis.json on, one block after the other."""

    def __init__(self, genesis_json: str):
        with open(genesis_json, encoding="utf-8") as file:
            genesis = json.load(file)
        self.chain_id = integer(genesis["config"]["chainId"])
        self.state = State()
        for address, account in genesis["alloc"].items():
            address = Bytes20(plain(address))
            fields = Uint(integer(account.get("nonce", 0))), U256(integer(account["balance"])), plain(account.get("code", ""))
            set_account(self.state, address, Account(*fields))
            for slot, value in account.get("storage", {}).items():
                set_storage(self.state, address, Bytes32(plain(slot)), U256(int(value, 16)))
        zero, floor = Bytes32(bytes(32)), integer(genesis["difficulty"])
        self.floor = floor
        header = Header(
            parent_hash=zero,
            ommers_hash=fork.EMPTY_OMMER_HASH,
            coinbase=Bytes20(bytes(20)),
            state_root=state_root(self.state),
            transactions_root=EMPTY_TRIE,
            receipt_root=EMPTY_TRIE,
            bloom=Bytes256(bytes(256)),
            difficulty=Uint(floor),
            number=Uint(0),
            gas_limit=Uint(GAS_LIMIT),
            gas_used=Uint(0),
            timestamp=U256(integer(genesis["timestamp"])),
            extra_data=bytes(64),
            prev_randao=zero,
            nonce=Bytes8(bytes(8)),
            base_fee_per_gas=Uint(BASE_FEE),
            withdrawals_root=EMPTY_TRIE,
            blob_gas_used=U64(0),
            excess_blob_gas=U64(0),
            parent_beacon_block_root=zero,
        )
        self.blocks = [Block(header=header, transactions=(), ommers=(), withdrawals=())]
        self.slot_seconds = integer(genesis["config"]["polai"]["slotSeconds"])

    def copy(self) -> "Replay":
        """The same chain, to go another way."""
        other = copy(self)
        other.state = State()
        other.state._main_trie = copy_trie(self.state._main_trie)
        other.state._storage_tries = {address: copy_trie(trie) for address, trie in self.state._storage_tries.items()}
        other.blocks = list(self.blocks)
        return other

    @property
    def head(self) -> Header:
        """Of the last block."""
        return self.blocks[-1].header

    @property
    def hash(self) -> bytes:
        """Of the last block."""
        return block_hash(self.head)

    def header(self, block: dict, transactions: list[bytes], withdrawals: list[dict]) -> Header:
        """The header that a block of these inputs must have, but for its nonce; the state moves on."""
        parent = self.head
        gas_limit = Uint(integer(block["gasLimit"]))
        base_fee = fork.calculate_base_fee_per_gas(gas_limit, parent.gas_limit, parent.gas_used, parent.base_fee_per_gas)
        timestamp, beacon_root = integer(block["timestamp"]), Bytes32(plain(block["parentBeaconBlockRoot"]))
        environment = vm.BlockEnvironment(
            chain_id=U64(self.chain_id),
            state=self.state,
            block_gas_limit=gas_limit,
            block_hashes=[block_hash(known.header) for known in self.blocks[-256:]],
            coinbase=Bytes20(plain(block["feeRecipient"])),
            number=Uint(parent.number + Uint(1)),
            base_fee_per_gas=base_fee,
            time=U256(timestamp),
            prev_randao=Bytes32(plain(block["prevRandao"])),
            excess_blob_gas=fork.calculate_excess_blob_gas(parent),
            parent_beacon_block_root=beacon_root,
        )
        decoded = tuple(rlp.decode_to(LegacyTransaction, raw) if raw[0] >= 0xC0 else raw for raw in transactions)
        moved = tuple(
            Withdrawal(
                index=U64(integer(one["index"])),
                validator_index=U64(integer(one["validatorIndex"])),
                address=Bytes20(plain(one["address"])),
                amount=U256(integer(one["amount"])),
            )
            for one in withdrawals
        )
        output = fork.apply_body(environment, decoded, moved)
        gap = divmod(timestamp - int(parent.timestamp), self.slot_seconds)
        assert gap[1] == 0, "no slot's time"
        return Header(
            parent_hash=Bytes32(self.hash),
            ommers_hash=fork.EMPTY_OMMER_HASH,
            coinbase=environment.coinbase,
            state_root=state_root(self.state),
            transactions_root=root(output.transactions_trie),
            receipt_root=root(output.receipts_trie),
            bloom=fork.logs_bloom(output.block_logs),
            difficulty=Uint(difficulty_of_child(int(parent.difficulty), gap[0], self.floor)),
            number=environment.number,
            gas_limit=gas_limit,
            gas_used=output.block_gas_used,
            timestamp=environment.time,
            extra_data=self.hash + plain(block["updateId"]),
            prev_randao=environment.prev_randao,
            nonce=Bytes8(bytes(8)),
            base_fee_per_gas=base_fee,
            withdrawals_root=root(output.withdrawals_trie),
            blob_gas_used=output.blob_gas_used,
            excess_blob_gas=environment.excess_blob_gas,
            parent_beacon_block_root=beacon_root,
        )

    def extend(self, block: dict, nonce: bytes, transactions: list[bytes], withdrawals: list[dict]) -> Header:
        """Runs a block, which must be sealed by `nonce`; returns its header."""
        header = replace(self.header(block, transactions, withdrawals), nonce=Bytes8(nonce))
        assert is_sealed(header), f"block {header.number}: {nonce.hex()} is no seal of what its inputs give"
        self.blocks.append(Block(header=header, transactions=(), ommers=(), withdrawals=()))
        return header

    def follow(self, port, last: int):
        """Runs every canonical block of a client up to `last`, and compares every root and hash of it."""
        for height in range(int(self.head.number) + 1, last + 1):
            found = port.call("eth_getBlockByNumber", hex(height), False)
            raw = [plain(port.call("eth_getRawTransactionByHash", hash)) for hash in found["transactions"]]
            inputs = {"feeRecipient": found["miner"], "prevRandao": found["mixHash"], "updateId": found["extraData"][66:]}
            header = self.extend({**found, **inputs}, plain(found["nonce"]), raw, found["withdrawals"])
            expected = {
                "stateRoot": header.state_root,
                "transactionsRoot": header.transactions_root,
                "receiptsRoot": header.receipt_root,
                "withdrawalsRoot": header.withdrawals_root,
                "logsBloom": header.bloom,
                "extraData": header.extra_data,
                "parentHash": header.parent_hash,
                "hash": self.hash,
            }
            for name, value in expected.items():
                assert plain(found[name]) == value, f"block {height}, {name}: found {found[name]}, expected 0x{value.hex()}"
            assert integer(found["difficulty"]) == header.difficulty, f"block {height}: difficulty {found['difficulty']}"
