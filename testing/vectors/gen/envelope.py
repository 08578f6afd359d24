"""Section 7, "Envelope": libp2p's signed envelope (RFC 0002) in its one encoding; protobuf by hand."""

import nacl.signing

from . import ed25519
from .chain import GENESIS, OTHER_GENESIS
from .common import document, le, rand, refusal
from .pld1 import Refused, need

MAX_BYTES = 1_024
PAYLOAD_TYPE = b"/pol-ai/record/1"
SECRET = rand("envelope/secret")
SEALED_AT = 1_790_000_000
VARINT, BYTES = 0, 2  # protobuf wire types
SIZES = (0, 1, 77, 118, 119, 120, 121, 186, 241, 314, 402, 890, 891)


def varint(number: int) -> bytes:
    """Protobuf's, as short as it can be; the same as a libp2p unsigned varint."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def longer(number: int) -> bytes:
    """The same number in one byte more."""
    short = varint(number)
    return short[:-1] + bytes([short[-1] | 128, 0])


def field(number: int, data: bytes) -> bytes:
    """A bytes field."""
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def key_field(key: bytes, kind: int = 1) -> bytes:
    """Field 1: libp2p's PublicKey { Type = 1, Data = 2 }; type 1 is Ed25519."""
    return field(1, varint(1 << 3 | VARINT) + varint(kind) + field(2, key))


def encode(key: bytes, payload: bytes, signature: bytes, payload_type: bytes = PAYLOAD_TYPE) -> bytes:
    """The one encoding."""
    return key_field(key) + field(2, payload_type) + field(3, payload) + field(5, signature)


def message(
    genesis_id: bytes, payload: bytes, payload_type: bytes = PAYLOAD_TYPE, prefix=b"pol-ai/record/v1/"
) -> bytes:
    """What is signed: domain, payload type and payload, each after its length."""
    parts = (prefix + genesis_id.hex().encode(), payload_type, payload)
    return b"".join(varint(len(part)) + part for part in parts)


def seal(sealed_at: int, value: bytes, secret: bytes = SECRET, genesis_id: bytes = GENESIS) -> bytes:
    """A good envelope."""
    payload = le(sealed_at, 8) + value
    signature = ed25519.sign(secret, message(genesis_id, payload))
    assert signature == nacl.signing.SigningKey(secret).sign(message(genesis_id, payload)).signature
    return encode(ed25519.public_key(secret), payload, signature)


def take(data: bytes, prefix: bytes) -> bytes:
    """What follows the prefix."""
    need(data.startswith(prefix), "wrong_encoding")
    return data[len(prefix) :]


def unseal(data: bytes, genesis_id: bytes) -> dict:
    """Key, time and value, or Refused. Reads everything but key, payload and signature as constants."""
    need(len(data) <= MAX_BYTES, "too_long")
    rest = take(data, key_field(bytes(32))[:-32])
    key, rest = rest[:32], take(rest[32:], field(2, PAYLOAD_TYPE))
    payload, signature = rest[:-66], rest[-64:]  # field 3, then field 5 of 66 bytes
    need(rest[-66:] == field(5, signature) and len(signature) == 64, "wrong_encoding")
    start = next((n for n in (2, 3) if payload == field(3, payload[n:])), None)
    need(start is not None and len(payload) >= start + 8, "wrong_encoding")
    payload = payload[start:]
    need(ed25519.verify_strict(key, message(genesis_id, payload), signature), "bad_signature")
    return {"public_key": key, "sealed_at": int.from_bytes(payload[:8], "little"), "value": payload[8:]}


