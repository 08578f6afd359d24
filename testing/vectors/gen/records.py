"""Section 7: reading DHT records. Used by ack.json and record.json."""

import re

from .chain import (
    DOMAIN_AI_ACK,
    DOMAIN_AI_FAULT,
    DOMAIN_AI_ID,
    AckData,
    FaultVote,
    IdData,
    domain,
    is_good_key,
    is_good_signature,
    proposer_domain,
    spec,
    verify,
)
from .identity import peer_id
from .pld1 import need

GRAMMAR = {
    "ack": re.compile(r"ack:([0-9a-f]{16}):([0-9a-f]{16})", re.ASCII),
    "ann": re.compile(r"ann:([0-9a-f]{16}):([0-9a-f]{64})", re.ASCII),
    "id": re.compile(r"id:([0-9a-f]{16})", re.ASCII),
    "fault": re.compile(r"fault:([0-9a-f]{16}):([0-9a-f]{16})", re.ASCII),
    "upd": re.compile(r"upd:([0-9a-f]{64})", re.ASCII),
    "snap": re.compile(r"snap:([0-9a-f]{64})", re.ASCII),
}


def parse_key(key: str) -> tuple[str, tuple[str, ...]]:
    """Kind and hex parts; the whole text must match."""
    for kind, pattern in GRAMMAR.items():
        if match := pattern.fullmatch(key):
            return kind, match.groups()
    need(False, "bad_key")
    raise AssertionError


def _start(value: bytes, size: int):
    need(len(value) == size, "wrong_length")
    need(value[0] == 1, "wrong_version")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _signed(key: bytes, value, in_domain: bytes, signature: bytes, word: str = "bad_signature"):
    need(is_good_key(key), "bad_public_key")
    need(is_good_signature(signature) and verify(key, value, in_domain, signature), word)


def read_ack(parts, value: bytes) -> dict:
    """ack:"""
    _start(value, 241)
    out = {"update_id": value[1:33], "model_head": value[33:65], "result_root": value[65:97]}
    out |= {"public_key": value[97:145], "signature": value[145:241]}
    need(parts == (out["update_id"].hex()[:16], peer_id(out["public_key"])), "key_mismatch")
    need(any(out["update_id"]), "zero_update_id")
    data = AckData(**{name: out[name] for name in ("update_id", "model_head", "result_root")})
    _signed(out["public_key"], data, domain(DOMAIN_AI_ACK), out["signature"])
    return out


def read_ann(parts, value: bytes) -> dict:
    """ann: (the trainer stands in the key alone)"""
    _start(value, 77)
    out = {
        "update_id": value[1:33],
        "model_head": value[33:65],
        "size": _number(value[65:69]),
        "sequence": _number(value[69:77]),
    }
    need(parts[0] == out["model_head"].hex()[:16], "key_mismatch")
    need(any(out["update_id"]), "zero_update_id")
    need(1 <= out["size"] <= 150_000, "size_out_of_range")
    return {**out, "trainer": bytes.fromhex(parts[1])}


def read_id(parts, value: bytes) -> dict:
    """id:"""
    need(len(value) >= 186, "wrong_length")
    need(value[0] == 1, "wrong_version")
    count = value[89]
    need(count <= 4, "too_many_trainers")
    need(len(value) == 186 + 32 * count, "wrong_length")
    trainers = [value[90 + 32 * i : 122 + 32 * i] for i in range(count)]
    out = {"public_key": value[1:49], "node_key": value[49:81], "sequence": _number(value[81:89]), "trainers": trainers}
    out["signature"] = value[-96:]
    need(parts == (peer_id(out["public_key"]),), "key_mismatch")
    need(all(a < b for a, b in zip(trainers, trainers[1:])), "trainers_not_increasing")
    data = IdData(public_key=out["public_key"], node_key=out["node_key"], trainers=trainers, sequence=out["sequence"])
    _signed(out["public_key"], data, domain(DOMAIN_AI_ID), out["signature"])
    return out


def read_fault(parts, value: bytes, accused_key: bytes) -> dict:
    """fault: with the accused's key, which the reader takes from the beacon state."""
    _start(value, 402)
    out = {
        "block_root": value[1:33],
        "slot": _number(value[33:41]),
        "proposer_index": _number(value[41:49]),
        "reason": value[49],
    }
    out |= {
        "public_key": value[50:98],
        "signature": value[98:194],
        "header": value[194:306],
        "header_signature": value[306:402],
    }
    need(parts == (out["block_root"].hex()[:16], peer_id(out["public_key"])), "key_mismatch")
    need(out["reason"] == 1, "bad_reason")
    header = spec.BeaconBlockHeader.decode_bytes(out["header"])
    same = bytes(header.hash_tree_root()) == out["block_root"]
    need(same and header.slot == out["slot"] and header.proposer_index == out["proposer_index"], "header_mismatch")
    vote = FaultVote(**{name: out[name] for name in ("block_root", "slot", "proposer_index", "reason")})
    _signed(out["public_key"], vote, domain(DOMAIN_AI_FAULT), out["signature"])
    _signed(accused_key, header, proposer_domain(), out["header_signature"], "bad_header_signature")
    return out


def read(key: str, value: bytes, accused_key: bytes | None = None) -> dict:
    """A record of any kind, or Refused."""
    kind, parts = parse_key(key)
    if kind == "fault":
        return {"kind": kind, **read_fault(parts, value, accused_key)}
    if kind in ("upd", "snap"):
        return {"kind": kind, "of": bytes.fromhex(parts[0])}  # provider records carry no value of ours
    return {"kind": kind, **{"ack": read_ack, "ann": read_ann, "id": read_id}[kind](parts, value)}
