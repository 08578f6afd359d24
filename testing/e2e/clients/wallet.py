"""web3.py as it comes, beside `pol-execution dev`: what a person with a wallet does. At the end the chain is computed again (replay.py).

usage: wallet.py URL GENESIS_JSON GENESIS_SEED"""

import asyncio
import json
import sys
from pathlib import Path

from eth_account import Account
from eth_account.hdaccount import HDPath
from node import Port, data
from replay import Replay
from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware, SignAndSendRawMiddlewareBuilder

FRIEND = Web3.to_checksum_address("0x" + "77" * 20)
WORD = {"type": "uint256", "name": ""}
ABI = [
    {"type": "function", "name": "total", "inputs": [], "outputs": [WORD], "stateMutability": "view"},
    {"type": "function", "name": "add", "inputs": [{**WORD, "name": "by"}], "outputs": [WORD], "stateMutability": "nonpayable"},
    {"type": "error", "name": "TooMuch", "inputs": [{**WORD, "name": "by"}]},
    {
        "type": "event",
        "name": "Added",
        "anonymous": False,
        "inputs": [
            {"type": "address", "name": "who", "indexed": True},
            {**WORD, "name": "by", "indexed": False},
            {**WORD, "name": "total", "indexed": False},
        ],
    },
]


def connect(url: str, seed: str):
    """web3.py with the funded account's key (docs/PROTOCOL.md, section 5)."""
    account = Account.from_key(HDPath("m/44'/60'/0'/0/0").derive(bytes.fromhex(seed)))
    w3 = Web3(HTTPProvider(url))
    # What every chain with more than 32 bytes of extra data needs of web3.py: it shows them as proofOfAuthorityData.
    w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    w3.eth.default_account = account.address
    return w3, account


def expect(error, call) -> Exception:
    """The error that a call must end with."""
    try:
        found = call()
    except error as raised:
        return raised
    raise AssertionError(f"{found}, expected {error.__name__}")


def transfers(w3):
    """Both kinds of transfer; balances, nonces, fees."""
    before = w3.eth.get_balance(w3.eth.default_account)
    assert before == 10**27 and w3.eth.chain_id == int(w3.net.version) == 1337 and w3.eth.syncing is False
    spent = 0
    for value, fees in ((10**18, {}), (5, {"gasPrice": w3.eth.gas_price})):
        receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_transaction({"to": FRIEND, "value": value, **fees}))
        assert (receipt.status, receipt.gasUsed, receipt.type) == (1, 21_000, 0 if fees else 2)
        spent += value + receipt.gasUsed * receipt.effectiveGasPrice
    assert w3.eth.get_balance(FRIEND) == 10**18 + 5
    assert w3.eth.get_balance(w3.eth.default_account) == before - spent
    assert w3.eth.get_transaction_count(w3.eth.default_account) == 2
    refused = expect(Web3RPCError, lambda: w3.eth.send_transaction({"to": FRIEND, "value": 1, "nonce": 0, "gas": 21_000}))
    assert "nonce too low" in str(refused), refused
    refused = expect(Web3RPCError, lambda: w3.eth.send_transaction({"to": FRIEND, "value": 2**250, "gas": 21_000}))
    assert "insufficient funds" in str(refused), refused


def contract(w3):
    """Deploys, calls, reads what it says and why it refuses."""
    code = Path(__file__).with_name("Counter.hex").read_text(encoding="ascii").strip()
    receipt = w3.eth.wait_for_transaction_receipt(w3.eth.contract(abi=ABI, bytecode=code).constructor().transact())
    counter = w3.eth.contract(address=receipt.contractAddress, abi=ABI)
    runtime = w3.eth.get_code(counter.address)
    assert len(runtime) > 100 and bytes.fromhex(code).endswith(runtime)
    estimate = counter.functions.add(7).estimate_gas()
    receipts = [w3.eth.wait_for_transaction_receipt(counter.functions.add(by).transact()) for by in (7, 5)]
    assert receipts[0].gasUsed <= estimate <= receipts[0].gasUsed * 1.05, estimate
    assert counter.functions.total().call() == 12 and counter.functions.add(3).call() == 15
    assert counter.functions.total().call(block_identifier=receipts[0].blockNumber) == 7
    assert int.from_bytes(w3.eth.get_storage_at(counter.address, 0), "big") == 12
    error = expect(ContractCustomError, counter.functions.add(101).call)
    assert error.data == "0x" + Web3.keccak(text="TooMuch(uint256)")[:4].hex() + f"{101:064x}", error
    assert expect(ContractLogicError, counter.functions.add(0).call).message.endswith("nothing to add")
    return counter, [receipt, *receipts]


def logs(w3, counter, receipts):
    """By range, by topic, by filter; and out of the receipt."""
    events = counter.events.Added.get_logs(from_block=receipts[0].blockNumber)
    assert [(event.args.by, event.args.total) for event in events] == [(7, 7), (5, 12)]
    assert [event.transactionHash for event in events] == [receipt.transactionHash for receipt in receipts[1:]]
    assert counter.events.Added().process_receipt(receipts[1])[0].args.who == w3.eth.default_account
    nobody = counter.events.Added.get_logs(from_block=0, argument_filters={"who": FRIEND})
    assert not nobody
    watched = counter.events.Added.create_filter(from_block="latest")
    w3.eth.wait_for_transaction_receipt(counter.functions.add(1).transact())
    assert [event.args.total for event in watched.get_new_entries()] == [13]


