"""Section 6: shape arithmetic, initial state, resultRoot, and the fold of finalized updates."""

import struct

from .adapter import CHUNK, LIMIT, Shape, applied, initial_a, initial_state, leaf, merkle_root, result_root
from .common import H, document, le, rand, refusal
from .pld1 import Header, Refused, decode, delta_container, merge_container, merged, record_1, void_container
from .pld1_common import GENESIS, SEED, SHAPES

MODELS = {
    "qwen_1_5b": Shape(28, 1536, 1536, 256, 8960),
    "qwen_7b": Shape(28, 3584, 3584, 512, 18944),
    "llama_8b": Shape(32, 4096, 4096, 1024, 14336),
}


def shape_cases() -> list:
    """Counts and offsets; refused shapes."""
    shapes = {**SHAPES, **MODELS, "least": Shape(1, 1, 1, 1, 1), "odd": Shape(3, 5, 7, 11, 13)}
    cases = []
    for name, shape in shapes.items():
        tensors = shape.tensors()
        picks = tensors if len(tensors) <= 42 else tensors[:8] + tensors[-8:]
        cases.append(
            {
                "name": name,
                "shape": shape.as_json(),
                "values": shape.values(),
                "chunks": shape.chunks(),
                "last_chunk": shape.chunk_length(shape.chunks() - 1),
                "tensors": [[t["side"], t["layer"], t["module"], t["rows"], t["columns"], t["offset"]] for t in picks],
            }
        )
    assert MODELS["qwen_1_5b"].values() == 9_232_384
    good = {"layers": 1, "hidden": 8, "query": 8, "key_value": 8, "intermediate": 8}
    for key in good:
        for value in (0, 257 if key == "layers" else 65_537, 2**32 - 1):
            cases.append(refusal(f"{key}_{value}", "out_of_range", shape={**good, key: value}))
    limit = Shape(256, 8192, 8192, 4096, 16_384)
    assert limit.values() == 2**28 and limit.in_range()
    cases.append(
        {
            "name": "just_in",
            "shape": limit.as_json(),
            "values": 2**28,
            "chunks": 2**16,
            "last_chunk": CHUNK,
            "tensors": [],
        }
    )
    beyond = Shape(256, 8192, 8192, 4097, 16_384)
    assert not beyond.in_range()
    for name, shape in (("just_out", beyond), ("largest_numbers", Shape(256, *[65_536] * 4))):
        cases.append(refusal(name, "shape_too_large", shape=shape.as_json(), values=shape.values()))
    return cases


def init_cases() -> list:
    """Initial A of every tensor of a small shape, and roots; one real model's root."""
    cases = []
    shapes = {**SHAPES, "least": Shape(1, 1, 1, 1, 1), "odd": Shape(3, 5, 7, 11, 13), "qwen_1_5b": MODELS["qwen_1_5b"]}
    for name, shape in shapes.items():
        state = initial_state(GENESIS, shape)
        assert len(state) == shape.values() and max(map(abs, state)) < LIMIT
        tensors = [t for t in shape.tensors() if t["side"] == "A"]
        ends = []
        for t in tensors[:14]:
            values = state[t["offset"] : t["offset"] + 8 * t["columns"]]
            ends.append([t["layer"], t["module"], values[:4], values[-4:]])
        case = {"name": name, "genesis_id": GENESIS, "shape": shape.as_json(), "first_and_last": ends}
        cases.append({**case, "first_leaf": leaf(state[:CHUNK]), "result_root": result_root(state)})
    return cases


def bound_cases() -> list:
    """A few values of single tensors with extreme `in` and index."""
    cases = []
    for n_in, tensor in ((1, 0), (2, 1), (3, 2), (1536, 195), (18_944, 195), (65_536, 1_791)):
        values = initial_a(GENESIS, tensor, n_in)
        cases.append(
            {
                "name": f"in_{n_in}",
                "genesis_id": GENESIS,
                "in": n_in,
                "tensor": tensor,
                "first": values[:8],
                "last": values[-8:],
                "least": min(values),
                "largest": max(values),
            }
        )
    return cases


