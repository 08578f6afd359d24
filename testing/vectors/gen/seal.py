"""Section 3: Cancun header RLP, seal hash, block hash, target and lowest nonce."""

import rlp

from .common import K, be, document, le, rand, refusal

FIELDS = [
    ("parent_hash", 32),
    ("ommers_hash", 32),
    ("beneficiary", 20),
    ("state_root", 32),
    ("transactions_root", 32),
    ("receipts_root", 32),
    ("logs_bloom", 256),
    ("difficulty", int),
    ("number", int),
    ("gas_limit", int),
    ("gas_used", int),
    ("timestamp", int),
    ("extra_data", bytes),
    ("mix_hash", 32),
    ("nonce", "8 bytes BE"),
    ("base_fee_per_gas", int),
    ("withdrawals_root", 32),
    ("blob_gas_used", int),
    ("excess_blob_gas", int),
    ("parent_beacon_block_root", 32),
]


def encode(header: dict) -> bytes:
    """RLP of the 20 fields; integers without leading zeros, the nonce always 8 bytes."""
    values = []
    for name, kind in FIELDS:
        value = header[name]
        if name == "nonce":
            value = be(value, 8)
        elif kind is int:
            value = be(value, (value.bit_length() + 7) // 8)
        elif kind is not bytes:
            assert len(value) == kind, name
        values.append(value)
    return rlp.encode(values)


def target(difficulty: int) -> int:
    """The largest hash that seals."""
    return (2**256 - 1) // difficulty


def seal_hash(header: dict) -> bytes:
    """The hash the nonce is searched under."""
    return K(encode({**header, "nonce": 0}))


def is_sealed(seal: bytes, nonce: int, difficulty: int) -> bool:
    """Whether the nonce seals."""
    return int.from_bytes(K(seal, be(nonce, 8)), "big") <= target(difficulty)


def header(label: str, **changes) -> dict:
    """A header filled from the PRNG, with the fields of `changes` instead."""
    out = {}
    for name, kind in FIELDS:
        out[name] = rand(f"header/{label}/{name}", kind if isinstance(kind, int) else 8)
    out.update(difficulty=1, number=7, gas_limit=30_000_000, gas_used=21_000, timestamp=1_700_000_012)
    out.update(nonce=0, base_fee_per_gas=7, blob_gas_used=0, excess_blob_gas=0)
    out["extra_data"] = out["parent_hash"] + rand(f"header/{label}/update")
    return {**out, **changes}


def seal_cases() -> list:
    """Headers sealed by searching from nonce 0."""
    genesis = header(
        "genesis",
        parent_hash=bytes(32),
        ommers_hash=K(rlp.encode([])),
        beneficiary=bytes(20),
        logs_bloom=bytes(256),
        mix_hash=bytes(32),
        number=0,
        gas_used=0,
        difficulty=4096,
        extra_data=bytes(64),
        transactions_root=K(rlp.encode(b"")),
        receipts_root=K(rlp.encode(b"")),
        withdrawals_root=K(rlp.encode(b"")),
        parent_beacon_block_root=bytes(32),
    )
    large = 2**64 - 1
    wide = dict(number=large, gas_limit=large, gas_used=large, timestamp=large)
    wide.update(base_fee_per_gas=large, blob_gas_used=large, excess_blob_gas=large)
    empty = header("empty", difficulty=300)
    empty["extra_data"] = empty["parent_hash"] + bytes(32)
    rows = [("genesis", genesis), ("empty_block", empty), ("wide_integers", header("wide", difficulty=200, **wide))]
    rows.append(("one_byte_integers", header("small", difficulty=127, number=128, gas_limit=255, gas_used=256)))
    for difficulty in (1, 2, 3, 255, 256, 1_000, 4_096, 16_384, 65_536):
        rows.append((f"difficulty_{difficulty}", header(f"d{difficulty}", difficulty=difficulty)))
    cases = []
    for name, fields in rows:
        seal = seal_hash(fields)
        nonce = next(n for n in range(2**64) if is_sealed(seal, n, fields["difficulty"]))
        sealed = {**fields, "nonce": nonce}
        cases.append(
            {
                "name": name,
                "header": sealed,
                "rlp": encode(sealed),
                "seal_hash": seal,
                "pow_hash": K(seal, be(nonce, 8)),
                "block_hash": K(encode(sealed)),
            }
        )
    return cases


def check_cases() -> list:
    """Nonces against a seal hash: valid, invalid, and the two byte orders apart."""
    cases = []
    seal = rand("seal hash")
    for difficulty in (1, 2, 16, 300, 2**64 - 1):
        for nonce in (0, 1, 2, 255, 256, 2**63, 2**64 - 1):
            cases.append(
                {
                    "name": f"d{difficulty}_n{nonce}",
                    "seal_hash": seal,
                    "difficulty": difficulty,
                    "nonce": nonce,
                    "valid": is_sealed(seal, nonce, difficulty),
                }
            )
    found = next(n for n in range(1, 2**32) if is_sealed(seal, n, 300) and n % 256)
    swapped = int.from_bytes(le(found, 8), "big")
    for name, nonce in (("big_endian", found), ("little_endian", swapped)):
        valid = is_sealed(seal, nonce, 300)
        cases.append({"name": name, "seal_hash": seal, "difficulty": 300, "nonce": nonce, "valid": valid})
    assert not cases[-1]["valid"]
    return cases


def target_cases() -> list:
    """Targets (32 bytes BE); a hash equal to the target seals, one above does not."""
    cases = [refusal("zero", "zero_difficulty", difficulty=0)]
    for difficulty in (1, 2, 3, 5, 255, 256, 257, 65_537, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1):
        limit = target(difficulty)
        hashes = [[be(limit, 32), True], [bytes(32), True]]
        hashes += [[be(limit + 1, 32), False]] if limit < 2**256 - 1 else []
        cases.append({"name": f"{difficulty}", "difficulty": difficulty, "target": be(limit, 32), "hashes": hashes})
    return cases


# Block 10,623,944 of the public test network Goerli (after Cancun), as its nodes answered eth_getBlockByHash.
GOERLI_HASH = "2980314632a35ff83ef1f26a2a972259dca49353ed9368a04f21bcd7a5512231"
GOERLI = {
    "parent_hash": "c2fc3c51d15a2fe6f219079694865ffd9f8fe56e714d9bc49e9451e1c430acf9",
    "ommers_hash": "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "beneficiary": "b64a30399f7f6b0c154c2e7af0a3ec7b0a5b131a",
    "state_root": "cff5056271c6e6f6bf04d2e82392fa3ebcf2bc4aca9fe8801edcfcc261ddb557",
    "transactions_root": "22309b0cc7df445160ca2c6ca344e63296231fad2e9322989477851d38c0eea0",
    "receipts_root": "7941071eea76cec0eb4541854bd7820ef36c4d44ae51413063b45d9ea127313d",
    "logs_bloom": (
        "40200000202018800808200040082040800001000040000000200984800600000200000000000810000020014000200028000000200000010530"
        "034004202010000440800d00a0000100000800000820020100009040808c80004000000040000017000003040610800002002800081a405800080"
        "060140080004a100000000308220100000400020002000100004000040412020010020000018040000000010700804008040088108001020004110"
        "008026280800021824180002c00008200a01440120000223009022014801001120080000020080000090100020000281004102000802802a182002"
        "4000c00020008000290151802004000080000000804"
    ),
    "difficulty": 0,
    "number": 0xA21BC8,
    "gas_limit": 0x1C9C380,
    "gas_used": 0x2FF140,
    "timestamp": 0x65E324A4,
    "extra_data": "496c6c756d696e61746520446d6f63726174697a6520447374726962757465",
    "mix_hash": "e5cf393a9e4b40800fd4e4a1d2be0de08e7aabc83de5fd16ff719680d7a04253",
    "nonce": 0,
    "base_fee_per_gas": 7,
    "withdrawals_root": "cba66455c17861d36575f98adedc90b1fc56bbef7982992cab6914528dbd0100",
    "blob_gas_used": 0xC0000,
    "excess_blob_gas": 0x4B40000,
    "parent_beacon_block_root": "ca280fd409ee503ae331931d64ee7fc29da9ed566cba6dfc4212a2f2f8004c41",
}


def public_header() -> list:
    """A header of a public network; only its RLP and its hash are of use here (no seal, other extra data)."""
    fields = {key: bytes.fromhex(value) if isinstance(value, str) else value for key, value in GOERLI.items()}
    data = encode(fields)
    assert K(data).hex() == GOERLI_HASH, "our RLP or hash differs from the public network"
    return [{"name": "goerli_10623944", "header": fields, "rlp": data, "block_hash": K(data)}]


def generate() -> dict:
    """seal.json and header_goerli.json."""
    assert K(b"").hex().startswith("c5d2460186f7233c927e7db2dcc703c0"), "not Keccak"
    public = document("A real Cancun header of a public test network: RLP and block hash.", "3", public_header())
    about = "Headers sealed at the lowest nonce; `checks`: nonces tried; `targets`: [hash, meets it] lists."
    return {
        "header_goerli.json": public,
        "seal.json": document(about, "3", seal_cases(), checks=check_cases(), targets=target_cases()),
    }
