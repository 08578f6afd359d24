"""Sections 2.1 and 6: chain.toml, its canonical bytes, genesis_id, and the fold of model heads."""

import tomllib

from .common import H, document, le, rand, refusal

TARGETS = ["q", "k", "v", "o", "gate", "up", "down"]
SHAPE = ["layers", "hidden", "query", "key_value", "intermediate"]


def chain(label: str, **changes) -> dict:
    """A chain's values by chain.toml key."""
    out = {
        "genesis_time": 1_700_000_000,
        "preset": "minimal",
        "slot_seconds": 3,
        "chain_id": 1_337_001,
        "genesis_validators_root": rand(f"{label}/validators"),
        "execution_genesis_hash": rand(f"{label}/execution"),
        "quorum": "auto",
        "difficulty_floor": 4_096,
        "model.manifest_hash": rand(f"{label}/manifest"),
        "model.layers": 2,
        "model.hidden": 64,
        "model.query": 64,
        "model.key_value": 32,
        "model.intermediate": 96,
        "gate.dev_texts_hash": rand(f"{label}/texts"),
        "gate.reference_losses": [2_000_000_000 + 17 * i for i in range(32)],
        "lora.rank": 8,
        "lora.alpha": 16,
        "lora.dropout_ppm": 50_000,
        "lora.targets": TARGETS,
        "profile": 1,
        "dev_slash_small": False,
    }
    return {**out, **changes}


def canonical(c: dict) -> bytes:
    """The 450 bytes that are hashed, in the order of section 2.1's table."""
    out = le(c["genesis_time"], 8) + le(["minimal", "mainnet"].index(c["preset"]), 1)
    out += le(c["slot_seconds"], 8) + le(c["chain_id"], 8)
    out += c["genesis_validators_root"] + c["execution_genesis_hash"]
    out += le(0 if c["quorum"] == "auto" else c["quorum"], 2) + le(c["difficulty_floor"], 8)
    out += c["model.manifest_hash"] + b"".join(le(c[f"model.{key}"], 4) for key in SHAPE)
    out += c["gate.dev_texts_hash"] + b"".join(le(loss, 8) for loss in c["gate.reference_losses"])
    out += le(c["lora.rank"], 2) + le(c["lora.alpha"], 2) + le(c["lora.dropout_ppm"], 4)
    out += le(sum(1 << TARGETS.index(name) for name in c["lora.targets"]), 1)
    return out + le(c["profile"], 1) + le(int(c["dev_slash_small"]), 1)


def genesis_id(c: dict) -> bytes:
    """M_0."""
    return H(b"pol-ai/genesis/v1", canonical(c))


