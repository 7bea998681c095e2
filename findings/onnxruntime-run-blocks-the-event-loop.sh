#!/usr/bin/env bash
# session.run() of onnxruntime-node returns a promise, but the graph is computed on the thread that called
# it: no timer, socket or message of that thread is served until the graph is done. A heartbeat that has to
# go out meanwhile needs a worker thread or a process of its own for the computing.
#
# Seen with onnxruntime-node 1.30.0 on Node 20.20.2, Linux x64: a timer of 5 ms fires not once while one
# multiplication of matrices is awaited for hundreds of milliseconds.
# Exits 0 while that is so, 1 when the timer fires during the run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact onnxruntime-node@1.30.0
cat >try.cjs <<'JS'
const { InferenceSession, Tensor } = require("onnxruntime-node");
// One node, c = MatMul(a, b), opset 17; made with onnx.helper.
const MODEL = "CAgSADpbChEKAWEKAWISAWMiBk1hdE11bBIBZ1oVCgFhEhAKDggBEgoKAxIBbQoDEgFrWhUKAWISEAoOCAESCgoDEgFrCgMSAW5iFQoBYxIQCg4IARIKCgMSAW0KAxIBbkIECgAQEQ==";
const N = 1536;

(async () => {
  const session = await InferenceSession.create(Buffer.from(MODEL, "base64"), { intraOpNumThreads: 1 });
  const matrix = () => new Tensor("float32", new Float32Array(N * N).fill(0.5), [N, N]);
  const feeds = { a: matrix(), b: matrix() };
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 5);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const before = ticks;
  const began = performance.now();
  const running = session.run(feeds);
  let during = 0;
  void running.then(() => (during = ticks));
  await running;
  const ms = Math.round(performance.now() - began);
  clearInterval(timer);
  console.log(`node ${process.version}, onnxruntime-node ${require("onnxruntime-node/package.json").version}`);
  console.log(`ticks in 100 ms before: ${before}; in the ${ms} ms of the run: ${during - before}`);
  process.exit(before > 5 && ms > 25 && during - before <= 1 ? 0 : 1);
})();
JS
ORT_DISABLE_TELEMETRY=1 node try.cjs
