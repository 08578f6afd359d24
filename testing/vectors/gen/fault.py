"""Section 11: fault proofs and malfeasance evidence inside a standard ProposerSlashing."""

from .chain import (
    DOMAIN_AI_ACK,
    DOMAIN_AI_FAULT,
    GENESIS,
    INFINITY_SIGNATURE,
    OTHER_GENESIS,
    ROOT,
    AckData,
    FaultVote,
    aggregate,
    domain,
    proposer_domain,
    public,
    sign,
    signature_outside_group,
    spec,
    verify,
    verify_aggregate,
)
from .committee import fault_quorum
from .common import H, bit, document, le, pack_bits, rand, refusal, u32
from .pld1 import Refused, need
from .signing import header_json

FAULT_TAG = H(b"pol-ai/ai-fault/v1")[:24]
EQUIV_TAG = H(b"pol-ai/ai-equiv/v1")
Header = spec.BeaconBlockHeader
UPDATE, HEAD = rand("fault/update"), rand("fault/head")


def container(h1, s1, h2, s2):
    """A ProposerSlashing."""
    signed = [spec.SignedBeaconBlockHeader(message=h, signature=s) for h, s in ((h1, s1), (h2, s2))]
    return spec.ProposerSlashing(signed_header_1=signed[0], signed_header_2=signed[1])


def classify(slashing) -> str:
    """plain, fault_proof or malfeasance; Refused when ours but of neither form."""
    roots = [bytes(s.message.parent_root) for s in (slashing.signed_header_1, slashing.signed_header_2)]
    fault = [root[:24] == FAULT_TAG for root in roots]
    equiv = [root == EQUIV_TAG for root in roots]
    if not any(fault + equiv):
        return "plain"
    if all(equiv):
        return "malfeasance"
    need(fault == [False, True] and not any(equiv), "neither_form")
    return "fault_proof"


def check_fault(slashing, c: dict):
    """The rules of a fault proof; `c` is the reader's knowledge of the chain."""
    one, two = slashing.signed_header_1, slashing.signed_header_2
    real, proof = one.message, two.message
    need(real.slot == proof.slot, "different_slots")
    need(real.proposer_index == proof.proposer_index, "different_proposers")
    tail = bytes(proof.parent_root)[24:]
    need(tail[0] == 1, "wrong_version")
    need(tail[1] == 1, "bad_reason")
    need(tail[2:4] == b"\x00\x00", "reserved_not_zero")
    committee = c["committee"]
    n = u32(tail, 4)
    need(n == len(committee), "wrong_committee_size")
    bits = bytes(proof.state_root) + bytes(proof.body_root)
    seats = [i for i in range(512) if bit(bits, i)]
    need(all(i < n for i in seats), "bit_beyond_committee")
    voters = [committee[i] for i in seats]
    accused = int(real.proposer_index)
    need(accused not in voters, "accused_votes")
    m = sum(member != accused for member in committee)
    need(m >= 4 or c["dev_slash_small"], "committee_too_small")
    need(len(voters) >= fault_quorum(m), "below_quorum")
    need(real.slot < c["state_slot"], "too_early")
    need(c["state_slot"] <= real.slot + min(64, c["slots_per_historical_root"]), "too_late")
    need(bytes(real.hash_tree_root()) != c["canonical_root"], "canonical_block")
    need(verify(public(accused), real, proposer_domain(), bytes(one.signature)), "bad_header_signature")
    vote = FaultVote(block_root=real.hash_tree_root(), slot=real.slot, proposer_index=accused, reason=tail[1])
    good = verify_aggregate([public(v) for v in voters], vote, domain(DOMAIN_AI_FAULT), bytes(two.signature))
    need(good, "bad_vote_signature")


def check_malfeasance(slashing):
    """The rules of malfeasance evidence."""
    pair = [slashing.signed_header_1, slashing.signed_header_2]
    a, b = pair[0].message, pair[1].message
    need(a.slot == 0 and b.slot == 0, "slot_not_zero")
    need(a.proposer_index == b.proposer_index, "different_members")
    need(a.body_root == b.body_root, "different_bodies")
    need(a.state_root != b.state_root, "same_result_root")
    for signed in pair:
        root = H(bytes(signed.message.body_root), H(bytes(signed.message.state_root), bytes(32)))
        key = public(int(a.proposer_index))
        need(verify(key, spec.Root(root), domain(DOMAIN_AI_ACK), bytes(signed.signature)), "bad_ack_signature")


