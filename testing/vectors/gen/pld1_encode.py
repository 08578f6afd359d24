"""Section 14.2: the reference encoder, from sparse changes to exact container bytes."""

from .adapter import CHUNK, Shape
from .common import H, le, rand, refusal, u32
from .pld1 import PROFILES, Refused, chosen_records, decode, reference_encode
from .pld1_common import GENESIS, HEAD, SHAPES, header

LARGE = Shape(28, 3584, 3584, 512, 18944)  # 4,928 chunks: not all fit


def _case(name: str, profile: int, shape: str, change: dict[int, int]) -> dict:
    """One call; the result is read back with the decoder."""
    given = {"shape": shape, "change": [[index, change[index]] for index in sorted(change)]}
    try:
        container = reference_encode(change, SHAPES[shape], header(0, profile))
    except Refused as why:
        return refusal(name, str(why), **given)
    decode(container, SHAPES[shape], profile, GENESIS)
    return {"name": name, **given, "container": container, "update_id": H(container)}


def _filled(label: str, positions, bound: int, chunk: int = 0) -> dict[int, int]:
    """PRNG values in -bound..=bound at these positions of a chunk."""
    out = {}
    for position in positions:
        value = u32(rand(f"{label}/{position}")) % (2 * bound + 1) - bound
        out[CHUNK * chunk + position] = value
    return out


