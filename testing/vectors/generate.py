"""Write every golden vector file, or compare with the committed ones.

python generate.py            write data/*.json
python generate.py --check    write nothing; exit 1 naming the first file that differs
python generate.py seal gate  only these programs
"""

import importlib
import sys
from pathlib import Path

from gen.common import to_json

PROGRAMS = [
    "extra_data",
    "difficulty",
    "seal",
    "deposit",
    "execution",
    "committee",
    "genesis",
    "identity",
    "pld1_profiles",
    "pld1_signature",
    "pld1_merge_void",
    "state",
    "aggregate",
    "signing",
    "ack",
    "envelope",
    "certificate",
    "fault",
    "gate",
]
DATA = Path(__file__).resolve().parent / "data"


def first_difference(path: Path, fresh: bytes) -> str | None:
    """What differs between the committed file and the fresh bytes; None if nothing does."""
    if not path.exists():
        return f"{path.name}: not committed"
    old = path.read_bytes()
    if old == fresh:
        return None
    pairs = zip(old.splitlines(), fresh.splitlines())
    line = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), None)
    return f"{path.name}: differs" + (f" first in line {line}" if line else " in length")


def main(arguments: list[str]) -> int:
    """Run the chosen programs (all by default)."""
    check = "--check" in arguments
    chosen = [name for name in arguments if name != "--check"] or PROGRAMS
    written = set()
    for program in chosen:
        for name, content in importlib.import_module(f"gen.{program}").generate().items():
            fresh = to_json(content)
            path = DATA / name
            written.add(name)
            if not check:
                path.write_bytes(fresh)
            elif difference := first_difference(path, fresh):
                print(difference)
                return 1
    if chosen == PROGRAMS and (stray := {p.name for p in DATA.glob("*.json")} - written):
        print(f"{min(stray)}: written by no program")
        return 1
    print(f"{len(written)} files " + ("agree" if check else "written"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