CONTEXT = {
    "state_slot": 101,
    "slots_per_historical_root": 64,
    "canonical_root": rand("fault/canonical"),
    "dev_slash_small": False,
}


def case(name: str, slashing, error: str | None = None, context: dict | None = None) -> dict:
    """Classify and check one container."""
    c = {**CONTEXT, "committee": list(range(8)), **(context or {})}
    signed = (slashing.signed_header_1, slashing.signed_header_2)
    given = {f"header_{i}": header_json(s.message) for i, s in enumerate(signed, 1)}
    given = {"ssz": slashing.encode_bytes(), **given, "chain": c}
    found = None
    try:
        kind = classify(slashing)
        given["kind"] = kind
        if kind == "fault_proof":
            check_fault(slashing, c)
        elif kind == "malfeasance":
            del given["chain"]
            check_malfeasance(slashing)
    except Refused as why:
        found = str(why)
    assert found == error, (name, error, found)
    return {"name": name, **given} if found is None else refusal(name, found, **given)


def real_header(accused: int, slot: int = 100, **changes):
    """The accused's header."""
    roots = {f"{part}_root": rand(f"fault/{part}") for part in ("parent", "state", "body")}
    return Header(slot=slot, proposer_index=accused, **{**roots, **changes})


def proof(committee=range(8), accused=3, seats=None, **o):
    """A fault proof; `o` overrides single parts."""
    committee = list(committee)
    if seats is None:
        others = [i for i, member in enumerate(committee) if member != accused]
        seats = others[: fault_quorum(len(others))]
    header = o.get("header", real_header(accused, o.get("slot", 100)))
    n = o.get("n", len(committee))
    tail = bytes([o.get("version", 1), o.get("reason", 1), *o.get("zeros", (0, 0))]) + le(n, 4)
    bits = pack_bits(o.get("bits", seats), 64)
    second = Header(
        slot=o.get("slot_2", header.slot),
        proposer_index=o.get("proposer_2", header.proposer_index),
        parent_root=FAULT_TAG + tail,
        state_root=bits[:32],
        body_root=bits[32:],
    )
    vote = FaultVote(
        block_root=o.get("voted_root", header.hash_tree_root()),
        slot=header.slot,
        proposer_index=header.proposer_index,
        reason=o.get("voted_reason", 1),
    )
    signers = o.get("signers", [committee[i] for i in seats])
    votes = o.get("votes") or aggregate(signers, vote, o.get("vote_domain", domain(DOMAIN_AI_FAULT)))
    signature = o.get("signature") or sign(o.get("signer", accused), header, o.get("header_domain", proposer_domain()))
    return container(header, signature, second, votes)


