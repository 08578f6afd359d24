"""Ed25519 (RFC 8032) in plain integers, with the strict check of section 14 and parts to build hostile signatures.

Slow and not constant time: only for vectors. Ordinary signatures are compared with PyNaCl in pld1_signature.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (0, 1, 1, 0)
# A point of order 8, compressed.
ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


def add(p: tuple, q: tuple) -> tuple:
    """Sum of two points in extended coordinates (X, Y, Z, T)."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def mul(scalar: int, point: tuple) -> tuple:
    """scalar * point, scalar >= 0 (not reduced, so that torsion is kept)."""
    out = IDENTITY
    while scalar:
        if scalar & 1:
            out = add(out, point)
        point = add(point, point)
        scalar >>= 1
    return out


def neg(point: tuple) -> tuple:
    """-point."""
    return (-point[0] % P, point[1], point[2], -point[3] % P)


def equal(p: tuple, q: tuple) -> bool:
    """Whether both are the same point."""
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def compress(point: tuple) -> bytes:
    """The canonical 32 bytes."""
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data: bytes) -> tuple | None:
    """The point, or None for bytes that are not its canonical encoding."""
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def expand(seed: bytes) -> tuple[int, bytes]:
    """The clamped scalar and the prefix of a secret seed."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & (2**254 - 8) | 2**254, digest[32:]


def public_key(seed: bytes) -> bytes:
    """The public key of a 32-byte secret seed."""
    return compress(mul(expand(seed)[0], BASE))


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    """h = SHA-512(R || A || M) mod L."""
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def sign(seed: bytes, message: bytes) -> bytes:
    """The RFC 8032 signature."""
    scalar, prefix = expand(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    r = compress(mul(nonce, BASE))
    s = (nonce + challenge(r, public_key(seed), message) * scalar) % L
    return r + s.to_bytes(32, "little")


def is_small_order(point: tuple) -> bool:
    """Order 1, 2, 4 or 8."""
    return equal(mul(8, point), IDENTITY)


def verify_strict(key: bytes, message: bytes, signature: bytes) -> bool:
    """Canonical S; canonical, not small-order A and R; S*B = R + h*A without the cofactor."""
    s = int.from_bytes(signature[32:], "little")
    a, r = decompress(key), decompress(signature[:32])
    if s >= L or a is None or r is None or is_small_order(a) or is_small_order(r):
        return False
    return equal(mul(s, BASE), add(r, mul(challenge(signature[:32], key, message), a)))