def small_cases(profile: int) -> list:
    """Selection, ties, rounding, saturation."""
    k = PROFILES[profile][0]
    plenty = range(0, 4096, 61)  # 68 positions
    exact = range(0, 7 * k, 7)
    rows = [
        ("plain", "four_chunks", _filled("plain", plenty, 10**6)),
        ("subnormal", "four_chunks", _filled("tiny", plenty, 900)),
        ("large", "four_chunks", _filled("large", plenty, 2**30)),
        ("saturating", "four_chunks", {p: (-1) ** p * (2**31 - 1 - p) for p in exact}),
        ("least_i32", "four_chunks", {p: -(2**31) for p in exact}),
        (
            "just_below_64",
            "four_chunks",
            {p: (-1) ** i * (2**30 - 2**19 + (i - 8) * 2**15) for i, p in enumerate(exact)},
        ),
        ("all_equal_ties", "four_chunks", {p: 5_000 for p in plenty}),
        ("tied_signs", "four_chunks", {p: 5_000 * (-1) ** (p % 2) for p in plenty}),
        ("tie_at_the_edge", "four_chunks", {p: 9_000 if p < 3 * 61 else -4_000 for p in plenty}),
        ("exactly_k", "four_chunks", {p: 77 + p for p in exact}),
        ("k_and_zeros", "four_chunks", {p: 77 + p for p in exact} | {p: 0 for p in range(2_000, 2_100)}),
        ("one_too_few_in_one_chunk", "four_chunks", {p: 50 for p in list(exact)[1:]} | {4096 + p: -50 for p in exact}),
        ("short_last_chunk", "four_chunks", _filled("short", range(0, 2560, 37), 10**5, 3)),
        ("tail_left_out", "tail_of_8", {8192 + p: 10**6 for p in range(8)} | {4096 + p: 3 for p in exact}),
        (
            "three_chunks",
            "ten_chunks",
            {
                **_filled("c0", plenty, 900, 0),
                **_filled("c8", plenty, 10**8, 8),
                **_filled("c9", range(3, 256, 3), 10**4, 9),
            },
        ),
        ("no_change", "four_chunks", {}),
        ("only_zeros", "four_chunks", {p: 0 for p in plenty}),
        ("one_too_few", "four_chunks", {p: 10**6 for p in list(exact)[1:]}),
        ("full_tail_only", "tail_of_8", {8192 + p: 10**6 for p in range(8)}),
    ]
    rounding = [
        2049,
        2050,
        2051,
        4098,
        4099,
        4102,
        4103,
        4106,
        4110,
        4094,
        4095,
        4097,
        2047,
        2048,
        1023,
        1024,
        1025,
        8188,
        8190,
        8191,
    ]
    rounding += [65504 + 13 * i for i in range(k - len(rounding))]
    rows.append(("rounding", "four_chunks", {11 * i: v * (-1) ** i for i, v in enumerate(rounding)}))
    if profile == 2:
        half = list(exact)[: k // 2]
        rows += [
            ("two_levels", "four_chunks", {p: 2_000 if p in half else -1_000 for p in exact}),
            ("level_border", "four_chunks", {p: 1_500 if i % 2 else 1_000 for i, p in enumerate(exact)}),
            ("ones", "four_chunks", {p: (-1) ** i for i, p in enumerate(exact)}),
            ("one_giant", "four_chunks", {p: 2**31 - 1 if i == 5 else -1 for i, p in enumerate(exact)}),
            ("ones_and_twos", "four_chunks", {p: 1 + i % 2 for i, p in enumerate(exact)}),
        ]
        for size in (2, 3, 1_023, 1_024, 1_025, 2_047, 2_049, 4_099, 10**6, 10**6 + 1):
            rows.append((f"all_{size}", "four_chunks", {p: size * (-1) ** i for i, p in enumerate(exact)}))
        nearly = {p: (10**6 + 100 * i) * (-1) ** i for i, p in enumerate(exact)}
        cap = 2**30 - 2**19  # 63.96875, twice the largest scale
        rows += [
            ("nearly_equal", "four_chunks", nearly),
            ("nearly_equal_but_one", "four_chunks", nearly | {exact[5]: 700_000}),
            ("one_above_the_border", "four_chunks", {p: 400_000 if p else 300_001 for p in exact}),
            ("all_at_the_limit", "four_chunks", {p: cap * (-1) ** i for i, p in enumerate(exact)}),
            ("all_one_below_the_limit", "four_chunks", {p: 1 - cap for p in exact}),
            ("all_one_above_the_limit", "four_chunks", {p: cap + 1 for p in exact}),
            ("all_at_half_the_limit", "four_chunks", {p: cap // 2 for p in exact}),
            ("at_the_limit_but_one", "four_chunks", {p: cap if p else 1 for p in exact}),
            ("above_the_limit_but_one", "four_chunks", {p: 2**31 - 1 if p else cap // 2 for p in exact}),
        ]
    return [_case(name, profile, shape, change) for name, shape, change in rows]


def large_change(profile: int) -> dict[int, int]:
    """The recipe of README.md ("large change"): sparse values of every chunk of LARGE."""
    out = {}
    for chunk in range(LARGE.chunks()):
        count = 12 if chunk % 97 == 5 else 60
        for t in range(count):
            word = H(b"pol-ai/vectors/large", le(chunk, 4), le(t, 4))
            index = CHUNK * chunk + u32(word) % LARGE.chunk_length(chunk)
            out[index] = u32(word, 4) % 2_000_001 - 1_000_000 if chunk % 4 else 2_500
    return out


def large_case(profile: int) -> dict:
    """More chunks than fit; chunks divisible by 4 tie with each other."""
    head = header(0, profile)
    change = large_change(profile)
    container = reference_encode(change, LARGE, head)
    decode(container, LARGE, profile, GENESIS)
    carried = list(chosen_records(change, LARGE, profile))
    assert len(carried) == (150_000 - 272 - 616) // 64
    return {
        "name": "not_all_fit",
        "shape": LARGE.as_json(),
        "chunks": LARGE.chunks(),
        "changed_values": len(change),
        "records": len(carried),
        "first_chunks": carried[:20],
        "last_chunks": carried[-20:],
        "length": len(container),
        "update_id": H(container),
    }


def encode_cases(profile: int) -> dict:
    """The header used by every case, the small cases and the large one."""
    head = header(0, profile)
    fields = {
        "model_head": HEAD,
        "slot": head.slot,
        "commitment": head.commitment,
        "steps": head.steps,
        "tokens": head.tokens,
    }
    return {"header": fields, "small": small_cases(profile), "large": large_case(profile)}