def fault_cases() -> list:
    """Valid fault proofs and every refusal."""
    odd = [10, 20, 21, 35, 40, 77]
    small = {"committee": list(range(4))}
    allowed = {**small, "dev_slash_small": True}
    large = {"committee": list(range(512))}
    canonical = bytes(real_header(3).hash_tree_root())
    return [
        case("n8", proof()),
        case("n8_all_others_vote", proof(seats=[0, 1, 2, 4, 5, 6, 7])),
        case("n5_m4", proof(range(5)), None, {"committee": list(range(5))}),
        case("odd_members", proof(odd, 21), None, {"committee": odd}),
        case("n512", proof(range(512), 511), None, large),
        case("accused_not_in_committee", proof(range(8), 100), None, {"committee": list(range(8))}),
        case("m4_accused_not_in_committee", proof(range(4), 100), None, small),
        case("small_allowed_m3", proof(range(4)), None, allowed),
        case("small_allowed_m1", proof([3, 4]), None, {"committee": [3, 4], "dev_slash_small": True}),
        case("last_slot", proof(), None, {"state_slot": 164}),
        case("last_slot_mainnet", proof(), None, {"state_slot": 164, "slots_per_historical_root": 8192}),
        case("slot_0", proof(slot=0), None, {"state_slot": 1}),
        case("version_0", proof(version=0), "wrong_version"),
        case("version_2", proof(version=2), "wrong_version"),
        case("reason_0", proof(reason=0, voted_reason=0), "bad_reason"),
        case("reason_2", proof(reason=2, voted_reason=2), "bad_reason"),
        case("zero_byte_1", proof(zeros=(1, 0)), "reserved_not_zero"),
        case("zero_byte_2", proof(zeros=(0, 1)), "reserved_not_zero"),
        case("n_less", proof(n=7), "wrong_committee_size"),
        case("n_more", proof(n=9), "wrong_committee_size"),
        case("n_high_byte", proof(n=8 + 2**24), "wrong_committee_size"),
        case("bit_beyond_n", proof(bits=[0, 1, 2, 4, 5, 8]), "bit_beyond_committee"),
        case("bit_511", proof(bits=[0, 1, 2, 4, 5, 511]), "bit_beyond_committee"),
        case("accused_votes", proof(seats=[0, 1, 2, 3, 4, 5]), "accused_votes"),
        case("committee_of_4", proof(range(4)), "committee_too_small", small),
        case("four_of_7", proof(seats=[0, 1, 2, 4]), "below_quorum"),
        case("two_of_4", proof(range(5), seats=[0, 1]), "below_quorum", {"committee": list(range(5))}),
        case("no_votes", proof(bits=[], votes=INFINITY_SIGNATURE), "below_quorum"),
        case("two_of_3_small_allowed", proof(range(4), seats=[0, 1]), "below_quorum", allowed),
        case("other_slot", proof(slot_2=101), "different_slots"),
        case("other_proposer", proof(proposer_2=4), "different_proposers"),
        case("same_slot_as_state", proof(), "too_early", {"state_slot": 100}),
        case("state_behind", proof(), "too_early", {"state_slot": 99}),
        case("one_slot_late", proof(), "too_late", {"state_slot": 165}),
        case("one_slot_late_mainnet", proof(), "too_late", {"state_slot": 165, "slots_per_historical_root": 8192}),
        case("canonical", proof(), "canonical_block", {"canonical_root": canonical}),
        case("header_signed_by_another", proof(signer=4), "bad_header_signature"),
        case(
            "header_in_phase0_domain",
            proof(header_domain=domain(bytes(spec.DOMAIN_BEACON_PROPOSER))),
            "bad_header_signature",
        ),
        case("header_other_genesis_id", proof(header_domain=proposer_domain(OTHER_GENESIS)), "bad_header_signature"),
        case("header_signature_infinity", proof(signature=INFINITY_SIGNATURE), "bad_header_signature"),
        case("voter_missing", proof(signers=[0, 1, 2, 4]), "bad_vote_signature"),
        case("other_voter", proof(signers=[0, 1, 2, 4, 6]), "bad_vote_signature"),
        case("votes_for_another_block", proof(voted_root=rand("x")), "bad_vote_signature"),
        case("votes_for_another_reason", proof(voted_reason=2), "bad_vote_signature"),
        case("votes_in_ack_domain", proof(vote_domain=domain(DOMAIN_AI_ACK)), "bad_vote_signature"),
        case(
            "votes_other_genesis_id",
            proof(vote_domain=domain(DOMAIN_AI_FAULT, genesis_id=OTHER_GENESIS)),
            "bad_vote_signature",
        ),
        case("votes_infinity", proof(votes=INFINITY_SIGNATURE), "bad_vote_signature"),
        case("votes_outside_group", proof(votes=signature_outside_group()), "bad_vote_signature"),
    ]