def good(name: str, size: int, sealed_at: int = SEALED_AT, secret: bytes = SECRET, genesis_id: bytes = GENESIS) -> dict:
    """An envelope around `size` bytes, read back."""
    given = {
        "secret": secret,
        "genesis_id": genesis_id,
        "sealed_at": sealed_at,
        "value": rand(f"envelope/{size}", size),
    }
    envelope = seal(sealed_at, given["value"], secret, genesis_id)
    key = ed25519.public_key(secret)
    assert unseal(envelope, genesis_id) == {"public_key": key, "sealed_at": sealed_at, "value": given["value"]}
    return {"name": name, **given, "public_key": key, "envelope": envelope}


def bad(name: str, error: str, envelope: bytes) -> dict:
    """Bytes that are refused for exactly this reason."""
    try:
        unseal(envelope, GENESIS)
    except Refused as why:
        assert str(why) == error, (name, error, str(why))
        return refusal(name, error, genesis_id=GENESIS, envelope=envelope)
    raise AssertionError(name)


def valid_cases() -> list:
    """Sizes around the length that needs two bytes, up to the largest; times; keys; chains."""
    return [
        *(good(f"value_{size}", size) for size in SIZES),
        good("sealed_at_0", 77, 0),
        good("sealed_at_max", 77, 2**64 - 1),
        good("other_secret", 77, secret=rand("envelope/other secret")),
        good("other_genesis_id", 77, genesis_id=OTHER_GENESIS),
        good("genesis_id_with_letters", 77, genesis_id=bytes.fromhex("abcdef0123456789" * 4)),
    ]


def encoding_cases() -> list:
    """Envelopes that any protobuf reader understands, and some that none does; all signed."""
    key, payload = ed25519.public_key(SECRET), le(SEALED_AT, 8) + rand("envelope/value", 77)
    signature = ed25519.sign(SECRET, message(GENESIS, payload))
    one, two, three, five = key_field(key), field(2, PAYLOAD_TYPE), field(3, payload), field(5, signature)
    whole = one + two + three + five
    kind, data = varint(8) + varint(1), field(2, key)
    big = le(SEALED_AT, 8) + rand("envelope/big", 120)
    big_signature = field(5, ed25519.sign(SECRET, message(GENESIS, big)))

    def signed(payload, payload_type=PAYLOAD_TYPE):
        return encode(key, payload, ed25519.sign(SECRET, message(GENESIS, payload, payload_type)), payload_type)

    def length_longer(part):
        return part[:1] + longer(part[1]) + part[2:]

    rows = {
        "empty": b"",
        "order_2_1_3_5": two + one + three + five,
        "order_1_3_2_5": one + three + two + five,
        "order_1_2_5_3": one + two + five + three,
        "without_key": two + three + five,
        "without_type": one + three + five,
        "without_payload": one + two + five,
        "without_signature": one + two + three,
        "key_twice": one + whole,
        "type_twice": one + two + two + three + five,
        "payload_twice": one + two + three + three + five,
        "signature_twice": whole + five,
        "field_4_between": one + two + three + field(4, b"") + five,
        "field_4_for_5": one + two + three + field(4, signature),
        "field_6_after": whole + field(6, b""),
        "varint_field_after": whole + varint(7 << 3 | VARINT) + b"\x00",
        "byte_after": whole + b"\x00",
        "byte_missing": whole[:-1],
        "tag_longer": longer(one[0]) + one[1:] + two + three + five,
        "key_length_longer": length_longer(one) + two + three + five,
        "type_length_longer": one + length_longer(two) + three + five,
        "payload_length_longer": one + two + length_longer(three) + five,
        "signature_length_longer": one + two + three + length_longer(five),
        "long_payload_length_longer": one + two + b"\x1a" + longer(len(big)) + big + big_signature,
        "inner_order": field(1, data + kind) + two + three + five,
        "inner_extra_field": field(1, kind + data + field(3, b"")) + two + three + five,
        "inner_type_twice": field(1, kind + kind + data) + two + three + five,
        "inner_type_longer": field(1, varint(8) + longer(1) + data) + two + three + five,
        "inner_length_longer": field(1, kind + length_longer(data)) + two + three + five,
        "inner_without_type": field(1, data) + two + three + five,
        "key_type_rsa": key_field(key, 0) + two + three + five,
        "key_type_secp256k1": key_field(key, 2) + two + three + five,
        "key_31_bytes": key_field(key[:31]) + two + three + five,
        "key_33_bytes": key_field(key + b"\x00") + two + three + five,
        "signature_63_bytes": encode(key, payload, signature[:63]),
        "signature_65_bytes": encode(key, payload, signature + b"\x00"),
        "signature_empty": encode(key, payload, b""),
        "other_payload_type": signed(payload, b"/pol-ai/record/2"),
        "payload_type_longer": signed(payload, PAYLOAD_TYPE + b"/"),
        "payload_type_upper_case": signed(payload, b"/POL-AI/record/1"),
        "payload_type_empty": signed(payload, b""),
        "payload_empty": signed(b""),
        "payload_7_bytes": signed(bytes(7)),
    }
    return [bad(name, "wrong_encoding", envelope) for name, envelope in rows.items()]