def root_cases() -> list:
    """Roots over given leaves: every count 1..=9 and 17."""
    leaves = [rand(f"leaf/{i}") for i in range(17)]
    cases = [{"name": f"{n}", "leaves": leaves[:n], "root": merkle_root(leaves[:n])} for n in (*range(1, 10), 17)]
    values = [0, 1, -1, LIMIT - 1, 1 - LIMIT, 2**24]
    cases.append({"name": "one_short_chunk", "values": values, "leaf": leaf(values), "root": result_root(values)})
    return cases


class Fold:
    """A follower of finalized updates: head, state, and the states at earlier heads."""

    def __init__(self, shape: Shape):
        self.shape, self.head = shape, GENESIS
        self.state = initial_state(GENESIS, shape)
        self.history = {}
        self.steps = []

    def change(self, container: bytes, children: list[bytes]) -> list[int]:
        """The state after the container, or Refused."""
        out = decode(container, self.shape, 1, GENESIS)
        if out["model_head"] != self.head:
            raise Refused("wrong_head")
        if out["kind"] == 2:
            if out["ancestor"] not in self.history:
                raise Refused("not_a_proper_ancestor")
            return self.history[out["ancestor"]]
        if out["kind"] == 0:
            delta = dict(out["values"])
        else:
            by_id = {H(child): decode(child, self.shape, 1, GENESIS) for child in children}
            parts = [by_id[update] for update, _ in out["children"]]
            if any(part["kind"] != 0 or part["model_head"] != self.head for part in parts):
                raise Refused("bad_child")
            delta = merged([(dict(part["values"]), weight) for part, (_, weight) in zip(parts, out["children"])])
        state = applied(self.state, delta)
        if state is None:
            raise Refused("value_out_of_range")
        return state

    def finalize(self, name: str, container: bytes, children: list[bytes] = ()):
        """Fold one block's update; a broken one adds zero, the head moves all the same."""
        step = {"name": name, "container": container, "children": list(children)}
        try:
            state = self.change(container, list(children))
        except Refused as why:
            state, step["adds_zero"] = self.state, str(why)
        self.history[self.head] = self.state
        self.head = H(b"pol-ai/model/v1", self.head, H(container))
        self.state = state
        self.steps.append({**step, "model_head": self.head, "result_root": result_root(state)})


def fold_case() -> dict:
    """One chain of updates: deltas, a merge, a void, and everything that adds zero."""
    fold = Fold(SHAPES["four_chunks"])
    shape = fold.shape

    def head(kind=0, **changes):
        fields = {"seed": SEED, "slot": 10 + len(fold.steps), "tokens": 1_000, **changes}
        return Header(kind, 1 if kind == 0 else 0, GENESIS, fold.head, **fields)

    def delta(bits, chunk=3, start=0, **changes):
        values = (bits * 20)[:20]
        row = [(start + 3 * i, v) for i, v in enumerate(values)]
        return delta_container(head(**changes), shape, {chunk: record_1(row)})

    fold.finalize("delta_in_a", delta([0x1400, 0x9401, 0x0001], 0))
    first = fold.head
    fold.finalize("delta_in_b", delta([0x3C00, 0xBC00, 0x53FF, 0xD3FF]))
    fold.finalize(
        "wrong_head",
        delta_container(Header(0, 1, GENESIS, first, seed=SEED), shape, {1: record_1([(i, 1) for i in range(20)])}),
    )
    one, two = delta([5, 7], 3, 1), delta([8, 0x8003], 3, 4, seed=rand("second trainer"))
    pairs = sorted([(H(one), 3), (H(two), 2)])
    fold.finalize("merge", merge_container(head(1), pairs), sorted([one, two], key=H))
    before = fold.head
    fold.finalize("exactly_64", delta([0x1, 0x1, 0x2800, 0xA800], 3, 0))  # 63.96875 + 0.03125
    fold.finalize("one_step_below_64", delta([0x1, 0x1, 0x27FF, 0xA7FF], 3, 0))
    fold.finalize("beyond_64", delta([0x53FF], 3, 0))
    broken = delta([1], 2)
    fold.finalize("bad_signature", broken[:-1] + bytes([broken[-1] ^ 1]))
    fold.finalize("not_a_container", b"PLD1")
    third, stray = (
        delta([9], 1),
        delta_container(Header(0, 1, GENESIS, first, seed=SEED), shape, {1: record_1([(i, 1) for i in range(20)])}),
    )
    fold.finalize(
        "merge_with_stray_child",
        merge_container(head(1), sorted([(H(third), 1), (H(stray), 1)])),
        sorted([third, stray], key=H),
    )
    fold.finalize("void_to_itself", void_container(head(2), fold.head))
    fold.finalize("void_to_stranger", void_container(head(2), rand("no head of this chain")))
    fold.finalize("void", void_container(head(2), before))
    fold.finalize("delta_after_void", delta([0x2000, 0xA000], 2, 5))
    fold.finalize("void_to_genesis", void_container(head(2), GENESIS))
    start = {"genesis_id": GENESIS, "profile": 1, "shape": shape.as_json()}
    return {"name": "chain", **start, "initial_root": result_root(initial_state(GENESIS, shape)), "steps": fold.steps}


