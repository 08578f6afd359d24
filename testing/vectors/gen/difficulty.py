"""Section 3: the difficulty of a child block, and the proposer's rate check."""

from .common import document, refusal

U64 = 2**64 - 1


def child(parent: int, parent_time: int, time: int, slot_seconds: int, floor: int) -> int | str:
    """The child's difficulty, or the word for why the timestamp is refused."""
    if time <= parent_time:
        return "not_after_parent"
    gap, rest = divmod(time - parent_time, slot_seconds)
    if rest:
        return "not_whole_slots"
    if gap == 1:
        wanted = parent + parent // 1024
    else:
        wanted = parent - min(gap - 1, 15) * (parent // 16)
    return max(floor, min(wanted, 4 * floor))


def case(name: str, parent: int, parent_time: int, time: int, slot_seconds: int, floor: int) -> dict:
    """One call of the rule."""
    given = {
        "parent_difficulty": parent,
        "parent_timestamp": parent_time,
        "timestamp": time,
        "slot_seconds": slot_seconds,
        "floor": floor,
    }
    answer = child(parent, parent_time, time, slot_seconds, floor)
    if isinstance(answer, str):
        return refusal(name, answer, **given)
    return {"name": name, **given, "difficulty": answer}


def child_cases() -> list:
    """Rises, falls, both clamps, every k, extreme numbers and bad gaps."""
    t0 = 1_700_000_000
    rows = [
        ("rise", 10_000, t0, t0 + 12, 12, 9_000),
        ("rise_rounds_down", 2_047, t0, t0 + 3, 3, 1_000),
        ("rise_below_1024_stands", 1_023, t0, t0 + 3, 3, 1_000),
        ("rise_stops_at_ceiling", 3_999, t0, t0 + 3, 3, 1_000),
        ("ceiling_stands", 4_000, t0, t0 + 3, 3, 1_000),
        ("parent_above_ceiling", 50_000, t0, t0 + 3, 3, 1_000),
        ("parent_above_ceiling_falls_below_it", 4_100, t0, t0 + 6, 3, 1_000),
        ("parent_below_floor", 5, t0, t0 + 3, 3, 1_000),
        ("parent_zero", 0, t0, t0 + 3, 3, 1_000),
        ("fall_stops_at_floor", 1_050, t0, t0 + 6, 3, 1_000),
        ("fall_below_16_stands", 15, t0, t0 + 300, 3, 4),
        ("fall_rounds_each_step", 2_015, t0, t0 + 9, 3, 1_000),
        ("floor_1_rise", 1, t0, t0 + 1, 1, 1),
        ("floor_1_ceiling", 4, t0, t0 + 1, 1, 1),
        ("parent_max_rise", U64, t0, t0 + 1, 1, 2**62 - 1),
        ("parent_max_fall", U64, t0, t0 + 2, 1, 2**62 - 1),
        ("parent_max_deep_fall", U64, t0, t0 + 1_000, 1, 1),
        ("rise_near_top", 2**63, t0, t0 + 1, 1, 2**62 - 1),
        ("slot_3600", 5_000, t0, t0 + 3_600, 3_600, 4_000),
        ("first_second", 5_000, 0, 12, 12, 4_000),
        ("longest_gap", 5_000, 0, U64, 1, 300),
        ("longest_gap_not_whole", 5_000, 0, U64, 2, 300),
        ("same_second", 5_000, t0, t0, 12, 4_000),
        ("earlier", 5_000, t0, t0 - 12, 12, 4_000),
        ("earliest", 5_000, U64, 0, 1, 4_000),
        ("one_second_short", 5_000, t0, t0 + 11, 12, 4_000),
        ("one_second_long", 5_000, t0, t0 + 13, 12, 4_000),
        ("second_slot_one_short", 5_000, t0, t0 + 23, 12, 4_000),
    ]
    rows += [(f"gap_{gap}", 160_007, t0, t0 + 12 * gap, 12, 40_002 if gap < 13 else 10_001) for gap in range(1, 19)]
    return [case(*row) for row in rows]


def run_cases() -> list:
    """A run of blocks: each child is the next one's parent."""
    difficulty, time, floor, slot = 4_096, 1_700_000_000, 4_096, 3
    steps = []
    for gap in [1] * 12 + [2, 1, 1, 3, 1] + [1] * 5 + [20, 1, 1]:
        time += gap * slot
        difficulty = child(difficulty, time - gap * slot, time, slot, floor)
        steps.append([time, difficulty])
    return [
        {
            "name": "run",
            "slot_seconds": slot,
            "floor": floor,
            "genesis_timestamp": 1_700_000_000,
            "genesis_difficulty": floor,
            "blocks": steps,
        }
    ]


def rate_cases() -> list:
    """`refused` exactly when 276 * floor > rate * slot seconds."""
    rows = [
        ("even", 1_000, 276_000, 1),
        ("one_hash_less", 1_000, 275_999, 1),
        ("slot_12", 500_000, 11_500_000, 12),
        ("slot_12_short", 500_000, 11_499_999, 12),
        ("no_rate", 1, 0, 12),
        ("largest", 2**62 - 1, U64, 3_600),
        ("largest_floor_small_rate", 2**62 - 1, 2**62, 276),
    ]
    return [
        {"name": n, "floor": f, "hashes_per_second": r, "slot_seconds": s, "refused": 276 * f > r * s}
        for n, f, r, s in rows
    ]


def generate() -> dict:
    """difficulty.json."""
    about = "Difficulty of a child; `runs`: [timestamp, difficulty] per block; `rates`: a proposer's start-up check."
    return {"difficulty.json": document(about, "3", child_cases(), runs=run_cases(), rates=rate_cases())}
