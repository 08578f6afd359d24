"""Sections 2 and 5: fork versions, fork data roots, domains, SSZ roots and signing roots by the official specification; keys.json."""

from .chain import (
    DOMAIN_AI_ACK,
    DOMAIN_AI_FAULT,
    DOMAIN_AI_ID,
    FORKS,
    GENESIS,
    INFINITY_KEY,
    INFINITY_SIGNATURE,
    OTHER_GENESIS,
    ROOT,
    AckData,
    FaultVote,
    IdData,
    compute_domain,
    domain,
    fork_version,
    is_good_key,
    is_good_signature,
    key_outside_group,
    peer,
    proposer_domain,
    public,
    secret,
    sign,
    signature_outside_group,
    signing_root,
    spec,
)
from .common import be, document, rand


def domain_cases() -> list:
    """Fork data roots and domains; inputs are the versions themselves."""
    cases = []
    kinds = {"ai_ack": DOMAIN_AI_ACK, "ai_fault": DOMAIN_AI_FAULT, "ai_id": DOMAIN_AI_ID}
    kinds["beacon_proposer"] = bytes(spec.DOMAIN_BEACON_PROPOSER)
    chains = (("chain", GENESIS, ROOT), ("zeros", GENESIS, bytes(32)), ("other_genesis", OTHER_GENESIS, ROOT))
    for chain, genesis_id, root in chains:
        for fork in FORKS:
            version = fork_version(fork, genesis_id)
            data_root = bytes(spec.compute_fork_data_root(spec.Version(version), spec.Root(root)))
            for kind, type_bytes in kinds.items():
                if kind.startswith("ai_") and fork != "phase0":
                    continue  # ours are always computed with the first version
                cases.append(
                    {
                        "name": f"{kind}_{fork}_{chain}",
                        "domain_type": type_bytes,
                        "fork_version": version,
                        "genesis_validators_root": root,
                        "fork_data_root": data_root,
                        "domain": compute_domain(type_bytes, version, root),
                    }
                )
    return cases


def fork_version_cases() -> list:
    """The five versions of a chain."""
    names = {"zeros": bytes(32), "ones": b"\xff" * 32, "chain": GENESIS, "other_genesis": OTHER_GENESIS}
    return [
        {"name": name, "genesis_id": genesis_id} | {fork: fork_version(fork, genesis_id) for fork in FORKS}
        for name, genesis_id in names.items()
    ]


def header(label: str, slot: int = 9, proposer: int = 3):
    """A BeaconBlockHeader from the PRNG."""
    roots = [rand(f"{label}/{part}") for part in ("parent", "state", "body")]
    return spec.BeaconBlockHeader(
        slot=slot, proposer_index=proposer, parent_root=roots[0], state_root=roots[1], body_root=roots[2]
    )


def header_json(value) -> dict:
    """A header's fields."""
    out = {"slot": int(value.slot), "proposer_index": int(value.proposer_index)}
    return out | {name: bytes(getattr(value, name)) for name in ("parent_root", "state_root", "body_root")}


def object_cases() -> list:
    """SSZ bytes, hash_tree_root and signing root of every object that is signed."""
    cases = []

    def put(name, kind, fields, value, in_domain=None):
        case = {
            "name": name,
            "type": kind,
            "fields": fields,
            "ssz": value.encode_bytes(),
            "root": bytes(value.hash_tree_root()),
        }
        if in_domain:
            case |= {"domain": in_domain, "signing_root": signing_root(value, in_domain)}
        cases.append(case)

    for name, parts in (
        ("ack", [rand(f"ack/{i}") for i in range(3)]),
        ("ack_zeros", [bytes(32)] * 3),
        ("ack_ones", [b"\xff" * 32] * 3),
    ):
        fields = dict(zip(("update_id", "model_head", "result_root"), parts))
        put(name, "AckData", fields, AckData(**fields), domain(DOMAIN_AI_ACK))
    votes = [("vote", 1234, 17, 1), ("vote_zeros", 0, 0, 0), ("vote_max", 2**64 - 1, 2**64 - 1, 255)]
    for name, slot, proposer, reason in votes:
        fields = {"block_root": rand(f"{name}/root"), "slot": slot, "proposer_index": proposer, "reason": reason}
        put(name, "FaultVote", fields, FaultVote(**fields), domain(DOMAIN_AI_FAULT))
    for count in range(5):
        trainers = sorted(rand(f"trainer/{i}") for i in range(count))
        fields = {
            "public_key": public(count),
            "node_key": rand(f"node/{count}"),
            "trainers": trainers,
            "sequence": 2**40 + count,
        }
        put(f"id_{count}_trainers", "IdData", fields, IdData(**fields), domain(DOMAIN_AI_ID))
    for name, value in (("header", header("h")), ("header_max", header("m", 2**64 - 1, 2**64 - 1))):
        put(name, "BeaconBlockHeader", header_json(value), value, proposer_domain())
    root, in_domain = rand("object root"), domain(DOMAIN_AI_ACK)
    data = spec.SigningData(object_root=root, domain=in_domain)
    put("signing_data", "SigningData", {"object_root": root, "domain": in_domain}, data)
    signed = [spec.SignedBeaconBlockHeader(message=header(h), signature=rand(h, 96)) for h in ("one", "two")]
    slashing = spec.ProposerSlashing(signed_header_1=signed[0], signed_header_2=signed[1])
    fields = {f"header_{i}": header_json(s.message) for i, s in enumerate(signed, 1)}
    fields |= {f"signature_{i}": bytes(s.signature) for i, s in enumerate(signed, 1)}
    put("proposer_slashing", "ProposerSlashing", fields, slashing)
    return cases


