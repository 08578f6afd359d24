"""Plays one simulated network from a seed and writes what happened to standard output, as frames.

python play.py '{"seed": 1, "kind": "chain" or "official", "validators": 8, "slots": 40, "config": {...},
    "dev_slash_small": true, "calm": false, "states": false, "genesis": {...}}'

With `genesis` the run begins at the chain's genesis; without, at a random state. `calm`: no forks, nobody is missing, nothing is wrong.
`states`: whole states beside the roots of every slot.
"""

import json
import random
import sys

from oracle import faults
from oracle.frames import Frames
from oracle.keys import Keys, signatures
from oracle.load import configure, load
from oracle.simulation import Simulation
from oracle.start import chain_genesis, random_state


def main(given: dict):
    """One run."""
    spec, rng, keys = load(given["kind"]), random.Random(given["seed"]), Keys()
    configure_run(spec, given["config"])
    is_chain = given["kind"] == "chain"
    if is_chain:
        faults.install(spec, given["dev_slash_small"])
    if "genesis" in given:
        state, deposits = chain_genesis(spec, {**given["genesis"], "validators": given["validators"]}, keys), 0
    else:
        state, deposits = random_state(spec, rng, keys, given["validators"]), rng.randint(1, 40)
    with signatures(True):
        options = {"with_faults": is_chain, "deposits": deposits, "with_states": given["states"], "is_calm": given["calm"]}
        run = Simulation(spec, rng, keys, state, Frames(), **options)
        run.play(given["slots"])


def configure_run(spec, changes: dict):
    """Integers and 0x-strings by the configuration's own names."""
    typed = {}
    for name, value in changes.items():
        kind = type(getattr(spec.config, name))
        typed[name] = kind(bytes.fromhex(value[2:])) if isinstance(value, str) else kind(value)
    configure(spec, **typed)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