def manifest(shape: Shape, state: list[int], updates: int, norms: list[int]) -> bytes:
    """What a snapshot begins with (section 13)."""
    room = b"".join(le(norm, 8) for norm in norms).ljust(64 * 8, b"\0")
    leaves = [leaf(state[at : at + CHUNK]) for at in range(0, shape.values(), CHUNK)]
    return bytes([1, len(norms)]) + le(updates, 8) + room + b"".join(leaves)


def snapshot_cases() -> list:
    """Manifests with few, all and no norms; every way not to be one."""
    cases = []
    for name, shape, updates, count in (
        ("four_chunks", SHAPES["four_chunks"], 256, 3),
        ("ten_chunks", SHAPES["ten_chunks"], 2**64 - 1, 64),
        ("least", Shape(1, 1, 1, 1, 1), 0, 0),
    ):
        state = initial_state(GENESIS, shape)
        state[-1] = 1 - LIMIT
        last = state[CHUNK * (shape.chunks() - 1) :]
        norms = [int.from_bytes(rand(f"norm/{i}", 8), "little") for i in range(count)]
        data = manifest(shape, state, updates, norms)
        cases.append(
            {
                "name": name,
                "shape": shape.as_json(),
                "manifest": data,
                "updates": updates,
                "norms": norms,
                "result_root": result_root(state),
                "bytes": len(data) + 4 * shape.values(),
                "last_chunk": struct.pack(f"<{len(last)}i", *last),
            }
        )
    shape = Shape(1, 1, 1, 1, 1)
    good = manifest(shape, initial_state(GENESIS, shape), 512, [7, 0, 9])
    for name, error, data in (
        ("empty", "wrong_length", b""),
        ("one_byte_short", "wrong_length", good[:-1]),
        ("one_leaf_more", "wrong_length", good + bytes(32)),
        ("version_0", "unknown_version", b"\0" + good[1:]),
        ("version_2", "unknown_version", b"\2" + good[1:]),
        ("norms_65", "too_many_norms", good[:1] + bytes([65]) + good[2:]),
        ("norms_255", "too_many_norms", good[:1] + bytes([255]) + good[2:]),
        ("a_norm_beyond_the_count", "unused_not_zero", good[:1] + bytes([2]) + good[2:]),
    ):
        cases.append(refusal(name, error, shape=shape.as_json(), manifest=data))
    return cases


def generate() -> dict:
    """state.json."""
    about = (
        "Shapes; `initial`, `bounds`: initial values; `roots`: Merkle roots; `snapshots`: what they begin with; "
        "`folds`: chains of finalized updates."
    )
    extra = {
        "initial": init_cases(),
        "bounds": bound_cases(),
        "roots": root_cases(),
        "snapshots": snapshot_cases(),
        "folds": [fold_case()],
    }
    return {"state.json": document(about, "6, 6.1, 13", shape_cases(), **extra)}
