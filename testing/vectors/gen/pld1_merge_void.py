"""Sections 14.3 and 14.4: merges, the meaning of a merge, and voids."""

from .common import H, document, le, rand, refusal
from .pld1 import Header, decode, delta_container, merge_container, merged, record_1, signed, void_container
from .pld1_common import GENESIS, HEAD, SEED, SHAPES, context_json, decoded_case, expect_refusal, header

SHAPE = SHAPES["four_chunks"]


def child(label: str, values: list[int], start: int = 0, **changes) -> bytes:
    """A kind 0 of profile 1: 20 FP16 bit patterns at positions start, start + 1, ... of chunk 0."""
    row = [(start + i, bits) for i, bits in enumerate((values * 20)[:20])]
    fields = {"tokens": 1_000, "seed": rand(f"child/{label}"), **changes}
    return delta_container(header(0, 1, **fields), SHAPE, {0: record_1(row)})


def container_cases() -> list:
    """Merges as bytes; children need not be known to read one."""
    ids = sorted(rand(f"child id/{i}") for i in range(9))
    rows = [
        ("two", [(ids[0], 1), (ids[1], 1)]),
        ("eight", [(ids[i], 1024 + i) for i in range(8)]),
        ("weight_max", [(ids[0], 65_535), (ids[1], 1)]),
    ]
    cases = []
    for name, children in rows:
        cases.append(decoded_case(name, "four_chunks", 1, merge_container(header(1, 0), children)))
        assert "error" not in cases[-1]
    two = rows[0][1]
    good = merge_container(header(1, 0), two)
    unsigned = good[:-64]

    def bad(name, error, data, sign=True):
        return expect_refusal(name, error, "four_chunks", 1, signed(data, SEED) if sign else data)

    def of(children, **changes):
        return merge_container(header(1, 0, **changes), children)[:-64]

    cases += [
        bad("no_child", "wrong_child_count", of([]) + b""),
        bad("one_child", "wrong_child_count", of(two[:1])),
        bad("nine_children", "wrong_child_count", of([(i, 1) for i in ids])),
        bad("same_child_twice", "children_not_increasing", of([two[0], two[0]])),
        bad("order", "children_not_increasing", of([two[1], two[0]])),
        bad("order_in_the_middle", "children_not_increasing", of([(ids[i], 1) for i in (0, 2, 1, 3)])),
        bad("weight_0", "zero_weight", of([two[0], (ids[1], 0)])),
        bad(
            "count_less",
            "wrong_length",
            of([(i, 1) for i in ids[:3]])[:204] + le(2, 4) + of([(i, 1) for i in ids[:3]])[208:],
        ),
        bad("count_more", "wrong_length", unsigned[:204] + le(3, 4) + unsigned[208:]),
        bad("byte_missing", "wrong_length", unsigned[:-1]),
        bad("byte_more", "wrong_length", unsigned + b"\x00"),
        bad("profile_1", "wrong_profile", unsigned[:6] + b"\x01" + unsigned[7:]),
        bad("profile_2", "wrong_profile", unsigned[:6] + b"\x02" + unsigned[7:]),
        bad("chunks_4", "wrong_chunk_count", unsigned[:200] + le(4, 4) + unsigned[204:]),
        bad("reserved", "reserved_not_zero", unsigned[:160] + b"\x01" + unsigned[161:]),
        bad("byte_7", "reserved_not_zero", unsigned[:7] + b"\x01" + unsigned[8:]),
        bad("genesis", "wrong_genesis", unsigned[:8] + rand("other genesis") + unsigned[40:]),
        bad("signature", "bad_signature", unsigned + bytes(64), sign=False),
    ]
    return cases


def _meaning(name: str, pairs: list[tuple[bytes, int]], **merge_fields) -> dict:
    """A merge with its children: the merged change, in index order."""
    pairs = sorted(pairs, key=lambda pair: H(pair[0]))
    container = merge_container(header(1, 0, **merge_fields), [(H(data), weight) for data, weight in pairs])
    parts = [(dict(decode(data, SHAPE, 1, GENESIS)["values"]), weight) for data, weight in pairs]
    change = merged(parts)
    return {
        "name": name,
        "container": container,
        "update_id": H(container),
        "children": [data for data, _ in pairs],
        "values": [[index, value] for index, value in change.items()],
    }