def traces(w3, counter, receipts):
    """Call by call, and step by step."""
    def trace(receipt, *options):
        return w3.provider.make_request("debug_traceTransaction", [receipt.transactionHash.to_0x_hex(), *options])["result"]

    deployed, called = (trace(receipt, {"tracer": "callTracer", "tracerConfig": {"withLog": True}}) for receipt in receipts[:2])
    assert (deployed["type"], deployed["to"]) == ("CREATE", counter.address.lower()), deployed
    assert called["type"] == "CALL" and int(called["gasUsed"], 16) == receipts[1].gasUsed, called
    assert int(called["output"], 16) == 7 and called["input"] == receipts_input(w3, receipts[1])
    assert called["logs"][0]["topics"][0] == Web3.keccak(text="Added(address,uint256,uint256)").to_0x_hex()
    steps = trace(receipts[1])
    assert (steps["gas"], steps["failed"], int(steps["returnValue"], 16)) == (receipts[1].gasUsed, False, 7), steps
    ops = [step["op"] for step in steps["structLogs"]]
    assert {"SLOAD", "SSTORE", "LOG2"} <= set(ops) and ops[-1] == "RETURN", ops
    store = steps["structLogs"][ops.index("SSTORE")]
    assert [int(word, 16) for word in store["stack"][-2:]] == [7, 0], store
    assert {int(slot, 16): int(value, 16) for slot, value in store["storage"].items()} == {0: 7}, store
    error = w3.provider.make_request("debug_traceTransaction", ["0x" + "11" * 32])["error"]
    assert "not found" in error["message"]


def receipts_input(w3, receipt) -> str:
    """What a transaction called with."""
    return w3.eth.get_transaction(receipt.transactionHash).input.to_0x_hex()


def access_list(w3, counter):
    """The slot that a call touches, and its gas."""
    call = counter.functions.add(7).build_transaction({"gas": 100_000})
    answer = w3.provider.make_request("eth_createAccessList", [{k: v for k, v in call.items() if k in ("from", "to", "data")}])
    found = answer["result"]
    assert found["accessList"] == [{"address": counter.address.lower(), "storageKeys": ["0x" + "0" * 64]}], found
    assert 21_000 < int(found["gasUsed"], 16) < 60_000, found


def headers(w3):
    """64 bytes of extra data that begin with the parent's hash, a real nonce and difficulty."""
    nonces = set()
    for number in range(1, w3.eth.block_number + 1):
        block = w3.eth.get_block(number)
        extra = block.proofOfAuthorityData
        assert len(extra) == 64 and extra[:32] == block.parentHash and extra[32:] == bytes(32), extra.hex()
        assert block.difficulty >= 256 and len(block.nonce) == 8
        nonces.add(bytes(block.nonce))
    assert len(nonces) > 1, "every block has the same nonce"


async def subscribe(url: str, counter, act):
    """newHeads and logs over one WebSocket."""
    async with AsyncWeb3(WebSocketProvider(url.replace("http", "ws", 1))) as w3:
        w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        heads = await w3.eth.subscribe("newHeads")
        logs_of = await w3.eth.subscribe("logs", {"address": counter.address})
        hash = await asyncio.to_thread(act)
        seen = {heads: [], logs_of: []}
        async with asyncio.timeout(20):
            async for message in w3.socket.process_subscriptions():
                seen[message["subscription"]].append(message["result"])
                if len(seen[heads]) >= 2 and seen[logs_of]:
                    break
        first, second = seen[heads][:2]
        assert second["parentHash"] == first["hash"] and second["number"] == first["number"] + 1
        extra = first["proofOfAuthorityData"]
        assert len(extra) == 64 and extra[:32] == first["parentHash"]
        assert seen[logs_of][0]["transactionHash"] == hash, seen[logs_of]
        assert await w3.eth.unsubscribe(heads) and await w3.eth.unsubscribe(logs_of)


def main(url: str, genesis_json: str, seed: str):
    """Everything, in the order in which one builds on the other."""
    w3, _ = connect(url, seed)
    transfers(w3)
    counter, receipts = contract(w3)
    logs(w3, counter, receipts)
    traces(w3, counter, receipts)
    access_list(w3, counter)
    asyncio.run(subscribe(url, counter, lambda: counter.functions.add(2).transact()))
    headers(w3)
    replay, port = Replay(genesis_json), Port(url)
    first = port.call("eth_getBlockByNumber", "0x0", False)
    assert data(first["hash"]) == replay.hash, f"genesis: found {first['hash']}, expected {replay.hash.hex()}"
    replay.follow(port, w3.eth.block_number)
    print(json.dumps({"blocks": int(replay.head.number), "head": replay.hash.hex(), "counter": counter.address}))


if __name__ == "__main__":
    main(*sys.argv[1:])
