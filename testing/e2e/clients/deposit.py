"""A validator's deposit, from key to transaction: py_ecc signs, web3.py sends. Hashes are made by hand from the consensus specification.

usage: deposit.py EXECUTION_URL BEACON_URL GENESIS_SEED"""

import hashlib
import sys

import requests
from py_ecc.bls import G2ProofOfPossession as bls
from wallet import connect
from web3 import Web3

GWEI = 10**9
AMOUNT = 32 * GWEI
DOMAIN_DEPOSIT = bytes.fromhex("03000000")
INPUTS = [("pubkey", "bytes"), ("withdrawal_credentials", "bytes"), ("signature", "bytes"), ("deposit_data_root", "bytes32")]
ABI = [
    {
        "type": "function",
        "name": "deposit",
        "inputs": [{"name": name, "type": kind} for name, kind in INPUTS],
        "outputs": [],
        "stateMutability": "payable",
    }
]


def pair(left: bytes, right: bytes) -> bytes:
    """A node of an SSZ tree."""
    return hashlib.sha256(left + right).digest()


def root_of_key(key: bytes) -> bytes:
    """Of 48 bytes: two chunks."""
    return pair(key[:32], key[32:] + bytes(16))


def root_of_amount() -> bytes:
    """Of a uint64."""
    return AMOUNT.to_bytes(8, "little") + bytes(24)


def message_root(key: bytes, credentials: bytes) -> bytes:
    """hash_tree_root(DepositMessage)."""
    return pair(pair(root_of_key(key), credentials), pair(root_of_amount(), bytes(32)))


def data_root(key: bytes, credentials: bytes, signature: bytes) -> bytes:
    """hash_tree_root(DepositData)."""
    of_signature = pair(pair(signature[:32], signature[32:64]), pair(signature[64:], bytes(32)))
    return pair(pair(root_of_key(key), credentials), pair(root_of_amount(), of_signature))


def main(execution: str, beacon: str, seed: str):
    """Sends it, waits for its receipt, says whose it was."""
    config = requests.get(f"{beacon}/eth/v1/config/spec", timeout=10).json()["data"]
    version = bytes.fromhex(config["GENESIS_FORK_VERSION"][2:])
    domain = DOMAIN_DEPOSIT + pair(version + bytes(28), bytes(32))[:28]
    secret = bls.KeyGen(b"a validator who was not there at genesis")
    key, credentials = bls.SkToPk(secret), b"\1" + bytes(11) + bytes([0xAB] * 20)
    signature = bls.Sign(secret, pair(message_root(key, credentials), domain))

    w3, _ = connect(execution, seed)
    address = Web3.to_checksum_address(config["DEPOSIT_CONTRACT_ADDRESS"])
    call = w3.eth.contract(address=address, abi=ABI).functions.deposit
    sent = call(key, credentials, signature, data_root(key, credentials, signature)).transact({"value": AMOUNT * GWEI})
    receipt = w3.eth.wait_for_transaction_receipt(sent, timeout=60)
    assert receipt.status == 1 and len(receipt.logs) == 1, receipt
    print("0x" + key.hex())


if __name__ == "__main__":
    main(*sys.argv[1:])
