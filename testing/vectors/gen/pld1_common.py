"""Contexts, keys and case writers shared by the PLD1 vector files."""

from . import ed25519
from .adapter import CHUNK, Shape
from .common import H, rand, refusal, u32
from .pld1 import PROFILES, Header, Refused, decode, fp16_units, record_1, record_2

GENESIS = rand("pld1/genesis id")
HEAD = rand("pld1/model head")
SEED = rand("pld1/trainer secret")
SHAPES = {
    "four_chunks": Shape(2, 64, 64, 32, 96),  # last chunk 2,560 values
    "ten_chunks": Shape(5, 64, 64, 32, 96),  # a bitmap of two bytes, last chunk 256 values
    "tail_of_8": Shape(1, 64, 128, 72, 59),  # last chunk 8 values: it can never be carried
}


def context_json() -> dict:
    """What the reader needs for every case."""
    shapes = {
        name: {**s.as_json(), "values": s.values(), "chunks": s.chunks(), "last_chunk": s.chunk_length(s.chunks() - 1)}
        for name, s in SHAPES.items()
    }
    return {
        "genesis_id": GENESIS,
        "model_head": HEAD,
        "trainer_secret": SEED,
        "trainer_key": ed25519.public_key(SEED),
        "shapes": shapes,
    }


def header(kind: int, profile: int, **changes) -> Header:
    """A header with plausible fields."""
    fields = dict(slot=1234, commitment=rand("pld1/samples"), steps=50, tokens=65_536, seed=SEED)
    return Header(kind, profile, GENESIS, HEAD, **{**fields, **changes})


def decoded_case(name: str, shape: str, profile: int, container: bytes) -> dict:
    """Decode and write down everything, or the refusal."""
    try:
        out = decode(container, SHAPES[shape], profile, GENESIS)
    except Refused as why:
        return refusal(name, str(why), shape=shape, container=container)
    return {"name": name, "shape": shape, "container": container, "update_id": H(container), "decoded": out}


def expect_refusal(name: str, error: str, shape: str, profile: int, container: bytes) -> dict:
    """A case that must be refused for exactly this reason."""
    case = decoded_case(name, shape, profile, container)
    assert case.get("error") == error, (name, error, case.get("error"))
    return case


def random_positions(label: str, k: int, length: int) -> list[int]:
    """k increasing positions below `length`, from the PRNG."""
    ranked = sorted(range(length), key=lambda p: H(b"position", label.encode(), p.to_bytes(4, "little")))
    return sorted(ranked[:k])


def random_record(label: str, profile: int, length: int = CHUNK) -> bytes:
    """A valid record."""
    k = PROFILES[profile][0]
    positions = random_positions(label, k, length)
    if profile == 2:
        scale = u32(rand(f"{label}/scale")) % 0x4800 + 1
        return record_2(positions, scale, [b % 4 for b in rand(f"{label}/codes", k)])
    values = []
    for i, position in enumerate(positions):
        bits = u32(rand(f"{label}/value/{i}")) % 0x10000
        while not fp16_units(bits) or abs(fp16_units(bits)) >= 2**30:
            bits = (bits + 7919) % 0x10000
        values.append((position, bits))
    return record_1(values)
