"""Runs that were written down: finality.json, fork_choice.json, mainnet.json. Frames are those of play.py, fields in hex."""

import random

from gen.genesis import canonical, genesis_id

from ..common import H
from ..keys import Keys, signatures
from ..load import configure, load
from ..simulation import Simulation
from ..start import chain_genesis, random_state
from .base import SOURCE, specification


class Recorder:
    """Keeps frames instead of writing them."""

    def __init__(self):
        self.frames = []

    def send(self, tag: str, *fields: bytes):
        """As Frames.send."""
        self.frames.append({"tag": tag, "fields": [bytes(field) for field in fields]})

    def json(self, tag: str, value: dict):
        """The counts of a run are of no use to its record."""


def record(about: str, spec, seed: int, state, keys, slots: int, *, kind: str, calm: bool, validators: int, genesis: bool) -> dict:
    """Plays a small run and returns its document."""
    recorder = Recorder()
    options = {"with_faults": kind == "chain", "deposits": 0, "with_states": False, "is_calm": calm, "is_small": True}
    with signatures(True):
        run = Simulation(spec, random.Random(seed), keys, state, recorder, genesis_root_only=genesis, **options)
        run.play(slots)
    head = {"about": about, "source": SOURCE, "kind": kind, "seed": seed, "validators": validators}
    return {**head, "finalized": int(run.store.finalized_checkpoint.epoch), "frames": recorder.frames}


def finality() -> dict:
    """One validator, 41 slots: its votes land an epoch late, and the first epoch is final at slot 40."""
    spec, keys = specification("official"), Keys()
    given = {"seed": "22" * 32, "validators": 1, "genesis_time": 1_700_000_000, "gas_limit": 30_000_000, "base_fee_per_gas": 7}
    given |= {"execution_hash": "01" * 32, "execution_state_root": "02" * 32, "execution_receipts_root": "03" * 32}
    state = chain_genesis(spec, given, keys)
    about = "One validator from genesis until it finalizes."
    return record(about, spec, 71, state, keys, 41, kind="official", calm=True, validators=1, genesis=False)


def fork_choice() -> dict:
    """Reorgs, late blocks, two blocks in a slot, votes for other branches."""
    spec, keys, rng = specification("official"), Keys(), random.Random(72)
    state = random_state(spec, rng, keys, 12, epoch=2)
    for v in state.validators:  # everybody is there
        v.slashed, v.activation_epoch, v.exit_epoch, v.withdrawable_epoch = False, 0, 2**64 - 1, 2**64 - 1
    about = "Reorgs among twelve validators: head, checkpoints and boost after every slot."
    return record(about, spec, 73, state, keys, 28, kind="official", calm=False, validators=12, genesis=False)


def mainnet() -> dict:
    """The other preset, from the genesis of a chain of ours, over the end of an epoch. `Genesis` of the Rust side has the same inputs."""
    spec, keys = load("chain", "mainnet"), Keys()
    given = {"seed": "11" * 32, "validators": 2, "genesis_time": 1_700_000_000, "gas_limit": 30_000_000, "base_fee_per_gas": 10**9}
    given |= {"execution_hash": EXECUTION_HASH, "execution_state_root": "02" * 32, "execution_receipts_root": "04" * 32}
    root = chain_genesis(spec, given, Keys()).genesis_validators_root
    chain = {
        "genesis_time": given["genesis_time"],
        "preset": "mainnet",
        "slot_seconds": 3,
        "chain_id": 1_337_001,
        "genesis_validators_root": bytes(root),
        "execution_genesis_hash": bytes.fromhex(EXECUTION_HASH),
        "quorum": "auto",
        "difficulty_floor": 1024,
        "model.manifest_hash": bytes([8] * 32),
        "model.layers": 2,
        "model.hidden": 64,
        "model.query": 64,
        "model.key_value": 32,
        "model.intermediate": 96,
        "gate.dev_texts_hash": bytes([9] * 32),
        "gate.reference_losses": [10**12] * 32,
        "lora.rank": 8,
        "lora.alpha": 16,
        "lora.dropout_ppm": 50_000,
        "lora.targets": ["q", "k", "v", "o", "gate", "up", "down"],
        "profile": 1,
        "dev_slash_small": True,
    }
    assert len(canonical(chain)) == 450
    tail = H(b"pol-ai/fork/v1", genesis_id(chain))[:3]
    forks = ("GENESIS", "ALTAIR", "BELLATRIX", "CAPELLA", "DENEB")
    versions = {f"{name}_FORK_VERSION": spec.Version(bytes([0x10 + i]) + tail) for i, name in enumerate(forks)}
    configure(spec, SLOT_DURATION_MS=spec.Uint64(3000), **versions)
    configure(spec, SHARD_COMMITTEE_PERIOD=spec.Epoch(2), MIN_VALIDATOR_WITHDRAWABILITY_DELAY=spec.Epoch(4))
    state = chain_genesis(spec, given, keys)
    about = "The preset mainnet with 512 bytes of extra_data: two validators from genesis into the second epoch."
    return record(about, spec, 74, state, keys, 34, kind="mainnet", calm=True, validators=2, genesis=True)


# Hash of the execution header of `Genesis` of the Rust side.
EXECUTION_HASH = "ea836c0e9f17ae4e4bdb34509240b499a6cf860be7f76b22c4121e3c259df4df"


def generate() -> dict:
    """The three files."""
    return {"finality.json": finality(), "fork_choice.json": fork_choice(), "mainnet.json": mainnet()}
