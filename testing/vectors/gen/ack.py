"""Sections 7 and 8: ack.json, record.json: records with their keys, and why they are refused."""

from .chain import (
    DOMAIN_AI_ACK,
    DOMAIN_AI_FAULT,
    DOMAIN_AI_ID,
    GENESIS,
    INFINITY_KEY,
    INFINITY_SIGNATURE,
    OTHER_GENESIS,
    ROOT,
    AckData,
    FaultVote,
    IdData,
    aggregate,
    domain,
    key_outside_group,
    peer,
    proposer_domain,
    public,
    sign,
    sign_root,
    signature_outside_group,
    spec,
)
from .common import document, le, rand, refusal
from .identity import peer_id
from .pld1 import Refused
from .records import read

UPDATE, HEAD, RESULT = rand("ack/update"), rand("ack/head"), rand("ack/result")
DATA = AckData(update_id=UPDATE, model_head=HEAD, result_root=RESULT)
ACCUSED = 7
HEADER = spec.BeaconBlockHeader(
    slot=90,
    proposer_index=ACCUSED,
    parent_root=rand("fault/parent"),
    state_root=rand("fault/state"),
    body_root=rand("fault/body"),
)


def case(name: str, key: str, value: bytes, error: str | None = None, accused: bool = False) -> dict:
    """Read one record and make sure that it fails as intended, or not at all."""
    given = {"key": key, "value": value} | ({"accused_public_key": public(ACCUSED)} if accused else {})
    try:
        answer = {"expect": read(key, value, public(ACCUSED))}
    except Refused as why:
        answer = refusal(name, str(why))
    assert answer.get("error") == error, (name, error, answer)
    return {"name": name, **given, **answer}


def cut(value: bytes, at: int, data: bytes) -> bytes:
    """`value` with `data` in place of the bytes from `at` on."""
    return value[:at] + data + value[at + len(data) :]


def ack(index: int, update=UPDATE, head=HEAD, root=RESULT, signature=None, key=None) -> tuple[str, bytes]:
    """Key and value of an ACK."""
    data = AckData(update_id=update, model_head=head, result_root=root)
    signature = signature or sign(index, data, domain(DOMAIN_AI_ACK))
    public_key = key or public(index)
    return f"ack:{update.hex()[:16]}:{peer_id(public_key)}", b"\x01" + update + head + root + public_key + signature


def ack_cases() -> list:
    """ack.json."""
    key, value = ack(0)
    a, u, p = key.split(":")
    cases = [case(f"validator_{i}", *ack(i)) for i in range(4)]
    cases.append(case("other_result_root", *ack(0, root=rand("ack/other result"))))
    for name, wrong in (
        ("key_upper_case_update", f"{a}:{u.upper()}:{p}"),
        ("key_upper_case_peer", f"{a}:{u}:{p.upper()}"),
        ("key_upper_case_prefix", f"ACK:{u}:{p}"),
        ("key_whole_update_id", f"{a}:{UPDATE.hex()}:{p}"),
        ("key_15_digits", f"{a}:{u[:-1]}:{p}"),
        ("key_peer_15_digits", f"{a}:{u}:{p[:-1]}"),
        ("key_without_peer", f"{a}:{u}"),
        ("key_empty_peer", f"{a}:{u}:"),
        ("key_more", f"{key}:"),
        ("key_space", f"{key} "),
        ("key_newline", f"{key}\n"),
        ("key_prefix_0x", f"{a}:0x{u[2:]}:{p}"),
        ("key_other_prefix", f"akc:{u}:{p}"),
        ("key_empty", ""),
    ):
        cases.append(case(name, wrong, value, "bad_key"))
    cases += [
        case("key_of_another_update", f"{a}:{rand('x').hex()[:16]}:{p}", value, "key_mismatch"),
        case("key_of_another_validator", f"{a}:{u}:{peer(1)}", value, "key_mismatch"),
        case("value_empty", key, b"", "wrong_length"),
        case("value_240", key, value[:-1], "wrong_length"),
        case("value_242", key, value + b"\x00", "wrong_length"),
        case("version_0", key, cut(value, 0, b"\x00"), "wrong_version"),
        case("version_2", key, cut(value, 0, b"\x02"), "wrong_version"),
        case("zero_update_id", *ack(0, update=bytes(32)), "zero_update_id"),
    ]
    plain_root = bytes(DATA.hash_tree_root())
    for name, signature in (
        ("signed_by_another", sign(1, DATA, domain(DOMAIN_AI_ACK))),
        ("fault_domain", sign(0, DATA, domain(DOMAIN_AI_FAULT))),
        ("deneb_fork_version", sign(0, DATA, domain(DOMAIN_AI_ACK, fork="deneb"))),
        ("other_genesis_id", sign(0, DATA, domain(DOMAIN_AI_ACK, genesis_id=OTHER_GENESIS))),
        ("other_validators_root", sign(0, DATA, domain(DOMAIN_AI_ACK, root=rand("other chain")))),
        ("without_domain", sign_root(0, plain_root)),
        ("signature_infinity", INFINITY_SIGNATURE),
        ("signature_outside_group", signature_outside_group()),
        ("signature_zeros", bytes(96)),
        ("signature_sign_bit", cut(value[-96:], 0, bytes([value[-96] ^ 0x20]))),
        ("aggregate_of_two", aggregate([0, 1], DATA, domain(DOMAIN_AI_ACK))),
    ):
        cases.append(case(name, *ack(0, signature=signature), "bad_signature"))
    for at, name in ((33, "other_head"), (65, "other_root")):
        cases.append(case(f"{name}_unsigned", key, cut(value, at, rand(name)), "bad_signature"))
    for name, bad in (("infinity", INFINITY_KEY), ("outside_group", key_outside_group()), ("zeros", bytes(48))):
        cases.append(case(f"public_key_{name}", *ack(0, key=bad), "bad_public_key"))
    cases.append(case("both_infinity", *ack(0, key=INFINITY_KEY, signature=INFINITY_SIGNATURE), "bad_public_key"))
    return cases


