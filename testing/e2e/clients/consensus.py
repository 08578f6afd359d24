"""A consensus client of few words, which makes its own blocks: payloads out of what replay.py computes, so that the client under test has
to agree with the specification before anything else is asked of it."""

from dataclasses import replace

from ethereum.crypto.hash import keccak256
from node import Port, data, text
from replay import Replay, block_hash, plain, seal

ZERO = bytes(32)
FEES_TO = "0x00000000000000000000000000000000000000fe"
WITHDRAWALS = [{"index": "0x0", "validatorIndex": "0x1", "address": "0x00000000000000000000000000000000000000aa", "amount": "0x5"}]


class Payload:
    """An execution payload, and what goes with it."""

    def __init__(self, fields: dict, beacon_root: str):
        self.fields, self.beacon_root = fields, beacon_root

    @property
    def hash(self) -> bytes:
        """Of its block."""
        return data(self.fields["blockHash"])

    def changed(self, **fields) -> "Payload":
        """With other fields, its hash as it is."""
        return Payload({**self.fields, **fields}, self.beacon_root)


def payload_of(header, transactions: list[bytes], withdrawals: list[dict], trailer: bytes = b"") -> Payload:
    """A sealed header and its body in the wire form (docs/PROTOCOL.md, section 4)."""
    wire = bytes(header.extra_data) + bytes(header.nonce) + int(header.difficulty).to_bytes(8, "big") + trailer
    fields = {
        "parentHash": text(bytes(header.parent_hash)),
        "feeRecipient": text(bytes(header.coinbase)),
        "stateRoot": text(bytes(header.state_root)),
        "receiptsRoot": text(bytes(header.receipt_root)),
        "logsBloom": text(bytes(header.bloom)),
        "prevRandao": text(bytes(header.prev_randao)),
        "blockNumber": text(int(header.number)),
        "gasLimit": text(int(header.gas_limit)),
        "gasUsed": text(int(header.gas_used)),
        "timestamp": text(int(header.timestamp)),
        "extraData": text(wire),
        "baseFeePerGas": text(int(header.base_fee_per_gas)),
        "blockHash": text(block_hash(header)),
        "transactions": [text(raw) for raw in transactions],
        "withdrawals": withdrawals,
        "blobGasUsed": text(int(header.blob_gas_used)),
        "excessBlobGas": text(int(header.excess_blob_gas)),
    }
    return Payload(fields, text(bytes(header.parent_beacon_block_root)))


class Block:
    """A block made here: header, body, and the chain up to and with it."""

    def __init__(self, chain: Replay, transactions: list[bytes], withdrawals: list[dict], trailer: bytes = b""):
        self.chain, self.transactions, self.withdrawals, self.trailer = chain, transactions, withdrawals, trailer
        self.header = chain.head

    @property
    def payload(self) -> Payload:
        """For newPayload."""
        return payload_of(self.header, self.transactions, self.withdrawals, self.trailer)

    @property
    def hash(self) -> bytes:
        """Its hash."""
        return block_hash(self.header)

    def forged(self, is_sealed_anew: bool = True, **fields) -> Payload:
        """With other header fields and the hash that they give."""
        header = replace(self.header, **fields)
        return payload_of(seal(header) if is_sealed_anew else header, self.transactions, self.withdrawals)


def attributes(timestamp: int, salt: int = 0) -> dict:
    """Payload attributes; the salt makes siblings."""
    return {
        "timestamp": text(timestamp),
        "prevRandao": text(bytes([salt]) * 32),
        "suggestedFeeRecipient": FEES_TO,
        "withdrawals": WITHDRAWALS,
        "parentBeaconBlockRoot": text(bytes(keccak256(timestamp.to_bytes(8, "big")))),
    }


def make(parent: Replay, slots: int = 1, salt: int = 0, transactions=(), update: bytes = ZERO, trailer: bytes = b"") -> Block:
    """A child of a chain's end, so many slots later, sealed."""
    chain = parent.copy()
    timestamp = int(chain.head.timestamp) + slots * chain.slot_seconds
    inputs = {**attributes(timestamp, salt), "gasLimit": int(chain.head.gas_limit), "updateId": update.hex()}
    inputs["feeRecipient"] = inputs["suggestedFeeRecipient"]
    transactions = list(transactions)
    header = seal(parent.copy().header(inputs, transactions, WITHDRAWALS))
    chain.extend(inputs, bytes(header.nonce), transactions, WITHDRAWALS)
    return Block(chain, transactions, WITHDRAWALS, trailer)


class Engine(Port):
    """The Engine API, version 3."""

    def new_payload(self, payload: Payload, blobs: list[str] = ()) -> tuple[str, bytes | None, str]:
        """Status, latestValidHash, validationError."""
        return status(self.call("engine_newPayloadV3", payload.fields, list(blobs), payload.beacon_root))

    def forkchoice(self, head: bytes, safe: bytes = ZERO, final: bytes = ZERO, wanted: dict | None = None):
        """Status of the head, and the id of the payload that is being built."""
        answer = self.call("engine_forkchoiceUpdatedV3", state(head, safe, final), wanted)
        return status(answer["payloadStatus"])[:2], answer["payloadId"]

    def accept(self, block: Block):
        """A block that must be valid, and becomes the head."""
        found = self.new_payload(block.payload)
        assert found == ("VALID", block.hash, ""), found
        assert self.forkchoice(block.hash) == (("VALID", block.hash), None)

    def build(self, chain: Replay, timestamp: int, salt: int = 0) -> Payload:
        """What the client builds on a head."""
        wanted = attributes(timestamp, salt)
        found, payload_id = self.forkchoice(chain.hash, wanted=wanted)
        assert found == ("VALID", chain.hash) and payload_id, found
        answer = self.call("engine_getPayloadV3", payload_id)
        assert answer["blobsBundle"] == {"commitments": [], "proofs": [], "blobs": []} and not answer["shouldOverrideBuilder"]
        return Payload(answer["executionPayload"], wanted["parentBeaconBlockRoot"])


def status(answer: dict) -> tuple[str, bytes | None, str]:
    """PayloadStatusV1."""
    latest = answer["latestValidHash"]
    return answer["status"], None if latest is None else data(latest), answer.get("validationError") or ""


def state(head: bytes, safe: bytes = ZERO, final: bytes = ZERO) -> dict:
    """ForkchoiceStateV1."""
    return {"headBlockHash": text(head), "safeBlockHash": text(safe), "finalizedBlockHash": text(final)}


def followed(chain: Replay, payload: Payload) -> Replay:
    """The chain with a payload that the client built, every field of it computed again."""
    fields, chain = payload.fields, chain.copy()
    extra = data(fields["extraData"])
    inputs = {**fields, "parentBeaconBlockRoot": payload.beacon_root, "updateId": extra[32:64].hex()}
    transactions = [data(raw) for raw in fields["transactions"]]
    header = chain.extend(inputs, extra[64:72], transactions, fields["withdrawals"])
    expected = payload_of(header, transactions, fields["withdrawals"], extra[80:]).fields
    assert fields == expected, {name: (fields.get(name), value) for name, value in expected.items() if fields.get(name) != value}
    assert plain(fields["blockHash"]) == chain.hash
    return chain
