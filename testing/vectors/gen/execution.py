"""Section 5: the execution genesis block from seed, time and parameters: state trie, header, hash."""

from pathlib import Path

import rlp

from .common import K, be, document, rand
from .identity import account
from .seal import encode

CONTRACTS = Path(__file__).resolve().parents[3] / "reth-ai-exex" / "contracts"
DEPOSIT_CONTRACT = bytes.fromhex("42" * 20)
# EIP-4788.
BEACON_ROOTS = bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02")
BEACON_ROOTS_CODE = bytes.fromhex(
    "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c57"
    "5f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
)
EMPTY_TRIE = K(rlp.encode(b""))
FUNDED = 10**9 * 10**18


def number(value: int) -> bytes:
    """An RLP integer."""
    return be(value, (value.bit_length() + 7) // 8)


def compact(nibbles: list[int], is_leaf: bool) -> bytes:
    """Hex-prefix encoding (Yellow Paper, appendix C)."""
    flag = 2 * is_leaf + len(nibbles) % 2
    nibbles = [flag] + ([] if len(nibbles) % 2 else [0]) + nibbles
    return bytes(16 * a + b for a, b in zip(nibbles[::2], nibbles[1::2]))


def node(entries: list[tuple[list[int], bytes]]):
    """The structure of a trie node (Yellow Paper, appendix D); keys of one length."""
    if len(entries) == 1:
        return [compact(entries[0][0], True), entries[0][1]]
    first, last = entries[0][0], entries[-1][0]
    shared = next(i for i in range(len(first)) if first[i] != last[i])
    if shared:
        return [compact(first[:shared], False), reference([(key[shared:], value) for key, value in entries])]
    children = []
    for nibble in range(16):
        below = [(key[1:], value) for key, value in entries if key[0] == nibble]
        children.append(reference(below) if below else b"")
    return [*children, b""]


def reference(entries):
    """A node as its parent holds it."""
    inner = node(entries)
    encoded = rlp.encode(inner)
    return inner if len(encoded) < 32 else K(encoded)


def trie_root(values: dict[bytes, bytes]) -> bytes:
    """Root of a secured trie."""
    entries = sorted((list(sum(((b >> 4, b & 15) for b in K(key)), ())), value) for key, value in values.items())
    return K(rlp.encode(node(entries))) if entries else EMPTY_TRIE


def state_root(accounts: dict[bytes, tuple[int, int, bytes]]) -> bytes:
    """Root of a state of (nonce, balance, code), without storage."""
    rows = {
        address: rlp.encode([number(nonce), number(balance), EMPTY_TRIE, K(code)])
        for address, (nonce, balance, code) in accounts.items()
    }
    return trie_root(rows)


def case(name: str, seed: bytes, genesis_time: int, chain_id: int, difficulty_floor: int) -> dict:
    """One genesis."""
    funded = account(seed)["address"]
    code = (CONTRACTS / "DepositContract.bin").read_bytes()
    accounts = {funded: (0, FUNDED, b""), DEPOSIT_CONTRACT: (1, 0, code), BEACON_ROOTS: (1, 0, BEACON_ROOTS_CODE)}
    header = {
        "parent_hash": bytes(32),
        "ommers_hash": K(rlp.encode([])),
        "beneficiary": bytes(20),
        "state_root": state_root(accounts),
        "transactions_root": EMPTY_TRIE,
        "receipts_root": EMPTY_TRIE,
        "logs_bloom": bytes(256),
        "difficulty": difficulty_floor,
        "number": 0,
        "gas_limit": 30_000_000,
        "gas_used": 0,
        "timestamp": genesis_time,
        "extra_data": bytes(64),
        "mix_hash": bytes(32),
        "nonce": 0,
        "base_fee_per_gas": 10**9,
        "withdrawals_root": EMPTY_TRIE,
        "blob_gas_used": 0,
        "excess_blob_gas": 0,
        "parent_beacon_block_root": bytes(32),
    }
    return {
        "name": name,
        "genesis_seed": seed.hex(),
        "genesis_time": genesis_time,
        "chain_id": chain_id,
        "difficulty_floor": difficulty_floor,
        "funded": funded,
        "state_root": header["state_root"],
        "hash": K(encode(header)),
    }


def known_answers():
    """Ethereum's own numbers."""
    assert EMPTY_TRIE.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    # The trie of the Yellow Paper's companion tests (ethereum/tests, trieanyorder_secureTrie, "dogs").
    dogs = {b"doe": b"reindeer", b"dog": b"puppy", b"dogglesworth": b"cat"}
    assert trie_root(dogs).hex() == "d4cd937e4a4368d7931a9cf51686b7e10abb3dce38a39000fd7902a092b64585"


def generate() -> dict:
    """execution.json."""
    known_answers()
    cases = [
        case("devnet", rand("execution/seed"), 1_700_000_000, 1_337_001, 4_096),
        case("least", rand("execution/other"), 1, 1, 1),
        case("most", bytes([0xFF] * 32), 2**40, 2**53 - 1, 2**62 - 1),
    ]
    return {"execution.json": document("The execution genesis block", "3, 5", cases)}
