"""Section 14: the strict Ed25519 rule, on containers that are right in everything but the signature."""

import nacl.exceptions
import nacl.signing

from . import ed25519 as e
from .common import document, le, rand
from .pld1 import message
from .pld1_common import SEED, SHAPES, context_json, decoded_case, header, random_record

RECORD = random_record("signature", 1)
ORDER_8 = e.decompress(e.ORDER_8)
ALIASES = {  # encodings of small-order points that are not canonical
    "identity_y_plus_p": le(e.P + 1, 32),
    "identity_negative_zero": le(1 | 1 << 255, 32),
    "order_4_y_is_p": le(e.P, 32),
}


def unsigned(key: bytes) -> bytes:
    """A container of one record under any public key."""
    shape = SHAPES["four_chunks"]
    return header(0, 1).encode(shape.chunks(), 1, key) + b"\x01" + RECORD


def case(name: str, key: bytes, signature: bytes, valid: bool) -> dict:
    """A whole container; libsodium must agree with our strict rule."""
    data = unsigned(key)
    out = decoded_case(name, "four_chunks", 1, data + signature)
    assert (out.get("error") is None) == valid, name
    try:
        nacl.signing.VerifyKey(key).verify(message(data), signature)
        agreed = True
    except nacl.exceptions.BadSignatureError:
        agreed = False
    assert agreed == valid, f"libsodium disagrees on {name}"
    return out


def search(key: bytes, make) -> bytes:
    """The first attempt number for which `make(attempt, message)` yields a signature."""
    text = message(unsigned(key))
    for attempt in range(1, 1_000):
        if signature := make(attempt, text):
            return signature
    raise AssertionError("no signature found")


def torsion_cases() -> list:
    """Keys and R with parts of small order."""
    scalar, _ = e.expand(SEED)
    mixed = e.compress(e.add(e.mul(scalar, e.BASE), ORDER_8))
    small = [("identity", e.compress(e.IDENTITY)), ("order_8", e.ORDER_8)]
    small += [("order_2", le(e.P - 1, 32)), ("order_4", bytes(32))]
    cases = []

    def from_nonce(key, secret, wanted_h, r_extra=None):
        """S = r + h * secret with R = rB (+ r_extra); only h with wanted_h(h)."""

        def make(attempt, text):
            nonce = int.from_bytes(rand(f"nonce/{attempt}"), "little") % e.L
            point = e.mul(nonce, e.BASE)
            r = e.compress(point if r_extra is None else e.add(point, r_extra))
            h = e.challenge(r, key, text)
            return r + le((nonce + h * secret) % e.L, 32) if wanted_h(h) else None

        return search(key, make)

    for name, key in small:
        cases.append(case(f"key_{name}", key, from_nonce(key, 0, lambda h: h % 8 == 0), False))
    for name, key in ALIASES.items():
        cases.append(case(f"key_{name}", key, from_nonce(key, 0, lambda h: h % 8 == 0), False))
    cases.append(case("key_mixed_order_holds", mixed, from_nonce(mixed, scalar, lambda h: h % 8 == 0), True))
    cases.append(
        case("key_mixed_order_only_with_cofactor", mixed, from_nonce(mixed, scalar, lambda h: h % 8 == 4), False)
    )
    own = e.public_key(SEED)
    cases.append(case("r_mixed_order_only_with_cofactor", own, from_nonce(own, scalar, lambda h: True, ORDER_8), False))

    def zero_nonce(key, r_bytes):
        return r_bytes + le(e.challenge(r_bytes, key, message(unsigned(key))) * scalar % e.L, 32)

    cases.append(case("r_identity", own, zero_nonce(own, e.compress(e.IDENTITY)), False))
    for name in ("identity_y_plus_p", "identity_negative_zero"):
        cases.append(case(f"r_{name}", own, zero_nonce(own, ALIASES[name]), False))

    def small_r(attempt, text):
        """R of small order that cancels the torsion of a mixed key: the cofactorless equation holds."""
        r = e.compress(e.mul(attempt % 8, ORDER_8))
        h = e.challenge(r, key, text)
        return r + le(h * secret % e.L, 32) if (h + attempt) % 8 == 0 and attempt % 8 else None

    for number in range(100):
        secret, _ = e.expand(rand(f"mixed secret/{number}"))
        key = e.compress(e.add(e.mul(secret, e.BASE), ORDER_8))
        try:
            cases.append(case("r_small_order_equation_holds", key, search(key, small_r), False))
            break
        except AssertionError as why:
            assert "no signature" in str(why)
    return cases


def plain_cases() -> list:
    """One good signature, and what is made of it."""
    own = e.public_key(SEED)
    good = e.sign(SEED, message(unsigned(own)))
    assert good == bytes(nacl.signing.SigningKey(SEED).sign(message(unsigned(own))).signature)
    s = int.from_bytes(good[32:], "little")
    off_curve = next(le(y, 32) for y in range(2, 99) if e.decompress(le(y, 32)) is None)
    return [
        case("good", own, good, True),
        case("s_plus_order", own, good[:32] + le(s + e.L, 32), False),
        case("s_plus_8_orders", own, good[:32] + le(s + 8 * e.L, 32), False),
        case("s_negated", own, good[:32] + le(e.L - s, 32), False),
        case("s_is_order", own, good[:32] + le(e.L, 32), False),
        case("s_zero", own, good[:32] + bytes(32), False),
        case("s_top_bit", own, good[:63] + bytes([good[63] | 0x80]), False),
        case("r_sign_bit", own, good[:31] + bytes([good[31] ^ 0x80]) + good[32:], False),
        case("r_all_ones", own, b"\xff" * 32 + good[32:], False),
        case("halves_swapped", own, good[32:] + good[:32], False),
        case("all_zeros", own, bytes(64), False),
        case("key_off_curve", off_curve, good, False),
        case("key_all_ones", b"\xff" * 32, good, False),
        case("key_sign_bit", own[:31] + bytes([own[31] ^ 0x80]), good, False),
    ]


def generate() -> dict:
    """pld1_signature.json."""
    about = "Kind 0 containers of profile 1 whose Ed25519 signatures are good or hostile (small order, cofactor, malleable)."
    cases = plain_cases() + torsion_cases()
    return {"pld1_signature.json": document(about, "14", cases, profile=1, context=context_json())}
