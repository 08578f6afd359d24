"""Sections 8, 9 and 11: certificates, what a beacon node says about a block's `extra_data`, and whether it is a fault."""

from .chain import (
    DOMAIN_AI_ACK,
    DOMAIN_AI_FAULT,
    GENESIS,
    INFINITY_SIGNATURE,
    OTHER_GENESIS,
    ROOT,
    AckData,
    aggregate,
    domain,
    public,
    sign,
    signature_outside_group,
    verify_aggregate,
)
from .committee import ack_quorum
from .common import H, be, bit, document, le, pack_bits, rand, refusal
from .extra_data import beacon_view
from .pld1 import Refused, need

PARENT = rand("certificate/parent hash")
UPDATE, HEAD, RESULT = rand("certificate/update"), rand("certificate/head"), rand("certificate/result")


def check(certificate: dict, n: int, fixed: int, update: bytes, head: bytes):
    """Section 9 for a certificate that has the right form; seat i belongs to validator i."""
    need(certificate["n"] == n, "wrong_committee_size")
    seats = [i for i in range(8 * len(certificate["bits"])) if bit(certificate["bits"], i)]
    need(all(i < n for i in seats), "bit_beyond_committee")
    need(len(seats) >= ack_quorum(n, fixed), "below_quorum")
    data = AckData(update_id=update, model_head=head, result_root=certificate["result_root"])
    keys = [public(i) for i in seats]
    need(verify_aggregate(keys, data, domain(DOMAIN_AI_ACK), certificate["signature"]), "bad_signature")


def check_block(wire: bytes, n: int, fixed: int, head: bytes) -> bytes:
    """The child's model head, or Refused."""
    view = beacon_view(wire)
    if isinstance(view, str):
        raise Refused(view)
    need(view["extra_data"][:32] == PARENT, "parent_mismatch")
    update = view["extra_data"][32:]
    if update == bytes(32):
        need(view["certificate"] is None, "trailer_on_empty_block")
        return head
    need(view["certificate"] is not None, "missing_certificate")
    check(view["certificate"], n, fixed, update, head)
    return H(b"pol-ai/model/v1", head, update)


def is_fault(wire: bytes) -> bool:
    """Section 11, reason 1, for a block that check_block refuses: nothing but the certificate is wrong with it."""
    return len(wire) >= 80 and wire[:32] == PARENT and wire[32:64] != bytes(32)


