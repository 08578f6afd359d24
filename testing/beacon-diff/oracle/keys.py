"""BLS keys by public key, and signatures of several of them at once."""

import hashlib

from eth_consensus_specs.utils import bls

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
INFINITY = b"\xc0" + bytes(95)


class Keys:
    """Secrets by public key."""

    def __init__(self):
        self._secrets = {}

    def add(self, secret: int) -> bytes:
        """Remembers a secret; returns its public key."""
        with signatures(True):
            public = bytes(bls.SkToPk(secret))
        self._secrets[public] = secret
        return public

    def new(self, *label) -> bytes:
        """A key that follows from its label."""
        digest = hashlib.sha256(repr(("pol-ai/beacon-diff", *label)).encode()).digest()
        return self.add(int.from_bytes(digest, "big") % ORDER)

    def sign(self, publics, root: bytes) -> bytes:
        """What the signatures of all these keys over one root add up to; infinity for none."""
        publics = list(publics)
        if not publics:
            return INFINITY
        secret = sum(self._secrets[bytes(public)] for public in publics) % ORDER
        with signatures(True):
            return bytes(bls.Sign(secret, bytes(root)))


class signatures:  # noqa: N801
    """`with signatures(False):` signatures are not looked at; signing always works."""

    def __init__(self, active: bool):
        self._active = active

    def __enter__(self):
        self._before, bls.bls_active = bls.bls_active, self._active

    def __exit__(self, *_):
        bls.bls_active = self._before