def ann_cases() -> list:
    """Announcements."""
    trainer = rand("ann/trainer").hex()
    key = f"ann:{HEAD.hex()[:16]}:{trainer}"

    def value(size: int, sequence: int = 5, update: bytes = UPDATE) -> bytes:
        return b"\x01" + update + HEAD + le(size, 4) + le(sequence, 8)

    good = value(337)
    return [
        case("ann", key, good),
        case("ann_largest", key, value(150_000, 2**64 - 1)),
        case("ann_least", key, value(1, 0)),
        case("ann_size_0", key, value(0), "size_out_of_range"),
        case("ann_size_150001", key, value(150_001), "size_out_of_range"),
        case("ann_size_max", key, value(2**32 - 1), "size_out_of_range"),
        case("ann_76_bytes", key, good[:-1], "wrong_length"),
        case("ann_78_bytes", key, good + b"\x00", "wrong_length"),
        case("ann_version", key, b"\x02" + good[1:], "wrong_version"),
        case("ann_zero_update_id", key, value(337, update=bytes(32)), "zero_update_id"),
        case("ann_other_head", f"ann:{UPDATE.hex()[:16]}:{trainer}", good, "key_mismatch"),
        case("ann_trainer_upper_case", f"ann:{HEAD.hex()[:16]}:{trainer.upper()}", good, "bad_key"),
        case("ann_trainer_16_digits", f"ann:{HEAD.hex()[:16]}:{trainer[:16]}", good, "bad_key"),
    ]


def id_cases() -> list:
    """Identity records."""
    trainers = sorted(rand(f"id/trainer/{i}") for i in range(5))
    node = rand("id/node")

    def record(index: int, keys, sequence: int = 3, count=None, sign_as=None, genesis_id=GENESIS) -> tuple[str, bytes]:
        limited = keys[:4]
        data = IdData(public_key=public(index), node_key=node, trainers=limited, sequence=sequence)
        signature = sign(index if sign_as is None else sign_as, data, domain(DOMAIN_AI_ID, genesis_id=genesis_id))
        number = len(keys) if count is None else count
        return f"id:{peer(index)}", b"\x01" + public(index) + node + le(sequence, 8) + bytes([number]) + b"".join(
            keys
        ) + signature

    cases = [case(f"id_{n}_trainers", *record(n, trainers[:n])) for n in range(5)]
    cases.append(case("id_sequence_max", *record(0, trainers[:1], 2**64 - 1)))
    key, good = record(0, trainers[:2])
    cases += [
        case("id_5_trainers", *record(0, trainers), "too_many_trainers"),
        case("id_count_255", *record(0, trainers[:4], count=255), "too_many_trainers"),
        case("id_count_less", *record(0, trainers[:2], count=1), "wrong_length"),
        case("id_count_more", *record(0, trainers[:2], count=3), "wrong_length"),
        case("id_trainer_twice", *record(0, [trainers[0]] * 2), "trainers_not_increasing"),
        case("id_trainers_decreasing", *record(0, trainers[1::-1]), "trainers_not_increasing"),
        case("id_empty", key, b"", "wrong_length"),
        case("id_185_bytes", key, record(0, [])[1][:-1], "wrong_length"),
        case("id_byte_more", key, good + b"\x00", "wrong_length"),
        case("id_version", key, b"\x00" + good[1:], "wrong_version"),
        case("id_of_another", f"id:{peer(1)}", good, "key_mismatch"),
        case("id_upper_case", f"id:{peer(0).upper()}", good, "bad_key"),
        case("id_signed_by_another", *record(0, trainers[:2], sign_as=1), "bad_signature"),
        case("id_other_genesis_id", *record(0, trainers[:2], genesis_id=OTHER_GENESIS), "bad_signature"),
        case("id_node_key_changed", key, cut(good, 49, rand("id/other node")), "bad_signature"),
        case("id_sequence_changed", key, cut(good, 81, le(4, 8)), "bad_signature"),
    ]
    return cases


