"""Section 5: EIP-2333/2334 validator keys, peer ids, and the BIP-32 funded account."""

import hashlib
import hmac

from coincurve import PublicKey
from eth_consensus_specs.utils import bls

from .common import H, K, be, document, rand, refusal

BLS_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
SECP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HARD = 1 << 31
# Seed, master key, child index, child key: the four test cases printed in EIP-2333.
EIP_2333 = [
    (
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
        6083874454709270928345386274498605044986640685124978867557563392430687146096,
        0,
        20397789859736650942317412262472558107875392172444076792671091975210932703118,
    ),
    (
        "3141592653589793238462643383279502884197169399375105820974944592",
        29757020647961307431480504535336562678282505419141012933316116377660817309383,
        3141592653,
        25457201688850691947727629385191704516744796114925897962676248250929345014287,
    ),
    (
        "0099ff991111002299dd7744ee3355bbdd8844115566cc55663355668888cc00",
        27580842291869792442942448775674722299803720648445448686099262467207037398656,
        4294967295,
        29358610794459428860402234341874281240803786294062035874021252734817515685787,
    ),
    (
        "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
        19022158461524446591288038168518313374041767046816487870552872741050760015818,
        42,
        31372231650479070279774297061823572166496564838472787488249775572789064611981,
    ),
]


def _hkdf_expand(key: bytes, info: bytes, size: int) -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < size:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:size]


def _hkdf_mod_r(ikm: bytes) -> int:
    salt, key = b"BLS-SIG-KEYGEN-SALT-", 0
    while key == 0:
        salt = H(salt)
        prk = hmac.digest(salt, ikm + b"\x00", "sha256")
        key = int.from_bytes(_hkdf_expand(prk, be(48, 2), 48), "big") % BLS_ORDER
    return key


def eip2333_master(seed: bytes) -> int:
    """derive_master_SK."""
    assert len(seed) >= 32
    return _hkdf_mod_r(seed)


def _lamport(ikm: bytes, salt: bytes) -> list[bytes]:
    okm = _hkdf_expand(hmac.digest(salt, ikm, "sha256"), b"", 32 * 255)
    return [okm[32 * i : 32 * i + 32] for i in range(255)]


def eip2333_child(parent: int, index: int) -> int:
    """derive_child_SK."""
    ikm, salt = be(parent, 32), be(index, 4)
    flipped = bytes(b ^ 0xFF for b in ikm)
    parts = _lamport(ikm, salt) + _lamport(flipped, salt)
    return _hkdf_mod_r(H(*(H(part) for part in parts)))


def signing_key(seed: bytes, index: int) -> int:
    """m/12381/3600/i/0/0."""
    key = eip2333_master(seed)
    for step in (12381, 3600, index, 0, 0):
        key = eip2333_child(key, step)
    return key


def peer_id(public_key: bytes) -> str:
    """16 lower-case hex digits."""
    return H(public_key)[:8].hex()


def bip32(seed: bytes, path: list[int]) -> int:
    """The private key at `path`; step >= 2^31 is hardened."""
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    key, code = int.from_bytes(digest[:32], "big"), digest[32:]
    for step in path:
        data = b"\x00" + be(key, 32) if step >= HARD else PublicKey.from_valid_secret(be(key, 32)).format()
        digest = hmac.digest(code, data + be(step, 4), "sha512")
        left = int.from_bytes(digest[:32], "big")
        key, code = (left + key) % SECP_ORDER, digest[32:]
        assert left < SECP_ORDER and key
    return key


def checksummed(address: bytes) -> str:
    """EIP-55."""
    digits = address.hex()
    marks = K(digits.encode()).hex()
    return "0x" + "".join(d.upper() if int(m, 16) >= 8 else d for d, m in zip(digits, marks))


def account(seed: bytes) -> dict:
    """m/44'/60'/0'/0/0."""
    key = be(bip32(seed, [HARD + 44, HARD + 60, HARD, 0, 0]), 32)
    public = PublicKey.from_valid_secret(key).format(compressed=False)
    address = K(public[1:])[12:]
    return {"private_key": key, "public_key": public, "address": address, "checksummed": checksummed(address)}


def known_answers():
    """Published numbers that this file must reproduce before it writes anything."""
    for seed, master, index, child in EIP_2333:
        assert eip2333_master(bytes.fromhex(seed)) == master
        assert eip2333_child(master, index) == child
    vector_1 = bytes(range(16))  # BIP-32 test vector 1: m and m/0'/1/2'/2/1000000000
    assert f"{bip32(vector_1, []):x}" == "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35"
    deep = bip32(vector_1, [HARD, 1, HARD + 2, 2, 1_000_000_000])
    assert f"{deep:x}" == "471b76e389e528d6de6d816857e012c5455051cad6660850e58372a6c3e6e7c8"
    words = b"test test test test test test test test test test test junk"
    well_known = hashlib.pbkdf2_hmac("sha512", words, b"mnemonic", 2048)
    assert account(well_known)["checksummed"] == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def seed_cases() -> list:
    """Everything that follows from a GENESIS_SEED."""
    cases = []
    for name, text in (
        ("zeros", "0" * 64),
        ("ones", "f" * 64),
        ("counting", bytes(range(32)).hex()),
        ("random", rand("genesis seed").hex()),
        ("random_upper_case", rand("genesis seed").hex().upper()),
    ):
        seed = bytes.fromhex(text)
        funded = account(seed)
        validators = []
        for index in range(5):
            key = signing_key(seed, index)
            public = bls.SkToPk(key)
            validators.append(
                {"index": index, "signing_key": be(key, 32), "public_key": public, "peer_id": peer_id(public)}
            )
        credentials = b"\x01" + bytes(11) + funded["address"]
        cases.append(
            {
                "name": name,
                "genesis_seed": text,
                "account": funded,
                "withdrawal_credentials": credentials,
                "validators": validators,
            }
        )
    return cases


def bad_seeds() -> list:
    """GENESIS_SEED texts that are refused."""
    good = rand("genesis seed").hex()
    rows = [
        ("empty", "wrong_length", ""),
        ("63_digits", "wrong_length", good[:63]),
        ("65_digits", "wrong_length", good + "0"),
        ("prefix", "wrong_length", "0x" + good),
        ("prefix_in_64", "not_hex", "0x" + good[:62]),
        ("letter_g", "not_hex", good[:63] + "g"),
        ("space_before", "wrong_length", " " + good),
        ("newline_after", "wrong_length", good + "\n"),
        ("space_inside", "not_hex", good[:10] + " " + good[11:]),
        ("plus_sign", "not_hex", "+" + good[1:]),
        ("underscore", "not_hex", good[:10] + "_" + good[11:]),
        ("wide_digit", "wrong_length", "\uff11" + good[1:]),
        ("two_byte_letter", "not_hex", "\u00e9" + good[2:]),
        ("128_digits", "wrong_length", good + good),
    ]
    return [refusal(name, error, genesis_seed=text) for name, error, text in rows]


def generate() -> dict:
    """identity.json."""
    known_answers()
    eip = [
        {
            "name": f"case_{i}",
            "seed": seed,
            "master_key": be(master, 32),
            "child_index": index,
            "child_key": be(child, 32),
        }
        for i, (seed, master, index, child) in enumerate(EIP_2333)
    ]
    about = "Keys, peer ids and funded account of a GENESIS_SEED; `eip2333`: the EIP's own test cases (keys as 32 bytes BE)."
    return {"identity.json": document(about, "5", seed_cases() + bad_seeds(), eip2333=eip)}