def _toml_value(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f'"{value.hex()}"'
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return str(value)


def to_toml(c: dict) -> str:
    """The file: plain keys first, then the tables. A value of None leaves its key out."""
    lines, tables = [], {}
    for key, value in c.items():
        if value is None:
            continue
        table, _, name = key.rpartition(".")
        line = f"{name} = {value.text if isinstance(value, Raw) else _toml_value(value)}"
        (tables.setdefault(table, []) if table else lines).append(line)
    for table, content in tables.items():
        lines += ["", f"[{table}]", *content]
    return "\n".join(lines) + "\n"


class Raw:
    """TOML source for a value, written as it stands."""

    def __init__(self, text: str):
        self.text = text


def chain_cases() -> list:
    """Files that are read."""
    model_7b = {"model.layers": 28, "model.hidden": 3584, "model.query": 3584, "model.key_value": 512}
    model_7b |= {"model.intermediate": 18944, "profile": 2, "preset": "mainnet", "slot_seconds": 12}
    least = dict(genesis_time=1, slot_seconds=1, chain_id=1, quorum=1, difficulty_floor=1)
    least |= {f"model.{key}": 1 for key in SHAPE} | {"gate.reference_losses": [0] * 32}
    most = dict(genesis_time=2**40, slot_seconds=3600, chain_id=2**53 - 1, quorum=512, difficulty_floor=2**62 - 1)
    most |= {"model.layers": 256, "gate.reference_losses": [10**12] * 32, "dev_slash_small": True}
    rows = [("small", {}), ("seven_billion", model_7b), ("least", least), ("most", most), ("quorum_3", {"quorum": 3})]
    cases = []
    for name, changes in rows:
        c = chain(name, **changes)
        text = to_toml(c)
        tomllib.loads(text)
        data = canonical(c)
        assert len(data) == 450
        cases.append({"name": name, "toml": text, "canonical": data, "genesis_id": genesis_id(c)})
    shuffled = dict(reversed(chain("small").items()))
    same = {"name": "small_keys_reversed_with_comment", "toml": "# a comment\n" + to_toml(shuffled)}
    cases.append({**same, "canonical": cases[0]["canonical"], "genesis_id": cases[0]["genesis_id"]})
    return cases


def refused_cases() -> list:
    """Files that are refused; each differs from the file "small" in one thing."""
    good = chain("small")
    cases = [refusal(f"missing_{key}", "missing_key", toml=to_toml({**good, key: None})) for key in good]
    for key in ("extra", "model.extra", "gate.extra", "lora.extra", "other.key"):
        cases.append(refusal(f"unknown_{key}", "unknown_key", toml=to_toml({**good, key: 1})))
    ranges = {
        "genesis_time": [0, -1, 2**40 + 1],
        "preset": ["gnosis", "Minimal", ""],
        "slot_seconds": [0, 3601],
        "chain_id": [0, 2**53],
        "quorum": [0, 513, "all", "Auto"],
        "difficulty_floor": [0, 2**62, 2**63 - 1],
        "model.layers": [0, 257],
        **{f"model.{key}": [0, 65_537, 2**32] for key in SHAPE[1:]},
        "lora.rank": [7, 16],
        "lora.alpha": [8, 17],
        "lora.dropout_ppm": [0, 49_999],
        "lora.targets": [[], TARGETS[:-1], TARGETS[:-1] + ["head"]],
        "profile": [0, 3],
    }
    for key, values in ranges.items():
        for i, value in enumerate(values):
            cases.append(refusal(f"range_{key}_{i}", "out_of_range", toml=to_toml({**good, key: value})))
    losses = good["gate.reference_losses"]
    for name, value in (("negative", [-1]), ("large", [10**12 + 1])):
        cases.append(
            refusal(f"loss_{name}", "out_of_range", toml=to_toml({**good, "gate.reference_losses": losses[1:] + value}))
        )
    for count in (0, 31, 33):
        changed = {"gate.reference_losses": (losses + losses)[:count]}
        cases.append(refusal(f"losses_{count}", "wrong_count", toml=to_toml({**good, **changed})))
    root = good["execution_genesis_hash"].hex()
    for name, text in (
        ("upper", root.upper()),
        ("prefix", "0x" + root),
        ("short", root[:-1]),
        ("long", root + "0"),
        ("g", "g" + root[1:]),
        ("empty", ""),
    ):
        cases.append(refusal(f"hash_{name}", "bad_hash", toml=to_toml({**good, "execution_genesis_hash": text})))
    for key in ("genesis_validators_root", "model.manifest_hash", "gate.dev_texts_hash"):
        cases.append(refusal(f"hash_upper_{key}", "bad_hash", toml=to_toml({**good, key: good[key].hex().upper()})))
    for key, text in (
        ("genesis_time", '"1700000000"'),
        ("slot_seconds", "3.0"),
        ("preset", "0"),
        ("lora.targets", '"q"'),
    ):
        cases.append(refusal(f"type_{key}", "wrong_type", toml=to_toml({**good, key: Raw(text)})))
    text = to_toml(good)
    cases.append(
        refusal(
            "shape_too_large", "shape_too_large", toml=to_toml({**good, "model.layers": 256, "model.hidden": 65_536})
        )
    )
    cases.append(refusal("key_twice", "syntax", toml="profile = 1\n" + text))
    cases.append(refusal("cut", "syntax", toml=text[: text.index("alpha") + 7]))
    cases.append(refusal("no_text", "missing_key", toml=""))
    return cases


def head_cases() -> list:
    """Heads after each block; 0^32 is an empty AI block."""
    cases = []
    for name, pattern in (
        ("none", ""),
        ("one", "u"),
        ("empty_only", "eee"),
        ("mixed", "euueeueu"),
        ("same_id_twice", "ss"),
    ):
        head = rand("genesis id")
        updates, heads = [], []
        for i, letter in enumerate(pattern):
            update = {"e": bytes(32), "u": rand(f"update/{i}"), "s": rand("update/same")}[letter]
            head = head if update == bytes(32) else H(b"pol-ai/model/v1", head, update)
            updates.append(update)
            heads.append(head)
        cases.append({"name": name, "genesis_id": rand("genesis id"), "updates": updates, "heads": heads})
    return cases


def generate() -> dict:
    """genesis.json and model_head.json."""
    about = "chain.toml files: canonical bytes and genesis_id, or why the file is refused."
    return {
        "genesis.json": document(about, "2.1", chain_cases() + refused_cases()),
        "model_head.json": document("Fold of model heads over block update ids.", "6", head_cases()),
    }
