"""docs/PROTOCOL.md section 11 inside the specification's process_proposer_slashing, written from the text alone."""

from eth_consensus_specs.utils import bls

from .common import H

FAULT_TAG = H(b"pol-ai/ai-fault/v1")[:24]
EQUIVOCATION_TAG = H(b"pol-ai/ai-equiv/v1")
DOMAIN_AI_ACK = bytes.fromhex("41494101")
DOMAIN_AI_FAULT = bytes.fromhex("41494601")
INFINITY = b"\xc0" + bytes(95)


def committee(spec, state, epoch) -> list:
    """Section 8: seats of an epoch, registry indices ascending."""
    active = spec.get_active_validator_indices(state, spec.Epoch(epoch))
    if len(active) <= 512:
        return list(active)
    seed = spec.get_seed(state, epoch, spec.DOMAIN_BEACON_ATTESTER)
    count = spec.Uint64(len(active))
    return sorted(active[spec.compute_shuffled_index(spec.Uint64(i), count, seed)] for i in range(512))


def fault_quorum(m: int) -> int:
    """More than two thirds."""
    return 2 * m // 3 + 1


def ai_domain(spec, state, kind: bytes):
    """Section 2: always the genesis fork version."""
    version = spec.config.GENESIS_FORK_VERSION
    return spec.compute_domain(spec.DomainType(kind), version, state.genesis_validators_root)


def vote_type(spec):
    """The SSZ container that voters sign."""

    class FaultVote(spec.Container):
        block_root: spec.Bytes32
        slot: spec.Uint64
        proposer_index: spec.Uint64
        reason: spec.Uint8

    return FaultVote


def fault_vote(spec, header):
    """The vote against the block with this header."""
    vote = vote_type(spec)
    return vote(block_root=header.hash_tree_root(), slot=header.slot, proposer_index=header.proposer_index, reason=1)


def kind_of(slashing) -> str:
    """Which of the three is it? Raises when it is none."""
    roots = [bytes(s.message.parent_root) for s in (slashing.signed_header_1, slashing.signed_header_2)]
    fault = [root[:24] == FAULT_TAG for root in roots]
    equivocation = [root == EQUIVOCATION_TAG for root in roots]
    if not any(fault) and not any(equivocation):
        return "plain"
    if all(equivocation):
        return "malfeasance"
    assert fault == [False, True] and not any(equivocation)
    return "fault"


def check_fault(spec, state, slashing, dev_slash_small: bool) -> int:
    """Every test of a fault proof; returns whom to slash."""
    one, two = slashing.signed_header_1, slashing.signed_header_2
    real, proof = one.message, two.message
    assert real.slot == proof.slot and real.proposer_index == proof.proposer_index
    tail = bytes(proof.parent_root)[24:]
    assert tail[:4] == bytes([1, 1, 0, 0])
    seats = committee(spec, state, spec.compute_epoch_at_slot(real.slot))
    n = int.from_bytes(tail[4:8], "little")
    assert 1 <= n == len(seats)
    bits = bytes(proof.state_root) + bytes(proof.body_root)
    voted = [i for i in range(512) if bits[i // 8] >> (i % 8) & 1]
    assert all(i < n for i in voted)
    accused = real.proposer_index
    voters = [seats[i] for i in voted]
    assert accused not in voters
    m = sum(member != accused for member in seats)
    assert m >= 4 or dev_slash_small
    assert len(voters) >= fault_quorum(m)
    most = min(64, int(spec.SLOTS_PER_HISTORICAL_ROOT))
    assert real.slot < state.slot <= real.slot + most
    assert real.hash_tree_root() != state.block_roots[real.slot % spec.SLOTS_PER_HISTORICAL_ROOT]
    domain = spec.compute_domain(
        spec.DOMAIN_BEACON_PROPOSER, spec.config.DENEB_FORK_VERSION, state.genesis_validators_root
    )
    key = state.validators[accused].pubkey
    assert bls.Verify(key, spec.compute_signing_root(real, domain), one.signature)
    root = spec.compute_signing_root(fault_vote(spec, real), ai_domain(spec, state, DOMAIN_AI_FAULT))
    assert bytes(two.signature) != INFINITY
    assert bls.FastAggregateVerify([state.validators[v].pubkey for v in voters], root, two.signature)
    return accused


def check_malfeasance(spec, state, slashing) -> int:
    """Every test of malfeasance evidence; returns whom to slash."""
    signed = (slashing.signed_header_1, slashing.signed_header_2)
    one, two = signed[0].message, signed[1].message
    assert one.slot == 0 and two.slot == 0
    assert one.proposer_index == two.proposer_index
    assert one.body_root == two.body_root and one.state_root != two.state_root
    key = state.validators[one.proposer_index].pubkey
    domain = ai_domain(spec, state, DOMAIN_AI_ACK)
    for header in signed:
        object_root = H(bytes(header.message.body_root), H(bytes(header.message.state_root), bytes(32)))
        root = H(object_root, bytes(domain))
        assert bls.Verify(key, root, header.signature)
    return one.proposer_index


def install(spec, dev_slash_small: bool):
    """Puts the three-way rule in the place of the specification's function."""
    plain = spec.process_proposer_slashing

    def process_proposer_slashing(state, slashing):
        kind = kind_of(slashing)
        if kind == "plain":
            return plain(state, slashing)
        accused = (
            check_fault(spec, state, slashing, dev_slash_small)
            if kind == "fault"
            else check_malfeasance(spec, state, slashing)
        )
        assert spec.is_slashable_validator(state.validators[accused], spec.get_current_epoch(state))
        spec.slash_validator(state, accused)

    spec.process_proposer_slashing = process_proposer_slashing
