"""Section 6.1: the adapter's shape, its initial values and the Merkle root over its integers."""

import struct
from dataclasses import dataclass
from math import isqrt

from .common import H, le

MODULES = ["q", "k", "v", "o", "gate", "up", "down"]
CHUNK = 4096
LIMIT = 2**30


@dataclass(frozen=True)
class Shape:
    """The five numbers of chain.toml."""

    layers: int
    hidden: int
    query: int
    key_value: int
    intermediate: int

    def modules(self) -> list[tuple[int, int]]:
        """(in, out) in the order of MODULES."""
        h, q, kv, i = self.hidden, self.query, self.key_value, self.intermediate
        return [(h, q), (h, kv), (h, kv), (q, h), (h, i), (h, i), (i, h)]

    def tensors(self) -> list[dict]:
        """Every tensor in flat order: name, layer, rows, columns, offset of its first value."""
        out, offset = [], 0
        for side in "AB":
            for layer in range(self.layers):
                for name, (n_in, n_out) in zip(MODULES, self.modules()):
                    rows, columns = (8, n_in) if side == "A" else (n_out, 8)
                    out.append(
                        {
                            "side": side,
                            "layer": layer,
                            "module": name,
                            "rows": rows,
                            "columns": columns,
                            "offset": offset,
                        }
                    )
                    offset += rows * columns
        return out

    def values(self) -> int:
        """Number of values."""
        return 8 * self.layers * sum(a + b for a, b in self.modules())

    def chunks(self) -> int:
        """C."""
        return -(-self.values() // CHUNK)

    def chunk_length(self, chunk: int) -> int:
        """Values in a chunk; the last may be short."""
        return min(CHUNK, self.values() - CHUNK * chunk)

    def in_range(self) -> bool:
        """The bounds of section 6.1."""
        dims = (self.hidden, self.query, self.key_value, self.intermediate)
        return 1 <= self.layers <= 256 and all(1 <= d <= 65_536 for d in dims) and self.values() <= 2**28

    def as_json(self) -> dict:
        """The five numbers by name."""
        return dict(vars(self))


def initial_a(genesis_id: bytes, tensor: int, n_in: int) -> list[int]:
    """The 8 * in values of A tensor number `tensor` (layer * 7 + module)."""
    bound = isqrt(2**48 // n_in)
    out = []
    for block in range(n_in):
        for word in struct.unpack("<8I", H(b"pol-ai/init/v1", genesis_id, le(tensor, 4), le(block, 8))):
            out.append((word * 2 * bound >> 32) - bound)
    return out


def initial_state(genesis_id: bytes, shape: Shape) -> list[int]:
    """A drawn from genesis_id, B zero."""
    out = []
    for layer in range(shape.layers):
        for module, (n_in, _) in enumerate(shape.modules()):
            out += initial_a(genesis_id, layer * 7 + module, n_in)
    return out + [0] * (shape.values() - len(out))


def leaf(values: list[int]) -> bytes:
    """H(0x00 || i32 values)."""
    return H(b"\x00", struct.pack(f"<{len(values)}i", *values))


def merkle_root(leaves: list[bytes]) -> bytes:
    """Padded with 0^32 to a power of two; one leaf is its own root."""
    size = 1
    while size < len(leaves):
        size *= 2
    level = leaves + [bytes(32)] * (size - len(leaves))
    while len(level) > 1:
        level = [H(b"\x01", a, b) for a, b in zip(level[::2], level[1::2])]
    return level[0]


def result_root(state: list[int]) -> bytes:
    """resultRoot of a state."""
    return merkle_root([leaf(state[at : at + CHUNK]) for at in range(0, len(state), CHUNK)])


def applied(state: list[int], delta: dict[int, int]) -> list[int] | None:
    """state + delta, or None when a value would reach 64.0."""
    out = list(state)
    for index, change in delta.items():
        out[index] += change
        if abs(out[index]) >= LIMIT:
            return None
    return out
