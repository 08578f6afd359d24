"""Section 14.1: pld1_profile1.json and pld1_profile2.json: kind 0 containers, whole, decoded and refused."""

from . import ed25519
from .common import document, le, pack_bits, rand
from .pld1 import MAX_BYTES, PROFILES, delta_container, encode_positions, record_1, record_2, signed
from .pld1_common import SEED, SHAPES, context_json, decoded_case, expect_refusal, header, random_record
from .pld1_encode import encode_cases


def _record(profile: int, positions: list[int]) -> bytes:
    """A record at these positions with unremarkable values."""
    if profile == 1:
        return record_1([(p, 0x1400 + i) for i, p in enumerate(positions)])
    return record_2(positions, 0x1400, [i % 4 for i in range(48)])


def valid_cases(profile: int) -> list:
    """Containers that are read."""
    k = PROFILES[profile][0]

    def one(name, shape, records, **changes):
        case = decoded_case(
            name, shape, profile, delta_container(header(0, profile, **changes), SHAPES[shape], records)
        )
        assert "error" not in case, case
        return case

    def rnd(label, shape, chunks):
        return {c: random_record(f"{label}/{c}/{profile}", profile, SHAPES[shape].chunk_length(c)) for c in chunks}

    spread = [4095 * i // (k - 1) for i in range(k)]
    cases = [
        one("one_record", "four_chunks", rnd("one", "four_chunks", [1])),
        one("all_chunks", "four_chunks", rnd("all", "four_chunks", range(4))),
        one("last_chunk_only", "four_chunks", rnd("last", "four_chunks", [3])),
        one("two_bitmap_bytes", "ten_chunks", rnd("ten", "ten_chunks", [0, 7, 8, 9])),
        one("before_a_tail", "tail_of_8", rnd("tail", "tail_of_8", [0, 1])),
        one("first_positions", "four_chunks", {0: _record(profile, list(range(k)))}),
        one("last_positions", "four_chunks", {0: _record(profile, list(range(4096 - k, 4096)))}),
        one("spread_positions", "four_chunks", {2: _record(profile, spread)}),
        one("last_of_short_chunk", "four_chunks", {3: _record(profile, list(range(2560 - k, 2560)))}),
        one(
            "header_zeros",
            "four_chunks",
            rnd("one", "four_chunks", [1]),
            slot=0,
            commitment=bytes(32),
            steps=0,
            tokens=0,
        ),
        one(
            "header_max",
            "four_chunks",
            rnd("one", "four_chunks", [1]),
            slot=2**64 - 1,
            commitment=b"\xff" * 32,
            steps=2**32 - 1,
            tokens=2**32 - 1,
        ),
    ]
    positions = list(range(100, 100 + k))
    if profile == 1:
        edge = [1, 0x8001, 0x3FF, 0x83FF, 0x400, 0x8400, 0x7FF, 0x800, 0x3C00, 0xBC00, 0x53FF, 0xD3FF, 0x53FE, 0x5000]
        record = record_1(list(zip(positions, edge + [2, 3, 5, 8, 13, 21])))
        cases.append(one("edge_values", "four_chunks", {0: record}))
    else:
        for name, scale, codes in (
            ("scale_least", 1, [0, 1, 2, 3]),
            ("scale_largest_subnormal", 0x3FF, [0, 1, 2, 3]),
            ("scale_one", 0x3C00, [3, 2, 1, 0]),
            ("scale_largest_for_all_codes", 0x4FFF, [0, 3, 1, 2]),
            ("scale_32_without_doubles", 0x5000, [1, 2]),
            ("scale_63_without_doubles", 0x53FF, [2, 1]),
            ("one_code_1", 0x1400, [1] + [0, 3] * 24),
            ("one_code_2", 0x4FFF, [3, 0] * 23 + [3, 2]),
        ):
            cases.append(one(name, "four_chunks", {0: record_2(positions, scale, (codes * 48)[:48])}))
    return cases


def structure_refusals(profile: int) -> list:
    """Header, counts, bitmap and lengths; every case is signed, so that only the named rule is broken."""
    shape = SHAPES["four_chunks"]
    good = delta_container(
        header(0, profile), shape, {c: random_record(f"refused/{c}/{profile}", profile) for c in (0, 2)}
    )
    unsigned = good[:-64]

    def one(name, error, data, in_shape="four_chunks", sign=True):
        return expect_refusal(name, error, in_shape, profile, signed(data, SEED) if sign else data)

    def put(offset, data):
        return unsigned[:offset] + data + unsigned[offset + len(data) :]

    cases = [
        one("no_bytes", "too_short", b"", sign=False),
        one("271_bytes", "too_short", good[:271], sign=False),
        one("header_only", "wrong_length", unsigned[:208]),
        one("magic", "bad_magic", put(0, b"PLD2")),
        one("magic_lower_case", "bad_magic", put(0, b"pld1")),
        one("version_0", "bad_version", put(4, b"\x00")),
        one("version_2", "bad_version", put(4, b"\x02")),
        one("kind_3", "bad_kind", put(5, b"\x03")),
        one("kind_255", "bad_kind", put(5, b"\xff")),
        one("other_profile", "wrong_profile", put(6, bytes([3 - profile]))),
        one("profile_0", "wrong_profile", put(6, b"\x00")),
        one("profile_3", "wrong_profile", put(6, b"\x03")),
        one("byte_7", "reserved_not_zero", put(7, b"\x01")),
        one("reserved_first", "reserved_not_zero", put(152, b"\x01")),
        one("reserved_last", "reserved_not_zero", put(199, b"\x80")),
        one("genesis", "wrong_genesis", put(8, rand("other genesis"))),
        one("chunks_less", "wrong_chunk_count", put(200, le(3, 4))),
        one("chunks_more", "wrong_chunk_count", put(200, le(5, 4))),
        one("chunks_0", "wrong_chunk_count", put(200, le(0, 4))),
        one("chunks_max", "wrong_chunk_count", put(200, le(2**32 - 1, 4))),
        one("other_shape", "wrong_chunk_count", unsigned, "ten_chunks"),
        one("records_0", "empty", unsigned[:200] + le(4, 4) + le(0, 4) + b"\x00"),
        one("records_1_of_2", "wrong_length", put(204, le(1, 4))),
        one("records_3_of_2", "wrong_length", put(204, le(3, 4))),
        one("records_max", "wrong_length", put(204, le(2**32 - 1, 4))),
        one("bitmap_one_less", "wrong_record_count", put(208, b"\x01")),
        one("bitmap_one_more", "wrong_record_count", put(208, b"\x07")),
        one("bitmap_none", "wrong_record_count", put(208, b"\x00")),
        one("bitmap_spare_bit", "spare_bit_set", put(208, b"\x11")),
        one("bitmap_high_bit", "spare_bit_set", put(208, b"\x81")),
        one("byte_missing", "wrong_length", unsigned[:-1]),
        one("byte_more", "wrong_length", unsigned + b"\x00"),
        one("record_more", "wrong_length", unsigned + unsigned[-64:]),
        one("unsigned", "wrong_length", unsigned, sign=False),
        one("signature_bit", "bad_signature", good[:-1] + bytes([good[-1] ^ 1]), sign=False),
        one("signature_zeros", "bad_signature", unsigned + bytes(64), sign=False),
        one("signed_by_another", "bad_signature", unsigned + signed(unsigned, rand("another"))[-64:], sign=False),
        one("signed_bytes", "bad_signature", unsigned + ed25519.sign(SEED, unsigned), sign=False),
        one("field_changed", "bad_signature", put(72, le(77, 8)) + good[-64:], sign=False),
    ]
    if profile == 1:  # long; once is enough
        long = unsigned + bytes(MAX_BYTES + 1 - len(unsigned) - 64)
        case = expect_refusal("150001_bytes", "too_long", "four_chunks", profile, signed(long, SEED))
        short = {
            "container_prefix": unsigned,
            "zeros": MAX_BYTES + 1 - len(good),
            "container_suffix": case.pop("container")[-64:],
        }
        cases.append({"name": case["name"], "shape": case["shape"], **short, "error": case["error"]})
    return cases


def record_refusals(profile: int) -> list:
    """Broken positions and values."""
    k, l = PROFILES[profile]
    size = (k * l + k + (4096 >> l)) // 8
    positions = list(range(100, 100 + k))
    tail = _record(profile, positions)[size:]

    def one(name, error, record, chunk=0, shape="four_chunks"):
        data = delta_container(header(0, profile), SHAPES[shape], {chunk: record})
        return expect_refusal(name, error, shape, profile, data)

    low = [i * l + j for i, p in enumerate(positions) for j in range(l) if p >> j & 1]
    high = [k * l + (p >> l) + i for i, p in enumerate(positions)]
    top = k + (4096 >> l) - 1

    def raw(lows, highs):
        return pack_bits(lows + highs, size) + tail

    cases = [
        one("high_bit_missing", "wrong_high_bits", raw(low, high[:-1])),
        one("high_bit_more", "wrong_high_bits", raw(low, high + [k * l + top])),
        one("no_high_bits", "wrong_high_bits", raw(low, [])),
        one("position_twice", "positions_not_increasing", encode_positions([100] + positions[:-1], l) + tail),
        one("positions_swapped", "positions_not_increasing", encode_positions([101, 100] + positions[2:], l) + tail),
        one("all_positions_0", "positions_not_increasing", encode_positions([0] * k, l) + tail),
        one("position_4096", "position_beyond_chunk", encode_positions(positions[:-1] + [4096], l) + tail),
        one(
            "position_largest",
            "position_beyond_chunk",
            encode_positions(positions[:-1] + [4096 + (1 << l) - 1], l) + tail,
        ),
        one("short_chunk_2560", "position_beyond_chunk", encode_positions(list(range(2561 - k, 2561)), l) + tail, 3),
        one("short_chunk_4095", "position_beyond_chunk", encode_positions(positions[:-1] + [4095], l) + tail, 3),
        one("chunk_too_short", "position_beyond_chunk", encode_positions(list(range(k)), l) + tail, 2, "tail_of_8"),
    ]
    if profile == 1:
        bad = {"value_not_finite": [0x7C00, 0xFC00, 0x7E00, 0x7C01, 0xFFFF], "value_zero": [0, 0x8000]}
        bad["value_too_large"] = [0x5400, 0xD400, 0x5401, 0x7BFF, 0xFBFF]
        for error, values in bad.items():
            for bits in values:
                row = [(p, bits if i == 13 else 0x1400) for i, p in enumerate(positions)]
                cases.append(one(f"value_{bits:04x}", error, record_1(row)))
        return cases
    bad = {"scale_not_finite": [0x7C00, 0xFC00, 0x7E00], "scale_not_positive": [0, 0x8000, 0x8001, 0xBC00]}
    for error, scales in bad.items():
        cases += [one(f"scale_{s:04x}", error, record_2(positions, s, [1] * 48)) for s in scales]
    for name, scale, codes in (
        ("scale_32_with_a_double", 0x5000, [1] * 47 + [3]),
        ("scale_32_with_a_negative_double", 0x5000, [0] + [2] * 47),
        ("scale_64", 0x5400, [1, 2] * 24),
        ("scale_largest", 0x7BFF, [1, 2] * 24),
    ):
        cases.append(one(name, "value_too_large", record_2(positions, scale, codes)))
    for name, scale, codes in (
        ("all_doubles", 0x1400, [3] * 48),
        ("all_negative_doubles", 0x1400, [0] * 48),
        ("doubles_of_both_signs", 0x1400, [0, 3] * 24),
        ("doubles_of_the_least_scale", 1, [0, 3] * 24),
        ("doubles_of_the_largest_subnormal", 0x3FF, [3, 0] * 24),
        ("doubles_of_the_largest_scale", 0x4FFF, [3, 0] * 24),
    ):
        cases.append(one(name, "scale_not_least", record_2(positions, scale, codes)))
    return cases


def generate() -> dict:
    """pld1_profile1.json and pld1_profile2.json."""
    out = {}
    for profile in (1, 2):
        cases = valid_cases(profile) + structure_refusals(profile) + record_refusals(profile)
        about = f"Kind 0 containers of profile {profile}; `encode`: the reference encoder of 14.2."
        out[f"pld1_profile{profile}.json"] = document(
            about, "14, 14.1, 14.2", cases, profile=profile, context=context_json(), encode=encode_cases(profile)
        )
    return out