def signature_cases() -> list:
    """Right in form, signed wrongly."""
    secret, key = ed25519.expand(SECRET)[0], ed25519.public_key(SECRET)
    value = rand("envelope/value", 77)
    payload = le(SEALED_AT, 8) + value
    text = message(GENESIS, payload)
    signature = ed25519.sign(SECRET, text)
    identity, s = ed25519.compress(ed25519.IDENTITY), int.from_bytes(signature[32:], "little")
    nonce = ed25519.compress(ed25519.mul(7, ed25519.BASE))
    challenge = ed25519.challenge(identity, key, text)

    def by(text):
        return encode(key, payload, ed25519.sign(SECRET, text))

    rows = {
        "other_chain": seal(SEALED_AT, value, genesis_id=OTHER_GENESIS),
        "other_prefix": by(message(GENESIS, payload, prefix=b"pol-ai/record/v2/")),
        "upper_case_domain": by(text.replace(GENESIS.hex().encode(), GENESIS.hex().upper().encode())),
        "other_payload_type_signed": by(message(GENESIS, payload, b"/pol-ai/record/2")),
        "payload_alone_signed": by(payload),
        "lengths_not_signed": by(b"pol-ai/record/v1/" + GENESIS.hex().encode() + PAYLOAD_TYPE + payload),
        "value_alone_signed": by(message(GENESIS, value)),
        "time_changed": encode(key, le(SEALED_AT + 1, 8) + value, signature),
        "value_bit": encode(key, payload[:-1] + bytes([payload[-1] ^ 1]), signature),
        "value_cut": encode(key, payload[:-1], signature),
        "r_bit": encode(key, payload, bytes([signature[0] ^ 1]) + signature[1:]),
        "s_bit": encode(key, payload, signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]),
        "s_plus_order": encode(key, payload, signature[:32] + le(s + ed25519.L, 32)),
        "signature_zeros": encode(key, payload, bytes(64)),
        "key_of_another": encode(ed25519.public_key(rand("envelope/other secret")), payload, signature),
        "key_zeros": encode(bytes(32), payload, signature),
        "key_off_curve": encode(le(2, 32), payload, signature),
        "key_small_order": encode(identity, payload, nonce + le(7, 32)),
        "r_small_order": encode(key, payload, identity + le(challenge * secret % ed25519.L, 32)),
    }
    assert ed25519.decompress(le(2, 32)) is None
    return [bad(name, "bad_signature", envelope) for name, envelope in rows.items()]


def generate() -> dict:
    """envelope.json."""
    assert len(seal(SEALED_AT, bytes(SIZES[-1]))) == MAX_BYTES
    long = [bad(f"value_{size}", "too_long", seal(SEALED_AT, bytes(size))) for size in (892, 2_000)]
    cases = valid_cases() + long + encoding_cases() + signature_cases()
    return {"envelope.json": document("The signed envelope around a DHT record's value.", "7", cases)}