def evidence(member=5, **o):
    """Malfeasance evidence; `o` overrides single parts."""
    parts = []
    for i in (1, 2):
        root = o.get(f"root_{i}", rand(f"equiv/{i}"))
        update = o.get(f"update_{i}", UPDATE)
        ack = AckData(update_id=update, model_head=HEAD, result_root=root)
        body = H(update, HEAD)
        who = o.get(f"member_{i}", member)
        header = Header(
            slot=o.get(f"slot_{i}", 0),
            proposer_index=who,
            parent_root=o.get(f"tag_{i}", EQUIV_TAG),
            state_root=root,
            body_root=body,
        )
        assert bytes(ack.hash_tree_root()) == H(body, H(root, bytes(32))), "the shortcut to AckData's root"
        parts += [
            header,
            o.get(f"signature_{i}") or sign(o.get(f"signer_{i}", who), ack, o.get("in_domain", domain(DOMAIN_AI_ACK))),
        ]
    return container(*parts)


def malfeasance_cases() -> list:
    """Valid evidence and every refusal."""
    same = rand("equiv/1")
    return [
        case("evidence", evidence()),
        case("evidence_swapped", evidence(root_1=rand("equiv/2"), root_2=rand("equiv/1"))),
        case("evidence_zero_root", evidence(root_1=bytes(32))),
        case("evidence_slot_1", evidence(slot_1=1), "slot_not_zero"),
        case("evidence_slot_2", evidence(slot_2=100), "slot_not_zero"),
        case("evidence_both_slots", evidence(slot_1=100, slot_2=100), "slot_not_zero"),
        case("evidence_two_members", evidence(member_2=6), "different_members"),
        case("evidence_two_updates", evidence(update_2=rand("other update")), "different_bodies"),
        case("evidence_same_root", evidence(root_2=same), "same_result_root"),
        case("evidence_first_signature", evidence(signer_1=6), "bad_ack_signature"),
        case("evidence_second_signature", evidence(signer_2=6), "bad_ack_signature"),
        case("evidence_fault_domain", evidence(in_domain=domain(DOMAIN_AI_FAULT)), "bad_ack_signature"),
        case(
            "evidence_other_genesis_id",
            evidence(in_domain=domain(DOMAIN_AI_ACK, genesis_id=OTHER_GENESIS)),
            "bad_ack_signature",
        ),
        case("evidence_infinity", evidence(signature_2=INFINITY_SIGNATURE), "bad_ack_signature"),
    ]


def form_cases() -> list:
    """Which of the three is it?"""
    plain = [real_header(3), real_header(3, body_root=rand("other body"))]
    signed = [sign(3, header, proposer_domain()) for header in plain]
    near_fault = real_header(3, parent_root=FAULT_TAG[:23] + bytes([FAULT_TAG[23] ^ 1]) + bytes(8))
    near_equiv = real_header(3, parent_root=EQUIV_TAG[:31] + bytes([EQUIV_TAG[31] ^ 1]))
    tagged = proof()
    t1, t2 = tagged.signed_header_1, tagged.signed_header_2
    ours = evidence()
    e1 = ours.signed_header_1
    h, s = plain[0], signed[0]
    return [
        case("plain", container(plain[0], signed[0], plain[1], signed[1])),
        case("plain_near_fault_tag", container(plain[0], signed[0], near_fault, signed[1])),
        case("plain_near_equiv_tag", container(near_equiv, signed[0], plain[1], signed[1])),
        case("fault_tag_in_header_1", container(t2.message, t2.signature, t1.message, t1.signature), "neither_form"),
        case("fault_tag_in_both", container(t2.message, t2.signature, t2.message, t2.signature), "neither_form"),
        case("equiv_tag_in_header_1", container(e1.message, e1.signature, h, s), "neither_form"),
        case("equiv_tag_in_header_2", container(h, s, e1.message, e1.signature), "neither_form"),
        case("equiv_then_fault", container(e1.message, e1.signature, t2.message, t2.signature), "neither_form"),
        case("fault_then_equiv", container(t2.message, t2.signature, e1.message, e1.signature), "neither_form"),
    ]


def generate() -> dict:
    """fault.json."""
    about = "ProposerSlashing containers: plain, fault proof or malfeasance; validator i has key i of keys.json."
    shared = {"fault_tag": FAULT_TAG, "equiv_tag": EQUIV_TAG, "genesis_id": GENESIS, "genesis_validators_root": ROOT}
    return {"fault.json": document(about, "11", fault_cases() + malfeasance_cases() + form_cases(), **shared)}
