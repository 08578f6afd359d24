"""Reads ProposerSlashing containers of a running chain and judges them by docs/PROTOCOL.md, section 11.

    python verify_slashing.py < request.json

The request: `genesis_id`, `genesis_validators_root` (hex), `public_keys` {index: hex}, and `slashings`, each {ssz, chain}: `ssz` is hex,
`chain` = {state_slot, slots_per_historical_root, canonical_root, dev_slash_small, committee}. The answer, one line each: the kind, the
accused's index and `ok`, or the rule it breaks. The bytes are decoded by the official specification; nothing here is shared with the Rust.
"""

import json
import sys

from gen.chain import (
    DOMAIN_AI_ACK,
    DOMAIN_AI_FAULT,
    FaultVote,
    domain,
    proposer_domain,
    spec,
    verify,
    verify_aggregate,
)
from gen.committee import fault_quorum
from gen.common import H, bit, u32
from gen.fault import classify
from gen.pld1 import Refused, need


class Chain:
    """Names and keys of one chain."""

    def __init__(self, request: dict):
        self.genesis_id = bytes.fromhex(request["genesis_id"])
        self.root = bytes.fromhex(request["genesis_validators_root"])
        self.keys = {int(index): bytes.fromhex(key) for index, key in request["public_keys"].items()}

    def ai(self, kind: bytes) -> bytes:
        """One of our own domains."""
        return domain(kind, root=self.root, genesis_id=self.genesis_id)

    def proposer(self) -> bytes:
        """The domain of headers."""
        kind = bytes(spec.DOMAIN_BEACON_PROPOSER)
        return domain(kind, root=self.root, genesis_id=self.genesis_id, fork="deneb")


def fault(chain: Chain, slashing, c: dict) -> int:
    """Index of the accused; Refused with the first rule that is broken."""
    one, two = slashing.signed_header_1, slashing.signed_header_2
    real, tail = one.message, bytes(two.message.parent_root)[24:]
    need(real.slot == two.message.slot and real.proposer_index == two.message.proposer_index, "different_headers")
    need(tail[:4] == b"\x01\x01\x00\x00", "wrong_form")
    committee = c["committee"]
    need(u32(tail, 4) == len(committee), "wrong_committee_size")
    bits = bytes(two.message.state_root) + bytes(two.message.body_root)
    seats = [seat for seat in range(512) if bit(bits, seat)]
    need(max(seats, default=0) < len(committee), "bit_beyond_committee")
    voters, accused = [committee[seat] for seat in seats], int(real.proposer_index)
    need(accused not in voters, "accused_votes")
    others = [member for member in committee if member != accused]
    need(len(others) >= 4 or c["dev_slash_small"], "committee_too_small")
    need(len(voters) >= fault_quorum(len(others)), "below_quorum")
    oldest = min(64, c["slots_per_historical_root"])
    need(real.slot < c["state_slot"] <= real.slot + oldest, "too_early_or_late")
    need(bytes(real.hash_tree_root()).hex() != c["canonical_root"], "canonical_block")
    need(verify(chain.keys[accused], real, chain.proposer(), bytes(one.signature)), "bad_header_signature")
    vote = FaultVote(block_root=real.hash_tree_root(), slot=real.slot, proposer_index=accused, reason=1)
    keys = [chain.keys[voter] for voter in voters]
    need(verify_aggregate(keys, vote, chain.ai(DOMAIN_AI_FAULT), bytes(two.signature)), "bad_vote_signature")
    return accused


def malfeasance(chain: Chain, slashing) -> int:
    """Index of the member; Refused with the first rule that is broken."""
    pair = [slashing.signed_header_1, slashing.signed_header_2]
    a, b = pair[0].message, pair[1].message
    need(a.slot == b.slot == 0, "slot_not_zero")
    need(a.proposer_index == b.proposer_index, "different_members")
    need(a.body_root == b.body_root and a.state_root != b.state_root, "no_contradiction")
    member = int(a.proposer_index)
    for signed in pair:
        root = H(bytes(signed.message.body_root), H(bytes(signed.message.state_root), bytes(32)))
        good = verify(chain.keys[member], spec.Root(root), chain.ai(DOMAIN_AI_ACK), bytes(signed.signature))
        need(good, "bad_ack_signature")
    return member


def judge(chain: Chain, ssz: bytes, c: dict) -> str:
    """One line."""
    slashing = spec.ProposerSlashing.decode_bytes(ssz)
    assert slashing.encode_bytes() == ssz, "the specification writes other bytes"
    try:
        kind = classify(slashing)
        if kind == "plain":
            return "plain"
        return f"{kind} {fault(chain, slashing, c) if kind == 'fault_proof' else malfeasance(chain, slashing)} ok"
    except Refused as why:
        return str(why)


def main():
    """Judges every slashing of the request."""
    request = json.load(sys.stdin)
    chain = Chain(request)
    assert chain.proposer() != proposer_domain(), "the vectors' own chain"
    for given in request["slashings"]:
        print(judge(chain, bytes.fromhex(given["ssz"]), given.get("chain", {})))


if __name__ == "__main__":
    main()
