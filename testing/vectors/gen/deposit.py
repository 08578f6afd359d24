"""The deposit contract: data roots, tree roots, counts and event data by the official consensus specification and plain ABI encoding."""

from eth_consensus_specs.deneb import minimal as spec
from eth_consensus_specs.utils.ssz.ssz_impl import hash_tree_root
from eth_consensus_specs.utils.ssz.ssz_typing import List

from .common import H, be, document, le, rand, refusal

GWEI = 10**9
ETHER = 10**18
Deposits = List[spec.DepositData, 2 ** spec.DEPOSIT_CONTRACT_TREE_DEPTH]


def incremental_root(leaves: list[bytes]) -> bytes:
    """The root of section "deposit contract" again, by padding with empty subtrees: a second opinion on the SSZ library."""
    level, zero = list(leaves), bytes(32)
    for _ in range(spec.DEPOSIT_CONTRACT_TREE_DEPTH):
        if len(level) % 2:
            level.append(zero)
        level = [H(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        zero = H(zero, zero)
    return H(level[0] if level else zero, le(len(leaves), 8), bytes(24))


def event(*values: bytes) -> bytes:
    """ABI encoding of a tuple of `bytes`."""
    head, tail = b"", b""
    for value in values:
        head += be(32 * len(values) + len(tail), 32)
        tail += be(len(value), 32) + value + bytes(-len(value) % 32)
    return head + tail


def deposit(index: int, gwei: int) -> dict:
    """The four fields of a deposit, its root and its event."""
    data = spec.DepositData(
        pubkey=rand(f"deposit/{index}/pubkey", 48),
        withdrawal_credentials=rand(f"deposit/{index}/credentials"),
        amount=gwei,
        signature=rand(f"deposit/{index}/signature", 96),
    )
    fields = {
        "pubkey": bytes(data.pubkey),
        "withdrawal_credentials": bytes(data.withdrawal_credentials),
        "signature": bytes(data.signature),
    }
    log = event(fields["pubkey"], fields["withdrawal_credentials"], le(gwei, 8), fields["signature"], le(index, 8))
    return {"data": data, "fields": fields, "root": bytes(hash_tree_root(data)), "event": log}


def accepted() -> list:
    """Deposits made one after the other on one contract."""
    cases, held = [], Deposits()
    amounts = [32 * GWEI, GWEI, GWEI + 1, 2**32, 2**64 - 1]
    for index in range(67):
        gwei = amounts[index % len(amounts)]
        made = deposit(index, gwei)
        held.append(made["data"])
        root = bytes(hash_tree_root(held))
        assert root == incremental_root([bytes(hash_tree_root(data)) for data in held])
        cases.append(
            {
                "name": f"deposit_{index}",
                **made["fields"],
                "wei": gwei * GWEI,
                "deposit_data_root": made["root"],
                "event": made["event"],
                "deposit_root": root,
                "deposit_count": le(index + 1, 8),
            }
        )
    return cases


def refused() -> list:
    """Deposits of which nothing may remain."""
    good = deposit(0, 32 * GWEI)
    call = {**good["fields"], "wei": 32 * ETHER, "deposit_data_root": good["root"]}
    short = {name: value[:-1] for name, value in good["fields"].items()}
    long = {name: value + b"\0" for name, value in good["fields"].items()}
    out = []
    for name in good["fields"]:
        for kind, values in (("short", short), ("long", long), ("empty", dict.fromkeys(short, b""))):
            out.append(refusal(f"{kind}_{name}", "wrong_length", **{**call, name: values[name]}))
    tiny = deposit(0, GWEI - 1)
    out.append(refusal("less_than_an_ether", "too_little", **{**call, "wei": ETHER - GWEI, "deposit_data_root": tiny["root"]}))
    out.append(refusal("nothing", "too_little", **{**call, "wei": 0}))
    out.append(refusal("one_wei_beside_a_gwei", "not_gwei", **{**call, "wei": 32 * ETHER + 1}))
    out.append(refusal("beyond_64_bits", "too_much", **{**call, "wei": 2**64 * GWEI}))
    out.append(refusal("root_of_another_amount", "wrong_root", **{**call, "wei": 32 * ETHER + GWEI}))
    out.append(refusal("root_with_a_bit_flipped", "wrong_root", **{**call, "deposit_data_root": bytes([call["deposit_data_root"][0] ^ 1]) + call["deposit_data_root"][1:]}))
    return out


def generate() -> dict:
    """deposit.json."""
    empty = incremental_root([])
    assert empty == bytes(hash_tree_root(Deposits()))
    assert empty.hex() == "d70a234731285c6804c2a4f56711ddb8c82c99740f207854891028af34e27e5e"
    about = "Calls of the deposit contract, in order, on one contract"
    return {"deposit.json": document(about, "consensus specification (Deneb), EIP-6110's event", accepted() + refused(), empty_root=empty)}
