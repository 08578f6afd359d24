// Compiles DepositContract.sol and writes DepositContract.json and .bin (the runtime code), or compares with the committed ones:
//
//     npm ci && npm run compile
//     npm ci && npm run check
//
// The compiler is the one that package-lock.json names by hash; metadata stays out of the code, so the bytes depend on the source and on the
// settings below alone.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import solc from "solc";

const here = (name) => new URL(name, import.meta.url);
const source = readFileSync(here("DepositContract.sol"));
const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
};
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: { "DepositContract.sol": { content: source.toString("utf8") } },
      settings: { ...settings, outputSelection: { "*": { DepositContract: ["abi", "evm.deployedBytecode.object"] } } },
    }),
  ),
);
const complaints = (output.errors ?? []).map((error) => error.formattedMessage);
if (complaints.length > 0) {
  console.error(complaints.join("\n"));
  process.exit(1);
}
const contract = output.contracts["DepositContract.sol"].DepositContract;
const result = {
  compiler: solc.version(),
  settings,
  source_sha256: createHash("sha256").update(source).digest("hex"),
  runtime_code: contract.evm.deployedBytecode.object,
  abi: contract.abi,
};
const files = {
  "DepositContract.json": Buffer.from(JSON.stringify(result, null, 2) + "\n"),
  "DepositContract.bin": Buffer.from(result.runtime_code, "hex"),
};
for (const [name, bytes] of Object.entries(files)) {
  if (!process.argv.includes("--check")) {
    writeFileSync(here(name), bytes);
    console.log(`${name}: written, ${bytes.length} bytes`);
  } else if (readFileSync(here(name)).equals(bytes)) {
    console.log(`${name}: is what DepositContract.sol compiles to`);
  } else {
    console.error(`${name}: is not what DepositContract.sol compiles to; npm run compile`);
    process.exit(1);
  }
}