def meaning_cases() -> list:
    """Weighted means, half to even, disjoint and partly shared coordinates, zero results."""
    small = [
        1,
        2,
        3,
        4,
        5,
        0x8001,
        0x8002,
        0x8003,
        0x8004,
        0x8005,
        7,
        8,
        9,
        10,
        11,
        0x8007,
        0x8008,
        0x8009,
        0x800A,
        0x800B,
    ]
    ones, minus = child("ones", [1]), child("minus", [0x8001])
    a, b, c = child("a", small), child("b", [2, 0x8002]), child("c", [3, 5, 0x8005], 10)
    large = child("large", [0x53FF, 0xD3FF])
    eight = [child(f"eight/{i}", [(0x1400 + 37 * i) ^ (0x8000 * (i % 3 == 0))], 3 * i) for i in range(8)]
    other_tokens = child("later", [9], 5, slot=99_999, steps=1, tokens=0)
    return [
        _meaning("halves_to_even", [(a, 1), (ones, 1)]),
        _meaning("negative_halves_to_even", [(a, 1), (minus, 1)]),
        _meaning("cancel_to_zero", [(ones, 5), (minus, 5)]),
        _meaning("partly_shared", [(a, 1), (c, 1)]),
        _meaning("thirds", [(a, 1), (b, 2)]),
        _meaning("three", [(a, 4096), (b, 1024), (c, 1234)]),
        _meaning("weight_max", [(a, 65_535), (b, 65_535), (large, 1)]),
        _meaning("large", [(large, 65_535), (ones, 65_534)]),
        _meaning("eight", [(data, 1024 + 301 * i) for i, data in enumerate(eight)]),
        _meaning("children_differ_in_header", [(a, 1), (other_tokens, 3)]),
    ]


def broken_children() -> list:
    """Merges that are well formed, but with a child that breaks a rule: nothing is applied."""
    good = child("good", [5])
    other_head = Header(0, 1, GENESIS, rand("other head"), tokens=1_000, seed=SEED)
    other_genesis = Header(0, 1, rand("other genesis"), HEAD, tokens=1_000, seed=SEED)
    record = record_1([(i, 5) for i in range(20)])
    unsigned_child = good[:-64] + bytes(64)
    nested = merge_container(header(1, 0), sorted([(H(good), 1), (H(b"x"), 1)]))
    rows = [
        ("other_head", "child_wrong_head", delta_container(other_head, SHAPE, {0: record})),
        ("other_genesis", "wrong_genesis", delta_container(other_genesis, SHAPE, {0: record})),
        ("bad_signature", "bad_signature", unsigned_child),
        ("a_merge", "child_wrong_kind", nested),
        ("a_void", "child_wrong_kind", void_container(header(2, 0), GENESIS)),
        ("not_a_container", "too_short", b"not a container"),
    ]
    cases = []
    for name, error, data in rows:
        pairs = sorted([(H(good), 1), (H(data), 1)])
        children = sorted([good, data], key=H)
        cases.append(refusal(name, error, container=merge_container(header(1, 0), pairs), children=children))
    pairs = sorted([(H(good), 1), (rand("absent"), 1)])
    absent = merge_container(header(1, 0), pairs)
    cases.append(
        refusal(
            "bytes_of_another_child",
            "child_id_mismatch",
            container=absent,
            children=sorted([good, child("x", [6])], key=H),
        )
    )
    return cases


def void_cases() -> list:
    """Voids as bytes."""
    ancestor = rand("ancestor head")
    good = void_container(header(2, 0), ancestor)
    assert len(good) == 304
    unsigned = good[:-64]

    def bad(name, error, data, sign=True):
        return expect_refusal(name, error, "four_chunks", 1, signed(data, SEED) if sign else data)

    def put(offset, data):
        return unsigned[:offset] + data + unsigned[offset + len(data) :]

    return [
        decoded_case("to_an_ancestor", "four_chunks", 1, good),
        decoded_case("to_genesis", "four_chunks", 1, void_container(header(2, 0), GENESIS)),
        decoded_case(
            "header_max",
            "four_chunks",
            1,
            void_container(header(2, 0, slot=2**64 - 1, steps=2**32 - 1, tokens=2**32 - 1), ancestor),
        ),
        bad("count_0", "wrong_record_count", put(204, le(0, 4))),
        bad("count_2", "wrong_record_count", put(204, le(2, 4))),
        bad("two_heads", "wrong_length", unsigned + ancestor),
        bad("no_head", "too_short", unsigned[:-33]),
        bad("byte_missing", "wrong_length", unsigned[:-1]),
        bad("byte_more", "wrong_length", unsigned + b"\x00"),
        bad("profile_1", "wrong_profile", put(6, b"\x01")),
        bad("chunks_1", "wrong_chunk_count", put(200, le(1, 4))),
        bad("reserved", "reserved_not_zero", put(152, b"\x01")),
        bad("genesis", "wrong_genesis", put(8, rand("other genesis"))),
        bad("signature", "bad_signature", unsigned + bytes(64), sign=False),
    ]


def generate() -> dict:
    """pld1_merge.json and pld1_void.json."""
    shared = {"profile": 1, "context": context_json()}
    about = "Kind 1 containers; `meanings`: merged changes; `broken_children`: well-formed merges whose children break a rule."
    extra = {"meanings": meaning_cases(), "broken_children": broken_children()}
    return {
        "pld1_merge.json": document(about, "14, 14.3", container_cases(), **shared, **extra),
        "pld1_void.json": document("Kind 2 containers.", "14, 14.4", void_cases(), **shared),
    }
