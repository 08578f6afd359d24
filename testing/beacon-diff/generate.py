"""Write every vector file, or compare with the committed ones.

python generate.py            write data/*.json
python generate.py --check    write nothing; exit 1 naming the first file that differs
python generate.py epochs     only this program
"""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "vectors"))

from gen.common import to_json  # noqa: E402

PROGRAMS = ["epochs", "operations", "recorded"]
DATA = HERE / "data"


def main(arguments: list[str]) -> int:
    """Run the chosen programs (all by default)."""
    check = "--check" in arguments
    chosen = [name for name in arguments if name != "--check"] or PROGRAMS
    written = set()
    for program in chosen:
        for name, content in importlib.import_module(f"oracle.vectors.{program}").generate().items():
            written.add(name)
            fresh, path = to_json(content), DATA / name
            if not check:
                path.write_bytes(fresh)
            elif not path.exists() or path.read_bytes() != fresh:
                print(f"{name}: differs")
                return 1
    if chosen == PROGRAMS and (stray := {path.name for path in DATA.iterdir()} - written):
        print(f"{min(stray)}: written by no program")
        return 1
    print(f"{len(written)} files " + ("agree" if check else "written"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
