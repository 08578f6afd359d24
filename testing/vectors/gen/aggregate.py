"""Section 15: overlap, near-copies, weights, distances, Krum and the choice of what to propose."""

from math import isqrt

from .common import H, document, rand, refusal
from .pld1 import decode, delta_container, record_1
from .pld1_common import GENESIS, SHAPES, context_json, header

SHAPE = SHAPES["ten_chunks"]
MOST_KEPT = 64


class Delta:
    """A kind 0 of profile 1 with a record of 20 values in each chunk named: the values repeated, the same in each."""

    def __init__(self, label: str, positions: dict[int, list[int]], values: list[int], tokens: int):
        records = {chunk: record_1(list(zip(places, (values * 20)[:20]))) for chunk, places in positions.items()}
        fields = header(0, 1, tokens=tokens, seed=rand(f"aggregate/{label}"))
        self.label = label
        self.container = delta_container(fields, SHAPE, records)
        self.id = H(self.container)
        self.tokens = tokens
        self.values = dict(decode(self.container, SHAPE, 1, GENESIS)["values"])


def overlap(a: Delta, b: Delta) -> int:
    """Coordinates carried by both."""
    return len(a.values.keys() & b.values.keys())


def near_copy(a: Delta, b: Delta) -> bool:
    """overlap * 10 >= 4 * min(|a|, |b|), and max(|a|, |b|) <= 4 * min(|a|, |b|)."""
    least, largest = sorted((len(a.values), len(b.values)))
    return overlap(a, b) * 10 >= 4 * least and largest <= 4 * least


