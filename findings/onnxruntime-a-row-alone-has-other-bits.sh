#!/usr/bin/env bash
# In ONNX Runtime on the CPU a row of a matrix product depends on whether it is computed alone: with one row
# another kernel is taken than with several, and most numbers differ in their last bits. Rows in batches of 8
# and of 64 agree to the bit, and so do one thread and two. Work that is done again to be compared by its
# digest has to be cut into the same batches; one row at a time is no way to look at a single sample.
#
# Seen with onnxruntime-node 1.30.0 on Node 20.20.2, Linux x64 (AVX2): of 64 x 512 numbers some 29,000 differ.
# Exits 0 while that is so, 1 when rows alone give the same bits, or batches of 8 do not.
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
const [ROWS, K] = [64, 512];

(async () => {
  const create = (threads) =>
    InferenceSession.create(Buffer.from(MODEL, "base64"), { intraOpNumThreads: threads });
  const [one, two] = [await create(1), await create(2)];
  let state = 1;
  const draw = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1);
  const a = Float32Array.from({ length: ROWS * K }, draw);
  const b = new Tensor("float32", Float32Array.from({ length: K * K }, draw), [K, K]);
  async function product(session, rows) {
    const all = new Float32Array(ROWS * K);
    for (let from = 0; from < ROWS; from += rows) {
      const part = new Tensor("float32", a.slice(from * K, (from + rows) * K), [rows, K]);
      all.set((await session.run({ a: part, b })).c.data, from * K);
    }
    return all;
  }
  const whole = await product(one, ROWS);
  const differ = (other) => whole.reduce((sum, value, i) => sum + (Object.is(value, other[i]) ? 0 : 1), 0);
  const said = {
    alone: differ(await product(one, 1)),
    eights: differ(await product(one, 8)),
    threads: differ(await product(two, ROWS)),
  };
  console.log(`onnxruntime-node ${require("onnxruntime-node/package.json").version}, ${whole.length} numbers`);
  console.log(`other bits: rows alone ${said.alone}, batches of eight ${said.eights}, two threads ${said.threads}`);
  process.exit(said.alone > whole.length / 10 && said.eights === 0 && said.threads === 0 ? 0 : 1);
})();
JS
ORT_DISABLE_TELEMETRY=1 node try.cjs
