"""Shared helpers: hashes, little-endian integers, a tiny PRNG and the JSON writer.

Nothing here knows the protocol. Every program under `gen/` is written from docs/PROTOCOL.md and public
specifications only, never from the Rust sources, so that the two can disagree.
"""

import hashlib
import json

from Crypto.Hash import keccak

SAFE_INTEGER = 2**53


def H(*parts: bytes) -> bytes:
    """SHA-256 of the joined parts."""
    return hashlib.sha256(b"".join(parts)).digest()


def K(*parts: bytes) -> bytes:
    """Keccak-256 of the joined parts."""
    return keccak.new(digest_bits=256, data=b"".join(parts)).digest()


def le(value: int, size: int) -> bytes:
    """`value` as `size` little-endian bytes."""
    return value.to_bytes(size, "little")


def be(value: int, size: int) -> bytes:
    """`value` as `size` big-endian bytes."""
    return value.to_bytes(size, "big")


def u32(data: bytes, offset: int = 0) -> int:
    """The little-endian u32 at `offset`."""
    return int.from_bytes(data[offset : offset + 4], "little")


def bit(data: bytes, index: int) -> int:
    """Bit `index`, LSB first."""
    return data[index // 8] >> (index % 8) & 1


def pack_bits(indices, size: int) -> bytes:
    """`size` bytes in which exactly the bits `indices` are set, LSB first."""
    out = bytearray(size)
    for index in indices:
        out[index // 8] |= 1 << (index % 8)
    return bytes(out)


def rand(label: str, size: int = 32) -> bytes:
    """`size` bytes of H("pol-ai/vectors/" || label || counter u64), counter = 0, 1, ..."""
    out = b""
    counter = 0
    while len(out) < size:
        out += H(b"pol-ai/vectors/", label.encode(), le(counter, 8))
        counter += 1
    return out[:size]


def document(about: str, source: str, cases: list, **extra) -> dict:
    """One vector file. `extra` holds data shared by all cases; it stands before them."""
    names = [case["name"] for case in cases]
    assert len(names) == len(set(names)), "case names repeat"
    return {"about": about, "source": source, **extra, "cases": cases}


def refusal(name: str, error: str, **given) -> dict:
    """A case whose input must be refused; `error` is a short stable word."""
    return {"name": name, **given, "error": error}


def _plain(value):
    """Bytes to hex, integers of 2^53 and more to decimal strings; floats are a mistake here."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        value = int(value)
        return value if abs(value) < SAFE_INTEGER else str(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise TypeError(f"no {type(value).__name__} in vectors: {value!r}")


def _lines(value, depth: int) -> str:
    """JSON with one space per level; a list without dictionaries stands on one line."""
    pad = "\n" + " " * (depth + 1)
    end = "\n" + " " * depth
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in value.items()]
        return "{" + pad + ("," + pad).join(items) + end + "}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[" + pad + ("," + pad).join(_lines(item, depth + 1) for item in value) + end + "]"
    return json.dumps(value)


def to_json(value) -> bytes:
    """The exact bytes of a vector file."""
    return (_lines(_plain(value), 0) + "\n").encode()
