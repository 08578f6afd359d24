// ethers as it comes, beside `pol-execution dev`. usage: node wallet.mjs MODULES URL PRIVATE_KEY COUNTER_HEX
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, url, key, hex] = process.argv.slice(2);
const { Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, isError } = createRequire(`${modules}/`)("ethers");

const FRIEND = "0x" + "66".repeat(20);
const ABI = [
  "function total() view returns (uint256)",
  "function add(uint256 by) returns (uint256)",
  "event Added(address indexed who, uint256 by, uint256 total)",
  "error TooMuch(uint256 by)",
];

const provider = new JsonRpcProvider(url, undefined, { staticNetwork: true, pollingInterval: 200 });
const wallet = new Wallet(key, provider);

const sent = await wallet.sendTransaction({ to: FRIEND, value: 7n });
assert.equal((await sent.wait()).status, 1);
assert.equal(await provider.getBalance(FRIEND), 7n);

const factory = new ContractFactory(ABI, readFileSync(hex, "ascii").trim(), wallet);
const deployed = await (await factory.deploy()).waitForDeployment();
const counter = new Contract(await deployed.getAddress(), ABI, wallet);
const receipt = await (await counter.add(7)).wait();
assert.deepEqual(receipt.logs.map((log) => [log.args.by, log.args.total]), [[7n, 7n]]);
assert.equal(await counter.total(), 7n);
assert.equal(await counter.add.staticCall(3), 10n);
const refused = await counter.add.staticCall(101).then(() => null, (error) => error);
assert.ok(isError(refused, "CALL_EXCEPTION") && refused.revert.name === "TooMuch" && refused.revert.args.by === 101n, refused);
const reason = await counter.add.staticCall(0).then(() => null, (error) => error.reason);
assert.equal(reason, "nothing to add");
const logs = await counter.queryFilter(counter.filters.Added(wallet.address), 0);
assert.equal(logs.length, 1);

const trace = await provider.send("debug_traceTransaction", [receipt.hash, { tracer: "callTracer" }]);
assert.equal(BigInt(trace.gasUsed), receipt.gasUsed);

const block = await provider.getBlock("latest");
assert.equal(block.extraData.length, 2 + 128);
assert.equal(block.extraData.slice(0, 66), block.parentHash);
assert.ok(block.difficulty >= 256n && /^0x[0-9a-f]{16}$/.test(block.nonce));

const socket = new WebSocketProvider(url.replace("http", "ws"), undefined, { staticNetwork: true });
const listening = counter.connect(socket);
const added = new Promise((resolve) => listening.once(listening.filters.Added(), (...event) => resolve(event.at(-1))));
const height = new Promise((resolve) => socket.once("block", resolve));
// Both subscriptions are the node's before anything happens.
await socket.send("eth_blockNumber", []);
await (await counter.add(5)).wait();
assert.deepEqual([...(await added).args], [wallet.address, 5n, 12n]);
assert.ok((await height) > 0);
await listening.removeAllListeners();
await socket.destroy();
provider.destroy();
console.log(`${wallet.address} and its counter ${counter.target}`);
