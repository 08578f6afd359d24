"""What the oracle tells the other side: tagged frames of length-prefixed fields on standard output."""

import json
import sys

from .common import le


class Frames:
    """Writes frames; the reader is tests/stream of the Rust crate."""

    def __init__(self, out=None):
        self._out = out or sys.stdout.buffer

    def send(self, tag: str, *fields: bytes):
        """tag (1) || number of fields (1) || each field's length u32 and bytes."""
        data = tag.encode() + bytes([len(fields)])
        for field in fields:
            data += le(len(field), 4) + bytes(field)
        self._out.write(data)
        self._out.flush()

    def json(self, tag: str, value: dict):
        """One field of JSON."""
        self.send(tag, json.dumps(value).encode())
