"""Our SSZ containers, domains and BLS keys, on top of the official generated consensus specification (Deneb)."""

from functools import lru_cache

from eth_consensus_specs.deneb import minimal as spec
from eth_consensus_specs.utils import bls

from .common import H, le, rand
from .identity import BLS_ORDER, peer_id

ROOT = rand("chain/genesis validators root")
GENESIS = rand("chain/genesis id")
OTHER_GENESIS = rand("chain/other genesis id")  # another chain made from the same seed: ROOT is its root, too
FORKS = {"phase0": 0x10, "altair": 0x11, "bellatrix": 0x12, "capella": 0x13, "deneb": 0x14}
DOMAIN_AI_ACK = bytes.fromhex("41494101")
DOMAIN_AI_FAULT = bytes.fromhex("41494601")
DOMAIN_AI_ID = bytes.fromhex("41494901")
INFINITY_KEY = b"\xc0" + bytes(47)
INFINITY_SIGNATURE = b"\xc0" + bytes(95)


class AckData(spec.Container):
    """Section 8."""

    update_id: spec.Bytes32
    model_head: spec.Bytes32
    result_root: spec.Bytes32


class FaultVote(spec.Container):
    """Section 11."""

    block_root: spec.Bytes32
    slot: spec.Uint64
    proposer_index: spec.Uint64
    reason: spec.Uint8


class IdData(spec.Container):
    """Section 7."""

    public_key: spec.Bytes48
    node_key: spec.Bytes32
    trainers: spec.List[spec.Bytes32, 4]
    sequence: spec.Uint64


def fork_version(fork: str, genesis_id: bytes = GENESIS) -> bytes:
    """A chain's version of a fork (section 2)."""
    return bytes([FORKS[fork]]) + H(b"pol-ai/fork/v1", genesis_id)[:3]


def compute_domain(kind: bytes, version: bytes, root: bytes) -> bytes:
    """The specification's function of this name."""
    return bytes(spec.compute_domain(spec.DomainType(kind), spec.Version(version), spec.Root(root)))


def domain(kind: bytes, root: bytes = ROOT, genesis_id: bytes = GENESIS, fork: str = "phase0") -> bytes:
    """A chain's domain; ours have the first fork's version in every epoch."""
    return compute_domain(kind, fork_version(fork, genesis_id), root)


def proposer_domain(genesis_id: bytes = GENESIS) -> bytes:
    """DOMAIN_BEACON_PROPOSER of an epoch in Deneb, which is every epoch here."""
    return domain(bytes(spec.DOMAIN_BEACON_PROPOSER), genesis_id=genesis_id, fork="deneb")


def signing_root(value, in_domain: bytes) -> bytes:
    """compute_signing_root."""
    return bytes(spec.compute_signing_root(value, spec.Domain(in_domain)))


@lru_cache(None)
def secret(index: int) -> int:
    """BLS secret of validator `index`."""
    return int.from_bytes(H(b"pol-ai/vectors/bls", le(index, 4)), "big") % BLS_ORDER


@lru_cache(None)
def public(index: int) -> bytes:
    """BLS public key of validator `index`."""
    return bytes(bls.SkToPk(secret(index)))


def peer(index: int) -> str:
    """peerID of validator `index`."""
    return peer_id(public(index))


@lru_cache(None)
def sign_root(index: int, root: bytes) -> bytes:
    """Signature of validator `index` over a signing root."""
    return bytes(bls.Sign(secret(index), root))


def sign(index: int, value, in_domain: bytes) -> bytes:
    """Signature of validator `index` over an object in a domain."""
    return sign_root(index, signing_root(value, in_domain))


def aggregate(indices, value, in_domain: bytes) -> bytes:
    """Aggregate signature of several validators over one object."""
    root = signing_root(value, in_domain)
    return bytes(bls.Aggregate([sign_root(i, root) for i in indices]))


def is_good_signature(signature: bytes) -> bool:
    """In the group and not infinity. (The library reads every encoding with the infinity flag as infinity.)"""
    point = bls._valid_signature_point(signature)
    return point is not None and point != bls.G2.identity()


def verify(key: bytes, value, in_domain: bytes, signature: bytes) -> bool:
    """One signature; keys and signatures outside the group or at infinity fail."""
    return is_good_signature(signature) and bls.Verify(key, signing_root(value, in_domain), signature)


def verify_aggregate(keys: list[bytes], value, in_domain: bytes, signature: bytes) -> bool:
    """One aggregate over one object."""
    return is_good_signature(signature) and bls.FastAggregateVerify(keys, signing_root(value, in_domain), signature)


def is_good_key(key: bytes) -> bool:
    """KeyValidate."""
    return bls.KeyValidate(key)


def _outside(size: int, point) -> bytes:
    for x in range(1, 1_000):
        data = bytes([0x80]) + x.to_bytes(size - 1, "big")
        try:
            if not point.from_compressed_bytes_unchecked(data).is_in_subgroup():
                return data
        except Exception:  # not on the curve: the library raises its own bare error
            continue
    raise AssertionError("no point found")


def key_outside_group() -> bytes:
    """A point on the curve of G1, not in G1."""
    return _outside(48, bls.G1)


def signature_outside_group() -> bytes:
    """A point on the twist, not in G2."""
    return _outside(96, bls.G2)
