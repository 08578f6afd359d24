"""Bad tokens in all 14 ways, batch bombs, deep JSON, oversized bodies: against every port of `pol-execution` that takes them. Each is refused
the way it should be, the memory stays where it was, and who behaves is served all the while.

usage: hostile.py HTTP_URL AUTH_URL AI_ENGINE_URL JWT_FILE PID"""

import hashlib
import hmac
import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from node import base64url, token

MIB = 1 << 20
CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}


def post(url: str, body: bytes, tokens: list[str] = ()) -> tuple[int, bytes]:
    """Status and body; as many Authorization headers as asked for."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    for one in tokens:
        connection.putheader("Authorization", f"Bearer {one}")
    connection.endheaders()
    try:
        connection.send(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # It has heard enough; what it says of it is there to be read.
    try:
        response = connection.getresponse()
        return response.status, response.read()
    except (ConnectionError, http.client.BadStatusLine):
        return 0, b"cut off"
    finally:
        connection.close()


def signed(key: bytes, claims: dict, algorithm: str = "HS256", digest=hashlib.sha256) -> str:
    """A token of any kind."""
    parts = {"alg": algorithm, "typ": "JWT"}, claims
    text = b".".join(base64url(json.dumps(part).encode()) for part in parts)
    signature = b"" if algorithm == "none" else base64url(hmac.digest(key, text, digest))
    return (text + b"." + signature).decode()


def tokens(secret: bytes):
    """The 14 ways: name, Authorization headers, whether they are good."""
    now = int(time.time())
    iat = {"iat": now}
    return [
        ("no signature", [signed(secret, iat, "none")], False),
        ("HS512", [signed(secret, iat, "HS512", hashlib.sha512)], False),
        ("RS256", [signed(secret, iat, "RS256")], False),
        ("another key", [signed(bytes(32), iat)], False),
        ("31 bytes of the key", [signed(secret[:31], iat)], False),
        ("a byte more than the key", [signed(secret + b"\1", iat)], False),
        ("no iat", [signed(secret, {})], False),
        ("55 s ago", [signed(secret, {"iat": now - 55})], True),
        ("55 s ahead", [signed(secret, {"iat": now + 55})], True),
        ("65 s ago", [signed(secret, {"iat": now - 65})], False),
        ("65 s ahead", [signed(secret, {"iat": now + 65})], False),
        ("iat as text", [signed(secret, {"iat": str(now)})], False),
        ("64 KB", [signed(secret, {**iat, "id": "x" * 48_000})], False),
        ("two headers", [token(secret)] * 2, False),
    ]


def check_tokens(url: str, secret: bytes):
    """401 with one and the same text for all of them, and the good ones are heard."""
    refusals = set()
    for name, headers, is_good in tokens(secret):
        status, answer = post(url, json.dumps(CALL).encode(), headers)
        if is_good:
            assert status == 200, f"{name}: {status} {answer}"
        elif name == "64 KB" and status == 431:
            pass  # The HTTP server's own bound on headers comes first.
        else:
            assert status == 401, f"{name}: {status} {answer}"
            refusals.add(answer)
    status, answer = post(url, json.dumps(CALL).encode())
    assert status == 401 and len(refusals | {answer}) == 1, refusals


def error_code(status: int, answer: bytes) -> int | None:
    """Of the one error that an answer is; a batch of nonsense is answered by a batch."""
    answer = json.loads(answer) if status == 200 else {}
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else None


def bombs(most: int):
    """Name, body, and whether it is too much by its bytes."""
    call = json.dumps(CALL)
    return [
        ("65 calls", f"[{','.join([call] * 65)}]", False),
        ("100,000 calls", f"[{','.join(['{}'] * 100_000)}]", False),
        ("10,000 arrays in each other", "[" * 10_000 + "]" * 10_000, False),
        ("10,000 objects in each other", '{"a":' * 10_000 + "1" + "}" * 10_000, False),
        ("deep parameters", json.dumps({**CALL, "method": "eth_getBalance"}).replace("[]", "[" * 9_000 + "]" * 9_000), False),
        ("no JSON", "{" * 3, False),
        ("nothing", "", False),
        ("more bytes than a request may have", f'{{"a":"{"0" * most}"}}', True),
        ("128 MiB", " " * (128 * MIB), True),
    ]


def check_bombs(url: str, authorization: list[str], most: int):
    """An error of JSON-RPC or 413; a good call after each."""
    for name, body, is_too_large in bombs(most):
        status, answer = post(url, body.encode(), authorization)
        if is_too_large:
            assert status in (0, 413), f"{name}: {status} {answer[:200]}"
        else:
            assert error_code(status, answer) in (-32600, -32700, -32010, -32602) or status == 400, f"{name}: {status} {answer[:200]}"
        status, answer = post(url, json.dumps(CALL).encode(), authorization)
        assert status == 200 and "result" in json.loads(answer), f"after {name}: {status} {answer}"
    # Twice the same id in a batch is two answers.
    status, answer = post(url, json.dumps([CALL, CALL]).encode(), authorization)
    assert [one["id"] for one in json.loads(answer)] == [1, 1]
    # The largest that is taken: 15 MB of hex where they are no payload.
    method = {**CALL, "method": "eth_sendRawTransaction", "params": ["0x" + "00" * min(most // 2 - 200, 7_500_000)]}
    status, answer = post(url, json.dumps(method).encode(), authorization)
    assert error_code(status, answer) in (-32000, -32602, -32601), answer[:200]


def resident(pid: str) -> int:
    """Memory of the process, bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def main(http_url: str, auth: str, ai_engine: str, jwt_file: str, pid: str):
    """All ports."""
    secret = bytes.fromhex(Path(jwt_file).read_text(encoding="ascii").strip().removeprefix("0x"))
    before = resident(pid)
    check_tokens(auth, secret)
    check_tokens(ai_engine, secret)
    check_bombs(auth, [token(secret)], 32 * MIB)
    check_bombs(http_url, [], MIB)
    status = [post(ai_engine, body.encode(), [token(secret)])[0] for name, body, _ in bombs(MIB)]
    assert all(code in (0, 200, 400, 413) for code in status), status
    grown = (resident(pid) - before) // MIB
    # A request of 32 MiB is held once as bytes; the rest is the allocator's.
    assert grown <= 96, f"the process has grown by {grown} MiB"
    print(f"{len(tokens(secret))} tokens on two ports, {len(bombs(1))} bombs on three; {grown} MiB more than before")


if __name__ == "__main__":
    main(*sys.argv[1:])
