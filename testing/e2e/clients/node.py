"""How the programs here talk to a client: JSON-RPC over HTTP, with a JWT made by hand where one is asked for."""

import base64
import hashlib
import hmac
import itertools
import json
import time

import requests


def base64url(data: bytes) -> bytes:
    """Without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(secret: bytes, claims: dict | None = None, header: dict | None = None) -> str:
    """A JWT as the Engine API's authentication wants it: HS256, issued now."""
    parts = (header or {"alg": "HS256", "typ": "JWT"}), claims if claims is not None else {"iat": int(time.time())}
    signed = b".".join(base64url(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + base64url(hmac.digest(secret, signed, hashlib.sha256))).decode()


class RpcError(Exception):
    """What a JSON-RPC error says."""

    def __init__(self, error: dict):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")


class Port:
    """A JSON-RPC port."""

    def __init__(self, url: str, secret: bytes | None = None):
        self.url, self.secret = url, secret
        self.session, self.ids = requests.Session(), itertools.count(1)

    def call(self, method: str, *params):
        """The result, or RpcError."""
        headers = {"Authorization": f"Bearer {token(self.secret)}"} if self.secret else {}
        body = {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}
        answer = self.session.post(self.url, json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        answer = answer.json()
        assert answer["id"] == body["id"], answer
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def refused(self, code: int, method: str, *params) -> str:
        """The message of an error that must come, with its code."""
        try:
            result = self.call(method, *params)
        except RpcError as error:
            assert error.code == code, f"{method}: {error}, expected {code}"
            return error.message
        raise AssertionError(f"{method}: {result}, expected the error {code}")


def number(text: str) -> int:
    """A quantity."""
    assert text == hex(int(text, 16)), f"{text} is no quantity"
    return int(text, 16)


def data(text: str) -> bytes:
    """Bytes."""
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def text(value: bytes | int) -> str:
    """Bytes or a quantity, for the wire."""
    return hex(value) if isinstance(value, int) else "0x" + value.hex()