def build(
    n: int,
    seats,
    signers=None,
    result=RESULT,
    head=HEAD,
    update=UPDATE,
    in_domain=None,
    signature=None,
    stated=None,
) -> bytes:
    """Certificate bytes; `signers` sign when they are not the seats."""
    data = AckData(update_id=update, model_head=head, result_root=result)
    signature = signature or aggregate(seats if signers is None else signers, data, in_domain or domain(DOMAIN_AI_ACK))
    bits = pack_bits(seats, (n + 7) // 8)
    return RESULT + le(n if stated is None else stated, 2) + bits + signature


def wire(trailer: bytes, update=UPDATE, parent=PARENT) -> bytes:
    """The wire form around a trailer."""
    return parent + update + be(5, 8) + be(4_096, 8) + trailer


def case(name: str, n: int, data: bytes, fixed: int = 0, error: str | None = None, fault: bool = True) -> dict:
    """One block; `fault` is asked of refused ones only."""
    given = {"n": n, "quorum": fixed, "wire": data}
    try:
        child = check_block(data, n, fixed, HEAD)
    except Refused as why:
        assert (str(why), is_fault(data)) == (error, fault), (name, str(why))
        return refusal(name, str(why), **given, fault=fault)
    assert error is None, name
    return {"name": name, **given, "child_model_head": child}


def valid_cases() -> list:
    """Blocks that stand."""
    rows = [
        ("n1", 1, [0], 0),
        ("n2_one_vote", 2, [1], 0),
        ("n2_both", 2, [0, 1], 0),
        ("n3_two_votes", 3, [0, 2], 0),
        ("n3_all", 3, [0, 1, 2], 0),
        ("n8_half", 8, [1, 3, 5, 7], 0),
        ("n9_five_votes", 9, [0, 2, 4, 6, 8], 0),
        ("n16_half", 16, range(8, 16), 0),
        ("n16_all", 16, range(16), 0),
        ("n511", 511, range(0, 511, 2), 0),
        ("n512_half", 512, range(1, 512, 2), 0),
        ("n512_all", 512, range(512), 0),
        ("fixed_1_of_16", 16, [15], 1),
        ("fixed_3_of_16", 16, [0, 7, 15], 3),
        ("fixed_16_of_16", 16, range(16), 16),
        ("fixed_512_is_clamped_to_9", 9, range(9), 512),
    ]
    cases = [case(name, n, wire(build(n, list(seats))), fixed) for name, n, seats, fixed in rows]
    cases.append(case("empty_block", 9, wire(b"", bytes(32))))
    cases.append(case("empty_block_of_512", 512, wire(b"", bytes(32))))
    return cases


def refused_cases() -> list:
    """Blocks that fall."""
    five = [0, 2, 4, 6, 8]
    good = build(9, five)
    one = AckData(update_id=UPDATE, model_head=HEAD, result_root=RESULT)
    other_chain = domain(DOMAIN_AI_ACK, genesis_id=OTHER_GENESIS)
    spoiled = build(9, five)[:-96] + bytes([good[-96] ^ 0x20]) + good[-95:]
    rows = [
        ("no_certificate", 9, wire(b""), 0, "missing_certificate"),
        ("trailer_on_empty_block", 9, wire(good, bytes(32)), 0, "trailer_on_empty_block", False),
        (
            "certificate_for_empty_block",
            9,
            wire(build(9, five, update=bytes(32)), bytes(32)),
            0,
            "trailer_on_empty_block",
            False,
        ),
        ("other_parent", 9, wire(good, parent=rand("x")), 0, "parent_mismatch", False),
        ("other_parent_empty", 9, wire(b"", bytes(32), rand("x")), 0, "parent_mismatch", False),
        ("cut", 9, wire(good[:-1]), 0, "wrong_length"),
        ("n_10_stated", 9, wire(build(9, five, stated=10)), 0, "wrong_committee_size"),
        ("n_10_of_9", 9, wire(build(10, five)), 0, "wrong_committee_size"),
        ("n_9_of_10", 10, wire(good), 0, "wrong_committee_size"),
        ("bit_9_of_9", 9, wire(build(9, five + [9])), 0, "bit_beyond_committee"),
        ("bit_15_of_9", 9, wire(build(9, five + [15], five)), 0, "bit_beyond_committee"),
        ("bit_1_of_1", 1, wire(build(1, [0, 1], [0])), 0, "bit_beyond_committee"),
        ("no_bits", 9, wire(build(9, [], five)), 0, "below_quorum"),
        ("no_bits_infinity", 9, wire(build(9, [], signature=INFINITY_SIGNATURE)), 0, "below_quorum"),
        ("no_bits_n1", 1, wire(build(1, [], signature=INFINITY_SIGNATURE)), 0, "below_quorum"),
        ("four_of_9", 9, wire(build(9, five[:4])), 0, "below_quorum"),
        ("one_of_3", 3, wire(build(3, [1])), 0, "below_quorum"),
        ("seven_of_16", 16, wire(build(16, list(range(7)))), 0, "below_quorum"),
        ("255_of_512", 512, wire(build(512, list(range(255)))), 0, "below_quorum"),
        ("fixed_3_two_votes", 16, wire(build(16, [0, 1])), 3, "below_quorum"),
        ("fixed_6_five_votes", 9, wire(good), 6, "below_quorum"),
        ("signer_more", 9, wire(build(9, five, five + [1])), 0, "bad_signature"),
        ("signer_less", 9, wire(build(9, five, five[:4])), 0, "bad_signature"),
        ("signer_twice", 9, wire(build(9, five, five + [0])), 0, "bad_signature"),
        ("other_signer", 9, wire(build(9, five, [0, 2, 4, 6, 7])), 0, "bad_signature"),
        ("other_result_root", 9, wire(build(9, five, result=rand("x"))), 0, "bad_signature"),
        ("other_head", 9, wire(build(9, five, head=rand("x"))), 0, "bad_signature"),
        ("other_update", 9, wire(build(9, five, update=rand("x"))), 0, "bad_signature"),
        ("fault_domain", 9, wire(build(9, five, in_domain=domain(DOMAIN_AI_FAULT))), 0, "bad_signature"),
        ("other_genesis_id", 9, wire(build(9, five, in_domain=other_chain)), 0, "bad_signature"),
        (
            "single_signature",
            9,
            wire(build(9, five, signature=sign(0, one, domain(DOMAIN_AI_ACK)))),
            0,
            "bad_signature",
        ),
        ("infinity", 9, wire(build(9, five, signature=INFINITY_SIGNATURE)), 0, "bad_signature"),
        ("outside_group", 9, wire(build(9, five, signature=signature_outside_group())), 0, "bad_signature"),
        ("zeros", 9, wire(build(9, five, signature=bytes(96))), 0, "bad_signature"),
        ("negated", 9, wire(spoiled), 0, "bad_signature"),
        ("n512_one_signer_missing", 512, wire(build(512, list(range(256)), list(range(255)))), 0, "bad_signature"),
    ]
    return [case(*row) for row in rows]


def fault_cases() -> list:
    """Reason 1: refused certificates beside the right and the wrong parent hash; too few bytes; empty blocks."""
    good, short = build(9, [0, 2, 4, 6, 8]), build(9, [0, 2, 4, 6])
    trailers = [
        ("missing", b"", "missing_certificate"),
        ("invalid", short, "below_quorum"),
        ("one_byte", b"\x00", "wrong_length"),
        ("cut", good[:-1], "wrong_length"),
        ("n_0", build(9, [0, 2, 4, 6, 8], stated=0), "n_out_of_range"),
        ("n_513", build(9, [0, 2, 4, 6, 8], stated=513), "n_out_of_range"),
        ("length_512", good + bytes(432 - len(good)), "wrong_length"),
        ("length_513", good + bytes(433 - len(good)), "too_long"),
        ("length_513_zeros", bytes(433), "too_long"),
    ]
    cases = []
    for name, trailer, error in trailers:
        early = error if error in ("wrong_length", "n_out_of_range", "too_long") else "parent_mismatch"
        cases += [
            case(f"reason_1_{name}", 9, wire(trailer), 0, error, True),
            case(f"reason_1_{name}_wrong_parent", 9, wire(trailer, parent=rand("x")), 0, early, False),
        ]
    for size in (0, 32, 64, 79):
        cases.append(case(f"length_{size}", 9, wire(good)[:size], 0, "too_short", False))
    for name, trailer, error in (("one_byte", b"\x00", "wrong_length"), ("length_513", bytes(433), "too_long")):
        cases.append(case(f"empty_block_{name}", 9, wire(trailer, bytes(32)), 0, error, False))
    return cases


def generate() -> dict:
    """certificate.json."""
    about = "Blocks as a beacon node sees them; seat i of a committee of n is validator i of keys.json."
    shared = {"genesis_id": GENESIS, "genesis_validators_root": ROOT, "parent_hash": PARENT, "parent_model_head": HEAD}
    cases = valid_cases() + refused_cases() + fault_cases()
    return {"certificate.json": document(about, "4, 8, 9, 11", cases, **shared)}