def weights(deltas: list[Delta]) -> list[int]:
    """Merge weights of a set; the smallest t is that of the set itself."""
    tokens = [max(1, d.tokens) for d in deltas]
    least = min(tokens)
    return [min(t, 4 * least) * 1024 // least for t in tokens]


def lower_median(numbers: list[int]) -> int:
    """The middle one, of two the smaller."""
    return sorted(numbers)[(len(numbers) - 1) // 2]


def distances(deltas: list[Delta]) -> tuple[list[int], list[list[int]]]:
    """Norms, and squared distances after every delta is brought to the lower median norm."""
    norms = [isqrt(sum(v * v for v in d.values.values())) for d in deltas]
    middle = lower_median(norms)
    scaled = []
    for d, norm in zip(deltas, norms):
        scaled.append({i: (1 if v > 0 else -1) * (abs(v) * middle // norm) for i, v in d.values.items()})
    table = []
    for a in scaled:
        table.append([sum((a.get(i, 0) - b.get(i, 0)) ** 2 for i in a.keys() | b.keys()) for b in scaled])
    return norms, table


def krum(deltas: list[Delta], f: int) -> tuple[list[int], list[int]] | None:
    """Scores, and the positions of the selected ones (best first); None when n < 2f + 3."""
    n = len(deltas)
    if n < 2 * f + 3:
        return None
    _, table = distances(deltas)
    scores = [sum(sorted(row[:i] + row[i + 1 :])[: n - f - 2]) for i, row in enumerate(table)]
    order = sorted(range(n), key=lambda i: (scores[i], deltas[i].id))
    return scores, order[: min(8, n - f - 2)]


class Input:
    """A delta with its gain (nano-nats) and first-seen number."""

    def __init__(self, delta: Delta, gain: int, first_seen: int):
        self.delta, self.gain, self.first_seen = delta, gain, first_seen


def without_copies(inputs: list[Input]) -> list[Input]:
    """The inputs that are kept, in the order they were seen."""
    kept: list[Input] = []
    for candidate in sorted(inputs, key=lambda i: (i.first_seen, i.delta.id, i.gain)):
        if any(near_copy(candidate.delta, other.delta) for other in kept):  # a repeated id is one, too
            continue
        kept.append(candidate)
        if len(kept) == MOST_KEPT:
            break
    return kept


def choose(inputs: list[Input], merged_gain) -> dict:
    """What is proposed. `merged_gain(ids)` is the gate's measurement, None when not finite."""
    kept = without_copies(inputs)
    out = {"kept": sorted(i.delta.id for i in kept)}
    best_first = sorted(kept, key=lambda i: (-i.gain, i.delta.id))
    n = len(kept)

    def measured(chosen: list[Input], than: int) -> int | None:
        """The merge's gain if it is greater than `than`."""
        gain = merged_gain(frozenset(i.delta.id for i in chosen))
        return gain if gain is not None and gain > than else None

    if n == 0:
        return {**out, "nothing": True}
    best, chosen = best_first[0], [best_first[0]]
    if n == 2 and measured(best_first, best.gain) is not None:
        chosen = best_first
    elif n in (3, 4):
        gain = best.gain
        for candidate in best_first[1:]:
            if (joined := measured(chosen + [candidate], gain)) is not None:
                chosen, gain = chosen + [candidate], joined
    elif n >= 5:
        selected = [kept[i] for i in krum([i.delta for i in kept], (n - 3) // 2)[1]]
        out["selected"] = [i.delta.id for i in selected]
        best = min(selected, key=lambda i: (-i.gain, i.delta.id))
        chosen = selected if measured(selected, best.gain) is not None else [best]
    if len(chosen) == 1:
        return {**out, "single": chosen[0].delta.id}
    chosen = sorted(chosen, key=lambda i: i.delta.id)
    pairs = zip(chosen, weights([i.delta for i in chosen]))
    return {**out, "merge": [[i.delta.id, weight] for i, weight in pairs]}


def pool() -> dict[str, Delta]:
    """Deltas by label. d*: own coordinates; copy*: overlaps of d0; wide*: of several chunks; others for Krum."""
    out = {}

    def put(label, chunk, positions, values, tokens):
        out[label] = Delta(label, {chunk: positions}, values, tokens)

    for i in range(64):
        bits = [0x1400 + (37 * i + 11 * j) % 600 + 0x8000 * ((i + j) % 2) for j in range(20)]
        put(f"d{i}", i % 3, [i // 3 * 20 + j for j in range(20)], bits, 1_000 * (i % 7))
    for shared in (7, 8, 20):
        put(f"copy{shared}", 0, list(range(20 - shared, 40 - shared)), [0x1500, 0x9500], 5_000)
    put("copy_of_copy8", 0, list(range(22, 42)), [0x1500], 5_000)  # shares 10 with copy8, none with d0
    base = [0x1800 + 13 * j for j in range(20)]
    for i in range(9):  # agree but for small steps in values and places
        put(
            f"near{i}",
            3,
            [70 * j + (i if j < 13 else 0) for j in range(20)],
            [b + 3 * i for b in base],
            2_000 + 997 * i,
        )
    put("far", 3, [70 * j + 30 for j in range(20)], [0xD3FF], 2_000)
    put("tiny", 3, [70 * j + 31 for j in range(20)], [0x0001], 2_000)
    put("opposite", 3, [70 * j + 32 for j in range(20)], [b | 0x8000 for b in base], 2_000)
    wide = [  # label, values shared with d0, other chunks that lie as in wide80, chunks of their own
        ("wide80", 20, (4, 5, 6), ()),
        ("wide80_shares_8", 8, (), (4, 5, 6)),
        ("wide80_shares_7", 7, (), (4, 5, 6)),
        ("wide100", 20, (4, 5, 6), (7,)),
        ("wide100_shares_40", 20, (4,), (5, 6, 8)),
        ("wide100_shares_39", 19, (4,), (5, 6, 8)),
    ]
    for i, (label, shared, common, own) in enumerate(wide):
        places = {0: list(range(20 - shared, 40 - shared))}
        places |= {chunk: list(range(20)) for chunk in common}
        places |= {chunk: list(range(100 * (i + 1), 100 * (i + 1) + 20)) for chunk in own}
        out[label] = Delta(label, places, [0x1600, 0x9600], 5_000)
    return out


def pair_cases(deltas: dict[str, Delta]) -> list:
    """Overlaps of pairs, both ways round."""
    pairs = [
        ("d0", "d0"),
        ("d0", "d1"),
        ("d0", "copy7"),
        ("copy7", "d0"),
        ("d0", "copy8"),
        ("d0", "copy20"),
        ("copy8", "copy_of_copy8"),
    ]
    pairs += [("d0", "copy_of_copy8"), ("near0", "near1"), ("near0", "far")]
    pairs += [("d0", f"wide80{shares}") for shares in ("", "_shares_8", "_shares_7")]
    pairs += [("d0", "wide100"), ("wide100", "d0"), ("wide80", "wide100")]
    pairs += [("wide100", "wide100_shares_40"), ("wide100", "wide100_shares_39")]
    rows = [(a, b, deltas[a], deltas[b]) for a, b in pairs]
    return [
        {"name": f"{a}_{b}", "a": x.id, "b": y.id, "overlap": overlap(x, y), "near_copy": near_copy(x, y)}
        for a, b, x, y in rows
    ]


def weight_cases() -> list:
    """Weights by tokens alone."""
    lists = [
        [1, 1],
        [0, 1],
        [0, 5],
        [1_000, 1_500],
        [1_000, 4_000],
        [1_000, 4_001],
        [3, 4, 7],
        [7, 29, 2**32 - 1],
        [2**32 - 1] * 2,
    ]
    lists.append([2**32 - 1, 2**30, 3 * 2**30 + 1, 2**31, 2**30 + 1, 2**30 + 2**20, 2**32 - 2, 2**31 + 1])
    cases = []
    for tokens in lists:
        least = min(max(1, t) for t in tokens)
        out = [min(max(1, t), 4 * least) * 1024 // least for t in tokens]
        cases.append({"name": "_".join(map(str, tokens)), "tokens": tokens, "weights": out})
    return cases


def krum_cases(deltas: dict[str, Delta]) -> list:
    """Norms, distances, scores and selections with a given f."""
    near = [f"near{i}" for i in range(9)]
    rows = [
        ("three_f0", near[:3], 0),
        ("five_f1", near[:4] + ["far"], 1),
        ("five_f0", near[:4] + ["far"], 0),
        ("six_f1", near[:4] + ["far", "tiny"], 1),
        ("seven_f2", near[:4] + ["far", "tiny", "opposite"], 2),
        ("nine_f3", near[:7] + ["far", "opposite"], 3),
        ("twelve_f0", near + ["far", "tiny", "opposite"], 0),
        ("disjoint", [f"d{i}" for i in range(7)], 2),
        ("two_f0", near[:2], 0),
        ("four_f1", near[:4], 1),
        ("six_f2", near[:6], 2),
    ]
    cases = []
    for name, labels, f in rows:
        chosen = [deltas[label] for label in labels]
        given = {"inputs": [d.id for d in chosen], "f": f}
        result = krum(chosen, f)
        if result is None:
            cases.append(refusal(name, "too_few_inputs", **given))
            continue
        norms, table = distances(chosen)
        picked = [chosen[i].id for i in result[1]]
        cases.append(
            {"name": name, **given, "norms": norms, "squared_distances": table, "scores": result[0], "selected": picked}
        )
    return cases


def choice_cases(deltas: dict[str, Delta]) -> list:
    """Scripted scenes: (label, gain, first seen) and gains of merges by labels."""
    d = [f"d{i}" for i in range(64)]
    near = [f"near{i}" for i in range(9)]
    scenes = [
        ("none", [], {}),
        ("one", [(d[0], 5, 0)], {}),
        ("one_without_gain", [(d[0], -5, 0)], {}),
        ("two_better", [(d[0], 5, 0), (d[1], 9, 1)], {"d0 d1": 9}),
        ("two_tied", [(d[0], 9, 0), (d[1], 9, 1)], {"d0 d1": 9}),
        ("two_merge", [(d[0], 5, 0), (d[1], 9, 1)], {"d0 d1": 10}),
        ("two_merge_not_finite", [(d[0], 5, 0), (d[1], 9, 1)], {"d0 d1": None}),
        ("two_merge_above_one_only", [(d[0], 5, 0), (d[1], 9, 1)], {"d0 d1": 7}),
        ("two_losses_merge", [(d[0], -5, 0), (d[1], -9, 1)], {"d0 d1": -4}),
        ("three_none_joins", [(d[0], 5, 0), (d[1], 9, 1), (d[2], 7, 2)], {"d1 d2": 9, "d0 d1": 9}),
        ("three_all_join", [(d[0], 5, 0), (d[1], 9, 1), (d[2], 7, 2)], {"d1 d2": 10, "d0 d1 d2": 11}),
        ("three_second_fails_third_joins", [(d[0], 5, 0), (d[1], 9, 1), (d[2], 7, 2)], {"d1 d2": 9, "d0 d1": 10}),
        ("three_third_not_better_than_set", [(d[0], 5, 0), (d[1], 9, 1), (d[2], 7, 2)], {"d1 d2": 12, "d0 d1 d2": 12}),
        ("three_not_finite", [(d[0], 5, 0), (d[1], 9, 1), (d[2], 7, 2)], {"d1 d2": None, "d0 d1": 30}),
        ("three_tied_start", [(d[0], 9, 0), (d[1], 9, 1), (d[2], 9, 2)], "all worse"),
        ("four_all_join", [(d[i], 40 - i, i) for i in range(4)], "all better"),
        ("four_two_join", [(d[i], 40 - i, i) for i in range(4)], {"d0 d1": 40, "d0 d2": 41, "d0 d2 d3": 42}),
        ("five_merge", [(n, 10 + i, i) for i, n in enumerate(near[:4])] + [("far", 99, 9)], "all better"),
        ("five_single", [(n, 10 + i, i) for i, n in enumerate(near[:4])] + [("far", 99, 9)], "all worse"),
        ("five_not_finite", [(n, 10, i) for i, n in enumerate(near[:4])] + [("far", 99, 9)], "not finite"),
        ("six_disjoint", [(d[i], 50 + i, i) for i in range(6)], "all better"),
        ("seven_single", [(n, 10, i) for i, n in enumerate(d[:4] + ["near0", "tiny", "opposite"])], "all worse"),
        ("eight", [(d[i], 50 - i, 7 - i) for i in range(8)], "all better"),
        ("nine", [(d[i], 50 + i % 3, i) for i in range(9)], "all better"),
        ("sixty_four", [(d[i], i, i) for i in range(64)], "all better"),
        ("sixty_four_and_a_repeat", [(d[i], i, i) for i in range(64)] + [(d[0], 0, 0)], "all better"),
        ("sixty_five", [(d[i], i, i) for i in range(64)] + [("far", 1, 99)], "all better"),
        ("sixty_five_best_last", [(d[i], i, i) for i in range(64)] + [("far", 999, 99)], "all worse"),
        ("sixty_five_last_by_id", [(n, 1, 0) for n in [*d, "far"]], "all worse"),
        ("sixty_five_other_seen_first", [(d[i], i, i + 1) for i in range(64)] + [("far", 1, 0)], "all better"),
        (
            "copies_before_the_64th",
            [(d[0], 0, 0), ("copy8", 9, 1), ("copy20", 9, 2)] + [(d[i], i, i + 2) for i in range(1, 64)],
            "all better",
        ),
        (
            "copies_before_the_64th_of_65",
            [(d[0], 0, 0), ("copy8", 9, 1), ("copy20", 9, 2)]
            + [(d[i], i, i + 2) for i in range(1, 64)]
            + [("far", 999, 99)],
            "all worse",
        ),
        ("repeated_id", [(d[0], 5, 0), (d[0], 5, 0), (d[1], 4, 1)], {"d0 d1": 5}),
        ("repeated_id_first_gain_counts", [(d[0], 3, 0), (d[0], 9, 1), (d[1], 4, 2)], {"d0 d1": 4}),
        ("repeated_id_same_moment_smaller_gain", [(d[0], 9, 0), (d[0], 3, 0), (d[1], 4, 1)], {"d0 d1": 4}),
        ("repeated_id_first_place_counts", [("copy8", 9, 1), (d[0], 5, 2), (d[0], 5, 0)], {}),
        ("wide_copy_dropped", [(d[0], 5, 0), ("wide80", 50, 1)], {}),
        ("wide_first_drops_narrow", [(d[0], 5, 1), ("wide80", 50, 0)], {}),
        ("too_wide_for_a_copy", [(d[0], 5, 0), ("wide100", 50, 1)], {"d0 wide100": 51}),
        ("wide_copy_of_two", [(d[0], 5, 0), ("wide100", 50, 1), ("wide80", 60, 2)], {"d0 wide100": 50}),
        ("copy_dropped", [(d[0], 5, 0), ("copy8", 50, 1)], {"copy8 d0": 99}),
        ("copy_first_seen_wins", [(d[0], 5, 1), ("copy8", 50, 0)], {"copy8 d0": 99}),
        ("copy_same_moment", [(d[0], 5, 3), ("copy8", 50, 3)], {"copy8 d0": 99}),
        ("not_quite_a_copy", [(d[0], 5, 0), ("copy7", 4, 1)], {"copy7 d0": 6}),
        (
            "copy_of_a_dropped_one_stays",
            [(d[0], 5, 0), ("copy8", 50, 1), ("copy_of_copy8", 4, 2)],
            {"copy_of_copy8 d0": 6},
        ),
        (
            "copies_make_five_two",
            [(d[0], 5, 0), ("copy8", 9, 1), ("copy20", 9, 2), (d[1], 4, 3), (d[1], 4, 3)],
            {"d0 d1": 6},
        ),
    ]
    return [_choice(name, rows, table, deltas) for name, rows, table in scenes]


def _choice(name: str, rows: list, table, deltas: dict[str, Delta]) -> dict:
    """Run a scene, once more with the inputs reversed, and keep the gains that were asked for."""
    asked: dict[frozenset, int | None] = {}
    labels = {delta.id: label for label, delta in deltas.items()}

    def merged_gain(ids: frozenset) -> int | None:
        key = " ".join(sorted(labels[i] for i in ids))
        scripted = {"all better": 1_000 + len(ids), "all worse": -1_000, "not finite": None}
        gain = scripted[table] if isinstance(table, str) else table[key]
        asked[ids] = gain
        return gain

    inputs = [Input(deltas[label], gain, seen) for label, gain, seen in rows]
    answer = choose(inputs, merged_gain)
    assert answer == choose(inputs[::-1], merged_gain)
    gains = [
        {"ids": sorted(ids), "gain": gain} for ids, gain in sorted(asked.items(), key=lambda item: sorted(item[0]))
    ]
    given = {"inputs": [[i.delta.id, i.gain, i.first_seen] for i in inputs], "merged_gains": gains}
    return {"name": name, **given, "expect": answer}


def generate() -> dict:
    """aggregate.json."""
    deltas = pool()
    known = [
        {
            "label": d.label,
            "id": d.id,
            "tokens": d.tokens,
            "container": d.container,
            "values": [[i, v] for i, v in d.values.items()],
        }
        for d in deltas.values()
    ]
    extra = {"overlaps": pair_cases(deltas), "weights": weight_cases(), "krum": krum_cases(deltas)}
    about = "What is proposed from which candidates; `deltas`: the pool all parts refer to by id."
    shared = {"profile": 1, "context": context_json(), "deltas": known}
    return {"aggregate.json": document(about, "15", choice_cases(deltas), **shared, **extra)}
