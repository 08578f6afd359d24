"""Sections 3 and 4: the 64 bytes of a header and the wire form of `extra_data`."""

from .common import be, document, le, pack_bits, rand, refusal

ZERO = bytes(32)


def parse_header_form(data: bytes, parent_hash: bytes) -> dict | str:
    """The two halves of a header's extraData, or the word for why it is refused."""
    if len(data) != 64:
        return "too_short" if len(data) < 64 else "too_long"
    if data[:32] != parent_hash:
        return "parent_mismatch"
    return {"update_id": data[32:], "empty": data[32:] == ZERO}


def execution_view(data: bytes) -> dict | str:
    """Bytes 0..80 and nothing else."""
    if len(data) < 80:
        return "too_short"
    return {
        "extra_data": data[:64],
        "nonce": int.from_bytes(data[64:72], "big"),
        "difficulty": int.from_bytes(data[72:80], "big"),
    }


def beacon_view(data: bytes) -> dict | str:
    """The head and the trailer's form. Seats, quorum and signature are certificate.json's."""
    if len(data) > 512:
        return "too_long"
    head = execution_view(data)
    if isinstance(head, str):
        return head
    if len(data) == 80:
        return {**head, "certificate": None}
    if len(data) < 80 + 130:
        return "wrong_length"
    n = int.from_bytes(data[112:114], "little")
    if not 1 <= n <= 512:
        return "n_out_of_range"
    size = (n + 7) // 8
    if len(data) != 80 + 130 + size:
        return "wrong_length"
    return {
        **head,
        "certificate": {
            "result_root": data[80:112],
            "n": n,
            "bits": data[114 : 114 + size],
            "signature": data[114 + size :],
        },
    }


def answered(name: str, answer: dict | str, **given) -> dict:
    """A case with its answer under `expect`, or its refusal word under `error`."""
    if isinstance(answer, str):
        return refusal(name, answer, **given)
    return {"name": name, **given, "expect": answer}


def header_cases() -> list:
    """Header form: both kinds, genesis, wrong lengths, a foreign parent."""
    parent, update = rand("parent"), rand("update")
    rows = [
        ("update", parent, parent + update),
        ("empty", parent, parent + ZERO),
        ("genesis", ZERO, bytes(64)),
        ("parent_all_ones", b"\xff" * 32, b"\xff" * 64),
        ("no_bytes", parent, b""),
        ("standard_32_bytes", parent, parent),
        ("one_short", parent, (parent + update)[:-1]),
        ("one_long", parent, parent + update + b"\x00"),
        ("wire_head_in_header", parent, parent + update + bytes(16)),
        ("other_parent", rand("parent2"), parent + update),
        ("halves_swapped", parent, update + parent),
        ("last_parent_bit", parent, parent[:31] + bytes([parent[31] ^ 0x80]) + update),
    ]
    return [answered(n, parse_header_form(d, p), header_parent_hash=p, extra_data=d) for n, p, d in rows]


def wire_cases() -> list:
    """Wire form, both views on every input."""
    parent, update = rand("parent"), rand("update")

    def head(nonce: int, difficulty: int, second=update) -> bytes:
        return parent + second + be(nonce, 8) + be(difficulty, 8)

    def trailer(n: int, size: int | None = None) -> bytes:
        size = (n + 7) // 8 if size is None else size
        bits = pack_bits([i for i in range(min(n, 8 * size)) if i % 3 != 1], size)
        return rand("result root") + le(n, 2) + bits + rand("signature", 96)

    base = head(0x0102030405060708, 0x1112131415161718)
    rows = [("empty_block", head(7, 4096, ZERO)), ("no_trailer", base)]
    rows += [("edges_zero", head(0, 0)), ("edges_max", head(2**64 - 1, 2**64 - 1))]
    for n in (1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 100, 255, 256, 257, 511, 512):
        rows.append((f"n_{n}", base + trailer(n)))
    rows += [(f"length_{size}", (base + trailer(512))[:size]) for size in (0, 1, 32, 63, 64, 72, 79)]
    rows += [
        ("trailer_1", base + b"\x00"),
        ("trailer_32", base + rand("result root")),
        ("trailer_129", base + trailer(1)[:129]),
        ("trailer_130_n_1", base + trailer(1, 0)),
        ("n_1_one_byte_more", base + trailer(1) + b"\x00"),
        ("n_8_two_bit_bytes", base + trailer(8, 2)),
        ("n_9_one_bit_byte", base + trailer(9, 1)),
        ("n_512_one_byte_less", base + trailer(512)[:-1]),
        ("n_512_one_byte_more", base + trailer(512) + b"\x00"),
        ("n_0", base + trailer(0)),
        ("n_0_with_a_bit_byte", base + trailer(0, 1)),
        ("n_513", base + trailer(513)),
        ("n_65535_in_274_bytes", base + trailer(65535, 64)),
        ("n_big_endian_1", base + trailer(256, 1)),
        ("length_512_unfit", base + trailer(512) + bytes(512 - 80 - 194)),
        ("length_513", base + trailer(512) + bytes(513 - 80 - 194)),
    ]
    cases = []
    for name, wire in rows:
        views = {}
        for view, answer in (("execution", execution_view(wire)), ("beacon", beacon_view(wire))):
            views[view] = {"error": answer} if isinstance(answer, str) else answer
        cases.append({"name": name, "wire": wire, **views})
    return cases


def generate() -> dict:
    """extra_data.json and wire.json."""
    return {
        "extra_data.json": document(
            "Header extraData, 64 bytes, against the header's parent hash.", "3", header_cases()
        ),
        "wire.json": document(
            "Wire form of extra_data: the execution client's and the beacon node's view.", "4", wire_cases()
        ),
    }
