"""Section 14: reading and writing PLD1 containers, and the reference encoder of 14.2."""

from dataclasses import dataclass, field

from . import ed25519
from .adapter import CHUNK, LIMIT, Shape
from .common import H, bit, le, pack_bits, u32

MAX_BYTES = 150_000
RECORD = 64
MAX_VALUE, MAX_SCALE = 0x53FF, 0x4FFF  # FP16 bits of 63.96875 and 31.984375
PROFILES = {1: (20, 7), 2: (48, 6)}  # k values per record, l low bits


class Refused(Exception):
    """Carries the word for the rule that was broken."""


def need(condition: bool, word: str):
    """Refuse with `word` unless the condition holds."""
    if not condition:
        raise Refused(word)


@dataclass
class Header:
    """The first 200 bytes. `seed` is the secret the container is signed with."""

    kind: int
    profile: int
    genesis_id: bytes
    model_head: bytes
    slot: int = 0
    commitment: bytes = bytes(32)
    steps: int = 0
    tokens: int = 0
    seed: bytes = field(default=bytes(32), repr=False)

    def encode(self, chunks: int, records: int, key: bytes | None = None) -> bytes:
        """208 bytes: the header and the two counts."""
        out = b"PLD1" + bytes([1, self.kind, self.profile, 0]) + self.genesis_id + self.model_head
        out += le(self.slot, 8) + self.commitment + le(self.steps, 4) + le(self.tokens, 4)
        out += (key or ed25519.public_key(self.seed)) + bytes(48)
        return out + le(chunks, 4) + le(records, 4)


def message(unsigned: bytes) -> bytes:
    """What the Ed25519 signature is over."""
    return b"pol-ai/delta/v1" + H(unsigned)


def signed(unsigned: bytes, seed: bytes) -> bytes:
    """The container with its signature."""
    return unsigned + ed25519.sign(seed, message(unsigned))


def fp16_units(bits: int) -> int | None:
    """The value in units of 2^-24; None for NaN and infinity."""
    exponent, fraction = bits >> 10 & 31, bits & 1023
    if exponent == 31:
        return None
    units = fraction if exponent == 0 else (1024 + fraction) << (exponent - 1)
    return -units if bits >> 15 else units


def nearest_fp16(units: int, limit: int) -> int:
    """FP16 bits of `units`, ties to even, the magnitude at most that of the bits `limit`."""
    size, sign = abs(units), 0x8000 if units < 0 else 0
    shift = max(0, size.bit_length() - 11)
    fraction, rest = size >> shift, size & ((1 << shift) - 1)
    half = (1 << shift) >> 1
    if shift and (rest > half or (rest == half and fraction & 1)):
        fraction += 1
    bits = fraction if shift == 0 else (shift << 10) + fraction  # a carry runs into the exponent
    return sign | min(bits, limit)


