"""States that the vectors begin at, and how cases are written down."""

import random

from .. import faults
from ..common import H
from ..keys import Keys, signatures
from ..load import configure, load
from ..start import FAR, random_state

GWEI = 10**9
SOURCE = "eth-consensus-specs 1.7.0a13, Deneb, minimal"
# The chain whose fork versions cases of kind "chain" carry: CHAIN_NAME of the Rust side.
CHAIN_NAME = bytes([0x5A] * 32)


def specification(kind: str):
    """The specification with short waiting times, as `Run::random` of the Rust side configures it."""
    spec = load(kind)
    configure(spec, SHARD_COMMITTEE_PERIOD=spec.Epoch(2), MIN_VALIDATOR_WITHDRAWABILITY_DELAY=spec.Epoch(4))
    if kind == "chain" and not hasattr(spec, "pol_ai"):
        tail = H(b"pol-ai/fork/v1", CHAIN_NAME)[:3]
        forks = ("GENESIS", "ALTAIR", "BELLATRIX", "CAPELLA", "DENEB")
        versions = {f"{name}_FORK_VERSION": spec.Version(bytes([0x10 + i]) + tail) for i, name in enumerate(forks)}
        configure(spec, SLOT_DURATION_MS=spec.Uint64(3000), **versions)
        faults.install(spec, dev_slash_small=False)
        spec.pol_ai = True
    return spec


class Base:
    """One state, its keys, and its committee of old hands."""

    # Registry indices with a story.
    SLASHED, WITHDRAWABLE, PENDING, EXITING, BLS, ACCOUNT, YOUNG, LEFT = range(1, 9)

    def __init__(self, kind: str, seed: int, count: int, slots: int):
        self.spec, self.rng, self.keys = specification(kind), random.Random(seed), Keys()
        spec = self.spec
        state = random_state(spec, self.rng, self.keys, count, epoch=9)
        # By index: the SSZ library's iterators read from before what is written meanwhile.
        for index in range(len(state.validators)):
            v = state.validators[index]
            if index <= self.LEFT or index >= 12:
                v.slashed, v.effective_balance = False, 32 * GWEI
                v.activation_eligibility_epoch = v.activation_epoch = 0
                v.exit_epoch = v.withdrawable_epoch = FAR
                state.validators[index] = v
        self._set(state, self.SLASHED, slashed=True, exit_epoch=14, withdrawable_epoch=60)
        self._set(state, self.WITHDRAWABLE, exit_epoch=5, withdrawable_epoch=8)
        self._set(state, self.PENDING, activation_epoch=12)
        self._set(state, self.EXITING, exit_epoch=13, withdrawable_epoch=17)
        self._set(state, self.YOUNG, activation_epoch=8)
        self._set(state, self.LEFT, exit_epoch=8, withdrawable_epoch=20)
        hashed = spec.hash(state.validators[self.BLS].pubkey)
        self._set(state, self.BLS, withdrawal_credentials=b"\x00" + hashed[1:])
        self._set(state, self.ACCOUNT, withdrawal_credentials=b"\x01" + bytes(11) + hashed[:20])
        if slots:
            spec.process_slots(state, state.slot + slots)
        self.state = state

    @staticmethod
    def _set(state, index, **changes):
        for name, value in changes.items():
            setattr(state.validators[index], name, value)


def splices(before: bytes, after: bytes) -> list:
    """How to get from one SSZ string to another of the same length: [offset, bytes]."""
    assert len(before) == len(after), "a change of length needs a state of its own"
    out, at = [], 0
    while at < len(after):
        if before[at] == after[at]:
            at += 1
            continue
        end = at
        while end < len(after) and before[end : end + 8] != after[end : end + 8]:
            end += 1
        out.append({"offset": at, "bytes": after[at:end]})
        at = end
    return out


def judged(state, process) -> dict:
    """{"root": ...} of a copy of the state after `process`, or {"error": true}."""
    after = state.copy()
    try:
        with signatures(True):
            process(after)
    except Exception:  # noqa: BLE001 (the specification raises whatever comes)
        return {"error": True}
    return {"root": bytes(after.hash_tree_root())}
