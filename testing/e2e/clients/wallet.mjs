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
const events = [];
await listening.once(listening.filters.Added(), (...event) => events.push(event.at(-1)));
await socket.once("block", (height) => events.push(height));
// An answer to what was asked after both subscriptions were asked for: they stand.
for (let turn = 0; turn < 2; turn++) await socket.send("eth_blockNumber", []);
await (await counter.add(5)).wait();
for (let turn = 0; turn < 100 && events.length < 2; turn++) await new Promise((resolve) => setTimeout(resolve, 100));
const [height, event] = events.sort((one) => (typeof one === "number" ? -1 : 1));
assert.ok(height > 0 && events.length === 2, events);
assert.deepEqual([...event.args], [wallet.address, 5n, 12n]);
await listening.removeAllListeners();
await socket.destroy();
provider.destroy();
console.log(`${wallet.address} and its counter ${counter.target}`);
