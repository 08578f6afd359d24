"""A consensus client and a cheating proposer in Python, beside `pol-execution`: builds, imports, reorgs, and everything that must be refused,
with its status, error code and latestValidHash.

usage: engine.py HTTP_URL AUTH_URL AI_ENGINE_URL GENESIS_JSON JWT_FILE GENESIS_SEED"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import requests
from consensus import WITHDRAWALS, ZERO, Engine, attributes, followed, make, payload_of, state
from eth_account import Account
from eth_account.hdaccount import HDPath
from ethereum.forks.cancun.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes8, Bytes256
from ethereum_types.numeric import U64, U256, Uint
from node import Port, data, text, token
from replay import Replay, block_hash, is_sealed, seal

FRIEND = "0x" + "77" * 20
ONES = bytes([1]) * 32


class Wallet:
    """Signs transfers of the funded account."""

    def __init__(self, seed: str, chain_id: int):
        self.key, self.chain_id = HDPath("m/44'/60'/0'/0/0").derive(bytes.fromhex(seed)), chain_id

    def transfer(self, nonce: int, value: int = 1) -> bytes:
        """Signed bytes."""
        fields = {"to": FRIEND, "value": value, "gas": 21_000, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
        return bytes(Account.sign_transaction({**fields, "nonce": nonce, "chainId": self.chain_id}, self.key).raw_transaction)


def headers_that_lie(engine: Engine, parent, block):
    """Every field forged and sealed anew: INVALID, by the check meant for it, and the parent is the last that was valid."""
    header = block.header
    cases = [
        ("number", {"number": header.number + Uint(1)}),
        ("timestamp", {"timestamp": header.timestamp + U256(1)}),
        ("timestamp", {"timestamp": parent.head.timestamp}),
        ("difficulty", {"difficulty": header.difficulty + Uint(1)}),
        ("extraData", {"extra_data": ONES + ZERO}),
        ("gasLimit", {"gas_limit": header.gas_limit + header.gas_limit // Uint(1024)}),
        ("gasUsed", {"gas_used": header.gas_limit + Uint(1)}),
        ("gasUsed", {"gas_used": header.gas_used + Uint(1)}),
        ("baseFeePerGas", {"base_fee_per_gas": header.base_fee_per_gas + Uint(1)}),
        ("blobGasUsed", {"blob_gas_used": U64(131_072)}),
        ("excessBlobGas", {"excess_blob_gas": U64(131_072)}),
        ("receiptsRoot", {"receipt_root": ONES}),
        ("logsBloom", {"bloom": Bytes256(bytes(255) + b"\1")}),
        ("stateRoot", {"state_root": ONES}),
        ("stateRoot", {"parent_beacon_block_root": ONES}),
    ]
    for name, fields in cases:
        forged = block.forged(**fields)
        found = engine.new_payload(forged)
        assert found[:2] == ("INVALID", parent.hash) and name in found[2], f"{name}: {found}"
        # The same again, and as a head.
        assert engine.new_payload(forged)[:2] == ("INVALID", parent.hash), name
        assert engine.forkchoice(forged.hash) == (("INVALID", parent.hash), None), name
    nonces = (Bytes8(nonce.to_bytes(8, "big")) for nonce in range(2**64))
    wrong = next(nonce for nonce in nonces if not is_sealed(replace(header, nonce=nonce)))
    found = engine.new_payload(block.forged(is_sealed_anew=False, nonce=wrong))
    assert found[:2] == ("INVALID", parent.hash) and "seal" in found[2], found


def bodies_that_lie(engine: Engine, parent, block, wallet: Wallet):
    """A body that its header does not speak of, or that cannot be executed."""
    gap = [*block.transactions, wallet.transfer(99)]
    forged = payload_of(block.header, gap, WITHDRAWALS)
    # The hash follows from the transactions' root: with the old hash it is no block at all.
    assert engine.new_payload(forged)[:2] == ("INVALID", None)
    header = replace(block.header, transactions_root=transactions_root(gap))
    found = engine.new_payload(payload_of(seal(header), gap, WITHDRAWALS))
    assert found[:2] == ("INVALID", parent.hash) and "nonce" in found[2], found


def transactions_root(transactions: list[bytes]) -> bytes:
    """Of a block with these."""
    trie = Trie(secured=False, default=None)
    for index, raw in enumerate(transactions):
        trie_set(trie, rlp.encode(Uint(index)), raw)
    return root(trie)


def not_blocks(engine: Engine, block):
    """What is no block of that hash: INVALID, latestValidHash null, and nothing is remembered under the hash."""
    good = block.payload
    extra = data(good.fields["extraData"])
    for length in (0, 32, 64, 79):
        found = engine.new_payload(good.changed(extraData=text(extra[:length])))
        assert found[:2] == ("INVALID", None), f"{length} bytes: {found}"
    wrong = {
        "another hash": good.changed(blockHash=text(ONES)),
        "another nonce": good.changed(extraData=text(extra[:71] + bytes([extra[71] ^ 1]) + extra[72:])),
        "another difficulty": good.changed(extraData=text(extra[:79] + bytes([extra[79] ^ 1]))),
        "another recipient": good.changed(feeRecipient=FRIEND),
        "no transaction": good.changed(transactions=["0x02c0"]),
        "other withdrawals": good.changed(withdrawals=[]),
        "the hash of the wire form": payload_of_wire_hash(block),
    }
    for name, payload in wrong.items():
        found = engine.new_payload(payload)
        assert found[:2] == ("INVALID", None), f"{name}: {found}"
    assert engine.new_payload(good, [text(ONES)])[:2] == ("INVALID", None)


def payload_of_wire_hash(block):
    """The hash that a client would compute that knows nothing of section 4: of a header with the 80 bytes in it."""
    header = replace(block.header, extra_data=data(block.payload.fields["extraData"]))
    return block.payload.changed(blockHash=text(block_hash(header)))


def reorgs(engine: Engine, eth: Port, trunk, wallet: Wallet):
    """Two branches, there and back; transactions and balances follow; what is final stays."""
    left, right = [make(trunk, salt=1, transactions=[wallet.transfer(1, 5)])], [make(trunk, slots=2, salt=2)]
    left.append(make(left[0].chain, salt=1))
    right.append(make(right[0].chain, slots=3, salt=2))
    for block in left:
        engine.accept(block)
    paid = eth.call("eth_getBalance", FRIEND, "latest")
    for block in right:
        assert engine.new_payload(block.payload) == ("VALID", block.hash, "")
    assert eth.call("eth_getBlockByNumber", "latest", False)["hash"] == text(left[1].hash)
    assert engine.forkchoice(right[1].hash) == (("VALID", right[1].hash), None)
    assert int(eth.call("eth_getBalance", FRIEND, "latest"), 16) == int(paid, 16) - 5
    assert engine.forkchoice(left[1].hash, trunk.hash, trunk.hash) == (("VALID", left[1].hash), None)
    assert eth.call("eth_getBalance", FRIEND, "latest") == paid
    for tag in ("safe", "finalized"):
        assert eth.call("eth_getBlockByNumber", tag, False)["hash"] == text(trunk.hash)
    for safe, final in ((ZERO, right[1].hash), (right[1].hash, trunk.hash), (ONES, trunk.hash)):
        engine.refused(-38002, "engine_forkchoiceUpdatedV3", state(left[1].hash, safe, final), None)
    # The other branch still stands on what is final.
    assert engine.forkchoice(right[1].hash)[0] == ("VALID", right[1].hash)
    assert engine.forkchoice(left[1].hash)[0] == ("VALID", left[1].hash)
    return left[1].chain


def unknown(engine: Engine, chain):
    """Blocks whose parents are not here."""
    parent = make(chain)
    child = make(parent.chain)
    assert engine.new_payload(child.payload)[:2] == ("SYNCING", None)
    assert engine.forkchoice(child.hash) == (("SYNCING", None), None)
    assert engine.forkchoice(ONES) == (("SYNCING", None), None)
    assert engine.forkchoice(ZERO)[0] == ("INVALID", None)
    engine.accept(parent)
    engine.accept(child)
    return child.chain


def codes(engine: Engine, chain):
    """Errors of the specification."""
    head, next_slot = chain.hash, int(chain.head.timestamp) + chain.slot_seconds
    good = attributes(next_slot)
    for timestamp in (next_slot - chain.slot_seconds, next_slot + 1):
        engine.refused(-38003, "engine_forkchoiceUpdatedV3", state(head), attributes(timestamp))
    for missing in ("withdrawals", "parentBeaconBlockRoot"):
        engine.refused(-38003, "engine_forkchoiceUpdatedV3", state(head), {k: v for k, v in good.items() if k != missing})
    for version in (1, 2):
        engine.refused(-38005, f"engine_forkchoiceUpdatedV{version}", state(head), good)
    engine.refused(-38001, "engine_getPayloadV3", "0x0000000000000001")
    engine.refused(-38004, "engine_getPayloadBodiesByRangeV1", "0x1", "0x1000")
    engine.refused(-38004, "engine_getPayloadBodiesByHashV1", [text(ONES)] * 1025)
    engine.refused(-32602, "engine_getPayloadBodiesByRangeV1", "0x0", "0x1")
    engine.refused(-32602, "engine_newPayloadV3", make(chain).payload.fields, [])
    engine.refused(-32601, "engine_newPayloadV9")
    payload_id = engine.forkchoice(head, wanted=good)[1]
    for version in (1, 2):
        engine.refused(-38005, f"engine_getPayloadV{version}", payload_id)
    assert "engine_newPayloadV3" in engine.call("engine_exchangeCapabilities", [])
    bodies = engine.call("engine_getPayloadBodiesByRangeV1", "0x1", "0x400")
    assert len(bodies) == int(chain.head.number) and bodies[0]["withdrawals"] == WITHDRAWALS, bodies


def candidate(engine: Engine, ai: Port, eth: Port, chain):
    """A candidate pushed on 8552 is in the next block, on the wire with its certificate, and in polai_*."""
    update, certificate = bytes([0xAB]) * 32, ONES + (8).to_bytes(2, "little") + b"\xe1" + bytes([0x33]) * 96
    start = int(chain.blocks[0].header.timestamp)
    slot = (int(time.time()) - start) // chain.slot_seconds + 1
    pushed = {"parentHash": text(chain.hash), "slot": hex(slot), "updateId": text(update), "certificate": text(certificate)}
    assert ai.call("polai_setCandidateV1", pushed)["status"] == "held"
    payload = engine.build(chain, start + slot * chain.slot_seconds)
    extra = data(payload.fields["extraData"])
    assert extra[32:64] == update and extra[80:] == certificate, extra.hex()
    chain = followed(chain, payload)
    # The trailer is the beacon node's to judge: here any is right.
    assert engine.new_payload(payload.changed(extraData=text(extra[:80] + b"whatever"))) == ("VALID", chain.hash, "")
    assert engine.forkchoice(chain.hash)[0] == ("VALID", chain.hash)
    deadline = time.monotonic() + 10
    while (named := eth.call("polai_updateByHeight", hex(int(chain.head.number)))) is None:
        assert time.monotonic() < deadline, "polai_updateByHeight never knows of it"
        time.sleep(0.05)
    assert (named["updateId"], named["blockHash"]) == (text(update), text(chain.hash)), named
    return chain


def strangers(urls: list[str], secret: bytes):
    """Nobody without the secret is heard."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    stale = token(secret, {"iat": int(time.time()) - 120})
    for url in urls:
        for headers in ({}, {"Authorization": f"Bearer {token(ONES)}"}, {"Authorization": f"Bearer {stale}"}):
            assert requests.post(url, json=body, headers=headers, timeout=10).status_code == 401, (url, headers)