def encode_positions(positions: list[int], l: int) -> bytes:
    """Elias-Fano: low parts, then the high part in unary."""
    k = len(positions)
    bits = []
    for i, position in enumerate(positions):
        bits += [i * l + j for j in range(l) if position >> j & 1]
        bits.append(k * l + (position >> l) + i)
    return pack_bits(bits, (k * l + k + (CHUNK >> l)) // 8)


def decode_positions(data: bytes, k: int, l: int, length: int) -> list[int]:
    """The k positions; `length` is that of the chunk."""
    high = [j for j in range(k + (CHUNK >> l)) if bit(data, k * l + j)]
    need(len(high) == k, "wrong_high_bits")
    low = [sum(bit(data, i * l + j) << j for j in range(l)) for i in range(k)]
    positions = [(high[i] - i << l) + low[i] for i in range(k)]
    need(all(a < b for a, b in zip(positions, positions[1:])), "positions_not_increasing")
    need(positions[-1] < length, "position_beyond_chunk")
    return positions


def decode_record(data: bytes, profile: int, length: int) -> list[tuple[int, int]]:
    """(position, units) of a 64-byte record."""
    k, l = PROFILES[profile]
    size = (k * l + k + (CHUNK >> l)) // 8
    positions = decode_positions(data[:size], k, l, length)
    if profile == 1:
        values = [fp16_units(int.from_bytes(data[at : at + 2], "little")) for at in range(size, RECORD, 2)]
        need(all(v is not None for v in values), "value_not_finite")
        need(all(values), "value_zero")
    else:
        scale = fp16_units(int.from_bytes(data[size : size + 2], "little"))
        need(scale is not None, "scale_not_finite")
        need(scale > 0, "scale_not_positive")
        codes = [bit(data, (size + 2) * 8 + 2 * i) + 2 * bit(data, (size + 2) * 8 + 2 * i + 1) for i in range(k)]
        values = [(-2, -1, 1, 2)[code] * scale for code in codes]
    need(all(abs(v) < LIMIT for v in values), "value_too_large")
    need(profile == 1 or any(code in (1, 2) for code in codes), "scale_not_least")
    return list(zip(positions, values))


def decode(data: bytes, shape: Shape, profile: int, genesis_id: bytes) -> dict:
    """A checked container of any kind, or Refused."""
    need(len(data) >= 272, "too_short")
    need(len(data) <= MAX_BYTES, "too_long")
    need(data[:4] == b"PLD1", "bad_magic")
    need(data[4] == 1, "bad_version")
    kind = data[5]
    need(kind <= 2, "bad_kind")
    need(data[6] == (profile if kind == 0 else 0), "wrong_profile")
    need(data[7] == 0 and data[152:200] == bytes(48), "reserved_not_zero")
    need(data[8:40] == genesis_id, "wrong_genesis")
    chunks, n = u32(data, 200), u32(data, 204)
    need(chunks == (shape.chunks() if kind == 0 else 0), "wrong_chunk_count")
    body = data[208:-64]
    content = (_delta, _merge, _void)[kind](body, n, shape, profile)
    need(ed25519.verify_strict(data[120:152], message(data[:-64]), data[-64:]), "bad_signature")
    head = {"kind": kind, "profile": data[6], "model_head": data[40:72], "slot": int.from_bytes(data[72:80], "little")}
    head |= {"commitment": data[80:112], "steps": u32(data, 112), "tokens": u32(data, 116), "public_key": data[120:152]}
    return {**head, **content}


def _delta(body: bytes, n: int, shape: Shape, profile: int) -> dict:
    size = -(-shape.chunks() // 8)
    need(n >= 1, "empty")
    need(len(body) == size + RECORD * n, "wrong_length")
    carried = [c for c in range(8 * size) if bit(body, c)]
    need(all(c < shape.chunks() for c in carried), "spare_bit_set")
    need(len(carried) == n, "wrong_record_count")
    values = []
    for i, chunk in enumerate(carried):
        record = body[size + RECORD * i :][:RECORD]
        values += [(CHUNK * chunk + p, v) for p, v in decode_record(record, profile, shape.chunk_length(chunk))]
    return {"values": values}


def _merge(body: bytes, n: int, _shape: Shape, _profile: int) -> dict:
    need(2 <= n <= 8, "wrong_child_count")
    need(len(body) == 34 * n, "wrong_length")
    children = [(body[at : at + 32], int.from_bytes(body[at + 32 : at + 34], "little")) for at in range(0, 34 * n, 34)]
    need(all(a[0] < b[0] for a, b in zip(children, children[1:])), "children_not_increasing")
    need(all(weight for _, weight in children), "zero_weight")
    return {"children": children}


def _void(body: bytes, n: int, _shape: Shape, _profile: int) -> dict:
    need(n == 1, "wrong_record_count")
    need(len(body) == 32, "wrong_length")
    return {"ancestor": body}


def merged(children: list[tuple[dict[int, int], int]]) -> dict[int, int]:
    """Weighted mean per coordinate over the children that carry it, half to even."""
    sums: dict[int, list[int]] = {}
    for delta, weight in children:
        for index, value in delta.items():
            total = sums.setdefault(index, [0, 0])
            total[0] += weight * value
            total[1] += weight
    out = {}
    for index, (top, bottom) in sorted(sums.items()):
        quotient, rest = divmod(top, bottom)
        up = 2 * rest > bottom or (2 * rest == bottom and quotient % 2 == 1)
        out[index] = quotient + up
    return out


def merge_container(head: Header, children: list[tuple[bytes, int]]) -> bytes:
    """A signed kind 1; children in the order given."""
    body = b"".join(update + le(weight, 2) for update, weight in children)
    return signed(head.encode(0, len(children)) + body, head.seed)


def void_container(head: Header, ancestor: bytes) -> bytes:
    """A signed kind 2."""
    return signed(head.encode(0, 1) + ancestor, head.seed)


def delta_container(head: Header, shape: Shape, records: dict[int, bytes]) -> bytes:
    """A signed kind 0 from finished 64-byte records by chunk."""
    bitmap = pack_bits(records, -(-shape.chunks() // 8))
    body = bitmap + b"".join(records[chunk] for chunk in sorted(records))
    return signed(head.encode(shape.chunks(), len(records)) + body, head.seed)


def record_1(chosen: list[tuple[int, int]]) -> bytes:
    """Profile 1 record from 20 (position, FP16 bits)."""
    return encode_positions([p for p, _ in chosen], 7) + b"".join(le(bits, 2) for _, bits in chosen)


def record_2(positions: list[int], scale: int, codes: list[int]) -> bytes:
    """Profile 2 record from 48 positions, the FP16 bits of the scale and 48 codes."""
    packed = pack_bits([2 * i + j for i, code in enumerate(codes) for j in (0, 1) if code >> j & 1], 12)
    return encode_positions(positions, 6) + le(scale, 2) + packed


def fit_scale(sizes: list[int]) -> tuple[int, list[int]]:
    """FP16 bits of s and the level of every magnitude (14.2, step 4)."""
    s = max(1, 2 * sum(sizes) // (3 * len(sizes)))
    for _ in range(4):
        levels = [2 if 2 * a >= 3 * s else 1 for a in sizes]
        top, bottom = sum(lv * a for lv, a in zip(levels, sizes)), sum(lv * lv for lv in levels)
        s = max(1, (2 * top + bottom) // (2 * bottom))
    bits = nearest_fp16(s, MAX_SCALE)
    rounded = fp16_units(bits)
    levels = [2 if 2 * a >= 3 * rounded else 1 for a in sizes]
    if min(levels) == 2:  # the same values in their one encoding; always exact
        return nearest_fp16(2 * rounded, MAX_VALUE), [1] * len(sizes)
    return bits, levels


def chosen_records(change: dict[int, int], shape: Shape, profile: int) -> dict[int, list[tuple[int, int]]]:
    """Steps 1 and 2: the chunks to carry, with their (position, input value) in position order."""
    k = PROFILES[profile][0]
    by_chunk: dict[int, list[tuple[int, int]]] = {}
    for index, value in change.items():
        if value:
            by_chunk.setdefault(index // CHUNK, []).append((index % CHUNK, value))
    chosen = {}
    for chunk, values in by_chunk.items():
        if len(values) >= k:
            chosen[chunk] = sorted(sorted(values, key=lambda pv: (-abs(pv[1]), pv[0]))[:k])
    room = (MAX_BYTES - 272 - -(-shape.chunks() // 8)) // RECORD
    strongest = sorted(chosen, key=lambda c: (-sum(v * v for _, v in chosen[c]), c))[:room]
    return {chunk: chosen[chunk] for chunk in sorted(strongest)}


def reference_encode(change: dict[int, int], shape: Shape, head: Header) -> bytes:
    """The container of a change in units; Refused("empty") when no chunk qualifies."""
    records = {}
    for chunk, values in chosen_records(change, shape, head.profile).items():
        if head.profile == 1:
            records[chunk] = record_1([(p, nearest_fp16(v, MAX_VALUE)) for p, v in values])
        else:
            bits, levels = fit_scale([abs(v) for _, v in values])
            codes = [1 + level if v > 0 else 2 - level for (_, v), level in zip(values, levels)]
            records[chunk] = record_2([p for p, _ in values], bits, codes)
    need(bool(records), "empty")
    return delta_container(head, shape, records)