def fault_cases() -> list:
    """Fault votes as records."""
    root = bytes(HEADER.hash_tree_root())

    def record(
        index: int, root=root, slot=90, proposer=ACCUSED, reason=1, header_signature=None, genesis_id=GENESIS
    ) -> tuple[str, bytes]:
        vote = FaultVote(block_root=root, slot=slot, proposer_index=proposer, reason=reason)
        value = b"\x01" + root + le(slot, 8) + le(proposer, 8) + bytes([reason]) + public(index)
        value += sign(index, vote, domain(DOMAIN_AI_FAULT, genesis_id=genesis_id)) + HEADER.encode_bytes()
        value += header_signature or sign(ACCUSED, HEADER, proposer_domain())
        return f"fault:{root.hex()[:16]}:{peer(index)}", value

    def one(name, record, error=None):
        return case(name, *record, error, accused=True)

    key, good = record(0)
    return [
        one("fault", record(0)),
        one("fault_other_voter", record(1)),
        one("fault_reason_0", record(0, reason=0), "bad_reason"),
        one("fault_reason_2", record(0, reason=2), "bad_reason"),
        one("fault_other_root", record(0, root=rand("other root")), "header_mismatch"),
        one("fault_other_slot", record(0, slot=91), "header_mismatch"),
        one("fault_other_proposer", record(0, proposer=8), "header_mismatch"),
        one("fault_401_bytes", (key, good[:-1]), "wrong_length"),
        one("fault_403_bytes", (key, good + b"\x00"), "wrong_length"),
        one("fault_version", (key, b"\x02" + good[1:]), "wrong_version"),
        one("fault_key_of_another_voter", (f"fault:{root.hex()[:16]}:{peer(2)}", good), "key_mismatch"),
        one("fault_key_of_another_block", (f"fault:{UPDATE.hex()[:16]}:{peer(0)}", good), "key_mismatch"),
        one("fault_key_upper_case", (key.upper(), good), "bad_key"),
        one("fault_vote_signature", (key, cut(good, 98, record(1)[1][98:194])), "bad_signature"),
        one("fault_vote_other_genesis_id", record(0, genesis_id=OTHER_GENESIS), "bad_signature"),
        one(
            "fault_header_other_genesis_id",
            record(0, header_signature=sign(ACCUSED, HEADER, proposer_domain(OTHER_GENESIS))),
            "bad_header_signature",
        ),
        one(
            "fault_header_signed_by_another",
            record(0, header_signature=sign(8, HEADER, proposer_domain())),
            "bad_header_signature",
        ),
        one(
            "fault_header_in_ack_domain",
            record(0, header_signature=sign(ACCUSED, HEADER, domain(DOMAIN_AI_ACK))),
            "bad_header_signature",
        ),
    ]


def provider_cases() -> list:
    """Keys of provider records."""
    update, head = UPDATE.hex(), HEAD.hex()
    return [
        case("upd", f"upd:{update}", b""),
        case("snap", f"snap:{head}", b""),
        case("upd_16_digits", f"upd:{update[:16]}", b"", "bad_key"),
        case("upd_65_digits", f"upd:{update}0", b"", "bad_key"),
        case("snap_upper_case", f"snap:{head.upper()}", b"", "bad_key"),
        case("snap_more", f"snap:{head}:{peer(0)}", b"", "bad_key"),
        case("unknown_prefix", f"blk:{update}", b"", "bad_key"),
    ]


def generate() -> dict:
    """ack.json and record.json."""
    records = ann_cases() + id_cases() + fault_cases() + provider_cases()
    chain = {"genesis_id": GENESIS, "genesis_validators_root": ROOT}
    return {
        "ack.json": document("ACK records: key and value.", "7, 8", ack_cases(), **chain),
        "record.json": document("The other DHT records.", "7", records, **chain),
    }