def main(http: str, auth: str, ai: str, genesis_json: str, jwt_file: str, seed: str):
    """Everything, on one growing chain; at the end all of it is computed again."""
    secret = bytes.fromhex(Path(jwt_file).read_text(encoding="ascii").strip().removeprefix("0x"))
    engine, eth, ai_engine = Engine(auth, secret), Port(http), Port(ai, secret)
    genesis = Replay(genesis_json)
    wallet = Wallet(seed, genesis.chain_id)
    found = eth.call("eth_getBlockByNumber", "0x0", False)
    assert data(found["hash"]) == genesis.hash and data(found["stateRoot"]) == genesis.head.state_root, found

    # Built here, imported there; then the other way round.
    first = make(genesis, transactions=[wallet.transfer(0, 7)])
    not_blocks(engine, first)
    engine.accept(first)
    assert int(eth.call("eth_getBalance", FRIEND, "latest"), 16) == 7
    payload = engine.build(first.chain, int(first.header.timestamp) + 3 * genesis.slot_seconds)
    trunk = followed(first.chain, payload)
    assert engine.new_payload(payload) == ("VALID", trunk.hash, "")
    assert engine.forkchoice(trunk.hash)[0] == ("VALID", trunk.hash)

    block = make(trunk, transactions=[wallet.transfer(1)])
    headers_that_lie(engine, trunk, block)
    bodies_that_lie(engine, trunk, block, wallet)
    bad = block.forged(state_root=ONES).hash
    child = make(block.chain).forged(is_sealed_anew=False, parent_hash=bad, extra_data=bad + ZERO)
    found = engine.new_payload(child)
    assert found[:2] == ("INVALID", trunk.hash) and "parent" in found[2], found
    assert engine.new_payload(block.payload) == ("VALID", block.hash, ""), "none of it is held against the good block"

    chain = reorgs(engine, eth, trunk, wallet)
    chain = unknown(engine, chain)
    codes(engine, chain)
    chain = candidate(engine, ai_engine, eth, chain)
    strangers([auth, ai], secret)
    Replay(genesis_json).follow(eth, int(chain.head.number))
    print(f"{chain.head.number} blocks, head {chain.hash.hex()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
