"""Section 12: the loss gate's verdicts, the self-test, prefixes of the texts, norm and module caps."""

from fractions import Fraction
from math import isqrt

from .adapter import MODULES, Shape
from .aggregate import lower_median
from .common import H, document, le, rand, u32

NATS = 10**9
FULL, ACK_ONLY, NO_VOTE = "full", "ack_only", "no_vote"


def verdict(before: int | None, after: int | None, voter: str, full_set: bool) -> str:
    """ack, clear_fail or abstain; None is a loss that is not finite."""
    if voter == NO_VOTE or before is None:
        return "abstain"
    may_fail = voter == FULL and full_set
    if after is None:
        return "clear_fail" if may_fail else "abstain"
    if before < NATS // 20 or after * 1000 < before * 999:
        return "ack"
    return "clear_fail" if may_fail and after * 10_000 >= before * 10_005 else "abstain"


def verdict_cases() -> list:
    """Every pair of losses with every kind of voter: [voter, full set, verdict]."""
    before = 2 * NATS
    pairs = [
        ("much_better", before, NATS),
        ("just_better", before, before * 999 // 1000 - 1),
        ("ratio_exact", before, before * 999 // 1000),
        ("same", before, before),
        ("little_worse", before, before + 1),
        ("just_below_clear_fail", before, before * 10_005 // 10_000 - 1),
        ("clear_fail_exact", before, before * 10_005 // 10_000),
        ("much_worse", before, 20 * NATS),
        ("odd_ratio_in", 1_000_000_001, 999_000_000),
        ("odd_ratio_out", 1_000_000_001, 999_000_001),
        ("odd_fail_out", 1_000_000_001, 1_000_500_000),
        ("odd_fail_in", 1_000_000_001, 1_000_500_002),
        ("before_not_finite", None, NATS),
        ("after_not_finite", before, None),
        ("neither_finite", None, None),
        ("below_005_worse", 49_999_999, 10 * NATS),
        ("at_005_worse", 50_000_000, 10 * NATS),
        ("at_005_same", 50_000_000, 50_000_000),
        ("below_005_not_finite", 49_999_999, None),
        ("zero_before", 0, 0),
        ("zero_after", before, 0),
        ("largest", 1000 * NATS, 1000 * NATS),
        ("largest_after", 50_000_000, 1000 * NATS),
    ]
    cases = []
    for name, b, a in pairs:
        rows = [
            [voter, full_set, verdict(b, a, voter, full_set)]
            for voter in (FULL, ACK_ONLY, NO_VOTE)
            for full_set in (True, False)
        ]
        cases.append({"name": name, "before": b, "after": a, "verdicts": rows})
    return cases


def loss_cases() -> list:
    """A measured f64 (its bits, BE hex) to nano-nats; null is "not finite". Bits far from any rounding tie."""
    rows = [
        "0000000000000000",
        "8000000000000000",
        "3ff0000000000000",
        "4000000000000000",
        "400921fb54442d18",
        "3fb999999999999a",
    ]
    rows += [
        "408f400000000000",
        "408f400000000001",
        "408f3fffffffffff",
        "7ff0000000000000",
        "fff0000000000000",
        "7ff8000000000000",
    ]
    rows += [
        "bff0000000000000",
        "be112e0be826d695",
        "8000000000000001",
        "0000000000000001",
        "3e112e0be826d695",
        "7fefffffffffffff",
    ]
    cases = []
    for digits in rows:
        bits = int(digits, 16)
        sign, exponent, fraction = bits >> 63, bits >> 52 & 2047, bits & (2**52 - 1)
        value = None
        if exponent != 2047:
            exact = Fraction(fraction if exponent == 0 else fraction | 2**52) * Fraction(2) ** (max(exponent, 1) - 1075)
            exact = -exact if sign else exact
            if 0 <= exact <= 1000:
                value = int(exact * NATS + Fraction(1, 2))
        assert value is None or abs(exact * NATS - value) < Fraction(499, 1000), digits
        cases.append({"name": digits, "f64": bytes.fromhex(digits), "nano_nats": value})
    return cases


def self_test(measured: list, reference: list[int]) -> str:
    """full, ack_only or no_vote; means are compared exactly, as sums of 32."""
    if any(loss is None for loss in measured):
        return NO_VOTE
    off, total = abs(sum(measured) - sum(reference)), sum(reference)
    if off * 10_000 <= total * 5:
        return FULL
    return ACK_ONLY if off * 1_000 <= total * 5 else NO_VOTE


def self_test_cases() -> list:
    """Means at and beside both borders."""
    reference = [2 * NATS + 1_000 * i - 15_500 for i in range(32)]
    total = sum(reference)
    assert total == 64 * NATS
    rows = [
        ("same", 0),
        ("full_above", total * 5 // 10_000),
        ("full_below", -total * 5 // 10_000),
        ("just_out_above", total * 5 // 10_000 + 1),
    ]
    rows += [
        ("just_out_below", -(total * 5 // 10_000) - 1),
        ("ack_above", total * 5 // 1_000),
        ("ack_below", -total * 5 // 1_000),
    ]
    rows += [("none_above", total * 5 // 1_000 + 1), ("none_below", -(total * 5 // 1_000) - 1), ("far", total)]
    cases = []
    for name, off in rows:
        each, rest = divmod(off, 32)
        measured = [loss + each + (i < rest) for i, loss in enumerate(reference)]
        assert sum(measured) == total + off
        cases.append({"name": name, "measured": measured, "voter": self_test(measured, reference)})
    swapped = [loss + (NATS if i % 2 else -NATS) for i, loss in enumerate(reference)]
    cases.append({"name": "only_the_mean_counts", "measured": swapped, "voter": self_test(swapped, reference)})
    cases.append({"name": "one_not_finite", "measured": [None] + reference[1:], "voter": NO_VOTE})
    return [{**case, "reference": reference} for case in cases]


def prefix_cases() -> list:
    """Order of 512 texts, and how many of them reach 2,000 tokens."""
    cases = []
    for i in range(2):
        update, key = rand(f"prefix/update/{i}"), rand(f"prefix/key/{i}", 48)
        order = sorted(range(512), key=lambda t: H(update, key, le(t, 4)))
        tokens = [20 + u32(rand(f"prefix/tokens/{t}")) % 60 for t in range(512)] if i == 0 else [40] * 512
        count = total = 0
        while total < 2_000:
            total, count = total + tokens[order[count]], count + 1
        cases.append(
            {
                "name": f"order_{i}",
                "update_id": update,
                "public_key": key,
                "order": order,
                "tokens": tokens,
                "least_texts": count,
                "least_tokens": total,
            }
        )
    return cases


def norm_cap_cases() -> list:
    """Whether a norm passes after a history of the norms of changes that were added (oldest first)."""
    rising = list(range(100, 200))
    rows = [
        ("no_history", [], 10**12),
        ("seven_accepted", [10] * 7, 10**12),
        ("eight_at_cap", [10] * 8, 30),
        ("eight_above_cap", [10] * 8, 31),
        ("lower_of_two_middles_at", [1, 1, 1, 10, 20, 30, 30, 30], 30),
        ("lower_of_two_middles_above", [30, 1, 30, 10, 1, 20, 1, 30], 31),
        ("nine_middle", [5, 1, 9, 2, 8, 3, 7, 4, 6], 15),
        ("nine_above", [5, 1, 9, 2, 8, 3, 7, 4, 6], 16),
        ("last_64_at", rising, 3 * 167),
        ("last_64_above", rising, 3 * 167 + 1),
        ("large", [2**45] * 64, 3 * 2**45),
        ("zero_norms", [0] * 8, 0),
        ("zero_norms_above", [0] * 8, 1),
    ]
    cases = []
    for name, accepted, norm in rows:
        recent = accepted[-64:]
        passes = len(recent) < 8 or norm <= 3 * lower_median(recent)
        cases.append({"name": name, "accepted": accepted, "norm": norm, "passes": passes})
    return cases


def module_cap_cases() -> list:
    """Norms and module shares of sparse changes ([index, units] pairs)."""
    eight, seven = Shape(8, 8, 8, 8, 8), Shape(7, 8, 8, 8, 8)
    cases = []

    def first_of(shape, side, layer, module):
        return next(
            t["offset"] for t in shape.tensors() if (t["side"], t["layer"], t["module"]) == (side, layer, module)
        )

    def one(name, shape, parts):
        change = {first_of(shape, *where) + at: value for *where, at, value in parts}
        total = sum(v * v for v in change.values())
        shares: dict[tuple, int] = {}
        for index, value in change.items():
            tensor = next(t for t in reversed(shape.tensors()) if t["offset"] <= index)
            place = (tensor["layer"], tensor["module"])
            shares[place] = shares.get(place, 0) + value * value
        passes = shape.layers < 8 or all(4 * share <= total for share in shares.values())
        rows = [
            [layer, module, share]
            for (layer, module), share in sorted(shares.items(), key=lambda s: (s[0][0], MODULES.index(s[0][1])))
        ]
        pairs = [[index, change[index]] for index in sorted(change)]
        cases.append(
            {
                "name": name,
                "shape": shape.as_json(),
                "change": pairs,
                "norm": isqrt(total),
                "modules": rows,
                "passes": passes,
            }
        )

    quarter = [("A", i, "q", 0, 100) for i in range(4)]
    one("quarter_each", eight, quarter)
    one("just_above", eight, quarter[:3] + [("A", 3, "q", 0, -101)])
    one(
        "a_and_b_together",
        eight,
        [("A", 0, "q", 0, 80), ("B", 0, "q", 0, 80)] + [("A", i, "k", 0, 100) for i in range(1, 4)],
    )
    one(
        "a_and_b_of_two_layers",
        eight,
        [("A", 0, "q", 0, 100), ("B", 1, "q", 0, 100), ("A", 2, "q", 5, 100), ("B", 3, "q", 5, -100)],
    )
    one("two_projections_of_one_layer", eight, [("A", 0, m, 63, 9) for m in MODULES])
    one("one_module_only", eight, [("B", 7, "down", 63, 1)])
    one("one_module_only_seven_layers", seven, [("B", 6, "down", 63, 1)])
    one("large_values", eight, [("A", i, "up", j, 2**30 - 1) for i in range(4) for j in range(9)])
    return cases


def generate() -> dict:
    """gate.json."""
    about = "Verdicts; `losses`, `self_tests`, `prefixes`, `norm_caps`, `module_caps`: the gate's other rules. Losses in nano-nats, null: not finite."
    extra = {"losses": loss_cases(), "self_tests": self_test_cases(), "prefixes": prefix_cases()}
    extra |= {"norm_caps": norm_cap_cases(), "module_caps": module_cap_cases()}
    return {"gate.json": document(about, "12", verdict_cases(), **extra)}
