"""The specification's module, as it is or with this chain's numbers."""

import importlib.util
import types
from functools import lru_cache

from . import fast

# What a POL-AI chain changes in a preset: the limit of extra_data, and in `minimal` the blob limits, to those of Lighthouse 5.3.
EXTRA_DATA = {"MAX_EXTRA_DATA_BYTES": (32, 512)}
BLOBS = {"MAX_BLOB_COMMITMENTS_PER_BLOCK": (4096, 16), "KZG_COMMITMENT_INCLUSION_PROOF_DEPTH": (17, 9)}
CHAIN_LIMITS = {"minimal": {**EXTRA_DATA, **BLOBS}, "mainnet": EXTRA_DATA}


# In process_registry_updates the SSZ library's view of the list goes stale when initiate_validator_exit writes through the state: a later
# write through the old view loses the exit. That is the library, not the rule, so the walk takes each validator from the state.
REGISTRY_WALK = (
    """    for index, validator in enumerate(state.validators):
        if is_eligible_for_activation_queue(validator):
""",
    """    for index in range(len(state.validators)):
        validator = state.validators[index]
        if is_eligible_for_activation_queue(validator):
""",
)


@lru_cache(None)
def load(kind: str, preset: str = "minimal"):
    """A fresh module of Deneb: "official", or "chain" with the limits replaced in its source."""
    origin = importlib.util.find_spec(f"eth_consensus_specs.deneb.{preset}").origin
    fast.install()
    with open(origin, encoding="utf-8") as file:
        source = file.read()
    if kind == "chain":
        for name, (old, new) in CHAIN_LIMITS[preset].items():
            before = f"\n{name} = Uint64({old})\n"
            assert source.count(before) == 1, f"{name} is not {old} in this release of the specification"
            source = source.replace(before, f"\n{name} = Uint64({new})\n")
    before, after = REGISTRY_WALK
    assert source.count(before) == 1, "process_registry_updates reads otherwise in this release of the specification"
    source = source.replace(before, after)
    module = types.ModuleType(f"deneb_{preset}_{kind}")
    module.__file__ = origin
    exec(compile(source, origin, "exec"), module.__dict__)  # noqa: S102
    # The trusted setup of KZG is not at hand, and not needed: nothing to prove is proven, and this chain carries no blobs.
    module.is_data_available = lambda _root, commitments: len(commitments) == 0
    dependent_root = module.get_shuffling_dependent_root

    def get_shuffling_dependent_root(store, root, epoch):
        """A store that does not begin at genesis has no block to answer with; what is older than it is common to all in it."""
        try:
            return dependent_root(store, root, epoch)
        except KeyError:
            return module.Root()

    module.get_shuffling_dependent_root = get_shuffling_dependent_root
    return module


def configure(spec, **changes):
    """Replaces values of the configuration."""
    spec.config = spec.config._replace(**changes)
