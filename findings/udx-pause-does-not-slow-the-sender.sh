#!/usr/bin/env bash
# A reader that pauses a HyperDHT connection does not slow the sender: UDX acknowledges and keeps
# everything, so the paused side's memory grows by all that is sent. Over TCP or TLS the same
# pause() stops the sender after a few MB. Whoever relies on pause() needs credits of its own.
#
# Seen with hyperdht 6.34.0 (udx-native 1.21.3) on Node 24, Linux x64: the sender's writes of 64 MiB
# are all taken and drained within seconds while the reader is paused and has seen no byte.
# Exits 0 while that is so, 1 when the sender has to wait.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact hyperdht@6.34.0
cat >try.cjs <<'JS'
const createTestnet = require("hyperdht/testnet.js");
const CHUNK = 64 * 1024;
const TOTAL = 64 * 1024 * 1024;

(async () => {
  const testnet = await createTestnet(3);
  const listener = testnet.createNode();
  const dialer = testnet.createNode();
  let seen = 0;
  let paused = null;
  const server = listener.createServer((stream) => {
    stream.on("error", () => {});
    paused = stream;
    stream.on("data", (bytes) => (seen += bytes.byteLength));
    stream.pause();
  });
  await server.listen();
  const stream = dialer.connect(server.publicKey);
  stream.on("error", () => {});
  await new Promise((resolve) => stream.once("open", resolve));
  while (paused === null) await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setTimeout(resolve, 200));
  paused.pause();
  let taken = 0;
  const chunk = Buffer.alloc(CHUNK, 7);
  const stop = Date.now() + 20_000;
  while (taken < TOTAL && Date.now() < stop) {
    if (!stream.write(chunk)) {
      const drained = await Promise.race([
        new Promise((resolve) => stream.once("drain", () => resolve(true))),
        new Promise((resolve) => setTimeout(() => resolve(false), 3_000)),
      ]);
      if (!drained) break;
    }
    taken += CHUNK;
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  const mib = (bytes) => Math.round(bytes / 1024 / 1024);
  console.log(`hyperdht ${require("hyperdht/package.json").version}, udx-native ${require("udx-native/package.json").version}`);
  console.log(`sender's writes taken: ${mib(taken)} MiB; handed to the paused reader: ${mib(seen)} MiB`);
  console.log(`memory of the process: ${mib(process.memoryUsage().rss)} MiB`);
  process.exit(taken === TOTAL && seen < 1024 * 1024 ? 0 : 1);
})();
JS
node try.cjs
