"""Hashes and deposit trees."""

import hashlib


def H(*parts: bytes) -> bytes:
    """SHA-256 of the joined parts."""
    return hashlib.sha256(b"".join(parts)).digest()


def le(value: int, size: int) -> bytes:
    """`value` as `size` little-endian bytes."""
    return int(value).to_bytes(size, "little")


ZERO = [bytes(32)]
for _ in range(32):
    ZERO.append(H(ZERO[-1], ZERO[-1]))


class DepositTree:
    """The deposit contract's tree: leaves are roots of DepositData."""

    def __init__(self):
        self.data = []

    def _levels(self, count: int) -> list:
        level = [bytes(data.hash_tree_root()) for data in self.data[:count]]
        levels = [level]
        for depth in range(32):
            if len(level) % 2:
                level = level + [ZERO[depth]]
            level = [H(level[i], level[i + 1]) for i in range(0, len(level), 2)]
            levels.append(level)
        return levels

    def root(self, count: int) -> bytes:
        """Root of the first `count` deposits."""
        top = self._levels(count)[32]
        return H(top[0] if top else ZERO[32], le(count, 32))

    def proof(self, index: int, count: int) -> list:
        """Siblings of a leaf, from the bottom, and the length."""
        branch = []
        for depth, level in enumerate(self._levels(count)[:32]):
            sibling = (index >> depth) ^ 1
            branch.append(level[sibling] if sibling < len(level) else ZERO[depth])
        return [*branch, le(count, 32)]