def point_cases() -> list:
    """Encodings of keys and signatures: good, at infinity, outside the group, off the curve."""
    value = AckData(update_id=rand("p/0"), model_head=rand("p/1"), result_root=rand("p/2"))
    key, signature = public(0), sign(0, value, domain(DOMAIN_AI_ACK))
    order = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB

    def flags(data, change):
        return bytes([data[0] ^ change]) + data[1:]

    rows = [
        ("key_good", "key", key),
        ("key_other_sign", "key", flags(key, 0x20)),
        ("key_infinity", "key", INFINITY_KEY),
        ("key_outside_group", "key", key_outside_group()),
        ("key_uncompressed_flag", "key", flags(key, 0x80)),
        ("key_infinity_flag_on_point", "key", flags(key, 0x40)),
        ("key_infinity_with_sign", "key", b"\xe0" + bytes(47)),
        ("key_infinity_with_bits", "key", b"\xc0" + bytes(46) + b"\x01"),
        ("key_x_is_field_size", "key", flags(be(order, 48), 0x80)),
        ("key_zeros", "key", bytes(48)),
        ("key_ones", "key", b"\xff" * 48),
        ("signature_good", "signature", signature),
        ("signature_other_sign", "signature", flags(signature, 0x20)),
        ("signature_infinity", "signature", INFINITY_SIGNATURE),
        ("signature_outside_group", "signature", signature_outside_group()),
        ("signature_infinity_with_sign", "signature", b"\xe0" + bytes(95)),
        ("signature_infinity_with_bits", "signature", b"\xc0" + bytes(94) + b"\x01"),
        ("signature_first_x_is_field_size", "signature", flags(be(order, 48), 0x80) + bytes(48)),
        ("signature_second_x_is_field_size", "signature", flags(bytes(48), 0x80) + be(order, 48)),
        ("signature_uncompressed_flag", "signature", flags(signature, 0x80)),
        ("signature_zeros", "signature", bytes(96)),
        ("signature_ones", "signature", b"\xff" * 96),
    ]
    cases = []
    for name, kind, data in rows:
        valid = is_good_key(data) if kind == "key" else is_good_signature(data)
        cases.append({"name": name, "kind": kind, "bytes": data, "valid_point": valid})
    return cases


def generate() -> dict:
    """signing.json and keys.json."""
    keys = [
        {"name": f"{i}", "index": i, "secret_key": be(secret(i), 32), "public_key": public(i), "peer_id": peer(i)}
        for i in range(512)
    ]
    about = "Domains; `fork_versions`: of a chain; `objects`: SSZ bytes, roots and signing roots; `points`: encodings of BLS keys and signatures."
    extra = {"genesis_id": GENESIS, "genesis_validators_root": ROOT, "fork_versions": fork_version_cases()}
    extra |= {"objects": object_cases(), "points": point_cases()}
    return {
        "keys.json": document(
            "BLS keys of the validators that ack.json, certificate.json, record.json and fault.json use.", "5", keys
        ),
        "signing.json": document(about, "2, 5, 7, 8, 11", domain_cases(), **extra),
    }
