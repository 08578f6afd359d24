"""Section 8: the swap-or-not shuffle, committees and quorums."""

from eth_consensus_specs.deneb import mainnet, minimal

from .common import H, bit, document, le, rand

ROUNDS = {"minimal": 10, "mainnet": 90}


def shuffled_index(index: int, count: int, seed: bytes, rounds: int) -> int:
    """compute_shuffled_index of the consensus specification, with the number of rounds given."""
    assert index < count
    for r in range(rounds):
        pivot = int.from_bytes(H(seed, le(r, 1))[:8], "little") % count
        flip = (pivot + count - index) % count
        position = max(index, flip)
        source = H(seed, le(r, 1), le(position // 256, 4))
        if bit(source, position % 256):
            index = flip
    return index


def committee(active: list[int], seed: bytes, rounds: int) -> list[int]:
    """Seat order: the validator index of every seat."""
    n = len(active)
    if n <= 512:
        return list(active)
    return sorted(active[shuffled_index(i, n, seed, rounds)] for i in range(512))


def ack_quorum(n: int, fixed: int = 0) -> int:
    """`fixed` 0 is "auto"."""
    wanted = fixed or max(1, (n + 1) // 2)
    return max(1, min(wanted, max(1, n)))


def fault_quorum(m: int) -> int:
    """More than two thirds of m."""
    return 2 * m // 3 + 1


def shuffle_cases() -> list:
    """Whole permutations for small counts, single indices for a large one."""
    cases = []
    for preset, rounds in ROUNDS.items():
        for count in (1, 2, 3, 16, 100, 513):
            seed = rand(f"shuffle/{count}")
            indices = list(range(count)) if count <= 100 else [0, 1, 2, 255, 256, 257, 511, 512]
            cases.append(_shuffle(f"{preset}_{count}", rounds, count, seed, indices))
        for count in (2_000, 100_000):
            seed = rand(f"shuffle/{count}")
            indices = [0, 1, 255, 256, 512, 1_234, count - 2, count - 1]
            cases.append(_shuffle(f"{preset}_{count}", rounds, count, seed, indices))
    return cases


def _shuffle(name: str, rounds: int, count: int, seed: bytes, indices: list[int]) -> dict:
    """One seed and count; checked against the official generated specification."""
    spec = minimal if rounds == 10 else mainnet
    out = [shuffled_index(i, count, seed, rounds) for i in indices]
    checked = list(zip(indices, out))[:16] if count <= 2_000 else []  # the official form shuffles whole lists
    for i, o in checked:
        assert int(spec.compute_shuffled_index(spec.Uint64(i), spec.Uint64(count), spec.Bytes32(seed))) == o
    return {"name": name, "rounds": rounds, "count": count, "seed": seed, "indices": indices, "shuffled": out}


def committee_cases() -> list:
    """Active validators are first, first + step, ...; seats hold validator indices."""
    cases = []
    for preset, rounds in ROUNDS.items():
        for count, first, step in (
            (1, 0, 1),
            (2, 5, 9),
            (16, 0, 1),
            (512, 3, 2),
            (513, 0, 1),
            (600, 10, 3),
            (2_000, 0, 7),
        ):
            seed = rand(f"committee/{count}")
            active = [first + step * i for i in range(count)]
            seats = committee(active, seed, rounds)
            assert len(seats) == min(count, 512) and len(set(seats)) == len(seats)
            cases.append(
                {
                    "name": f"{preset}_{count}",
                    "rounds": rounds,
                    "active": {"first": first, "step": step, "count": count},
                    "seed": seed,
                    "seats": seats,
                }
            )
    return cases


def quorum_tables() -> dict:
    """Row n of each list is the answer for n = 0, 1, ..., 513."""
    sizes = range(514)
    return {
        "ack_auto": [ack_quorum(n) for n in sizes],
        "ack_fixed": {str(fixed): [ack_quorum(n, fixed) for n in sizes] for fixed in (1, 2, 3, 100, 511, 512)},
        "fault": [fault_quorum(m) for m in sizes],
    }


def generate() -> dict:
    """committee.json."""
    about = "Committees by epoch seed; `shuffles`: single shuffled indices; `quorums`: tables for n = 0..=513."
    return {
        "committee.json": document(about, "8", committee_cases(), shuffles=shuffle_cases(), quorums=quorum_tables())
    }
