#!/usr/bin/env bash
# A network whose activations have become NaN can look sound again behind a maximum: in ONNX Runtime on the CPU
# MaxPool and GlobalMaxPool over a row with one NaN give the greatest of its other numbers, ReduceMax not even
# that (6 of 1, NaN, 2, 3, 4, 5, 6, 7), while Relu and GlobalAveragePool hand the NaN on. A check for "not
# finite" belongs before such a node, or on gradients and parameters.
#
# Seen with onnxruntime-node 1.30.0 on Node 20.20.2, Linux x64.
# Exits 0 while that is so, 1 when one of them answers otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact onnxruntime-node@1.30.0
cat >try.cjs <<'JS'
const { InferenceSession, Tensor } = require("onnxruntime-node");
// x [1, 1, 8] into MaxPool (kernel 4, stride 4), GlobalMaxPool, ReduceMax over axis 2, Relu and
// GlobalAveragePool, opset 17; made with onnx.helper.
const MODEL =
  "CAgSADqDAgo3CgF4EgRwb29sIgdNYXhQb29sKhMKDGtlcm5lbF9zaGFwZUAEoAEHKg4KB3N0cmlkZXNABKABBwoXCgF4EgNhbGwiDUdsb2JhbE1heFBvb2wKIAoBeBIDbWF4IglSZWR1Y2VNYXgqCwoEYXhlc0ACoAEHCg8KAXgSBHJlbHUiBFJlbHUKHAoBeBIEbWVhbiIRR2xvYmFsQXZlcmFnZVBvb2wSAWdaFwoBeBISChAIARIMCgIIAQoCCAEKAggIYgwKBHBvb2wSBAoCCAFiCwoDYWxsEgQKAggBYgsKA21heBIECgIIAWIMCgRyZWx1EgQKAggBYgwKBG1lYW4SBAoCCAFCBAoAEBE=";

(async () => {
  const session = await InferenceSession.create(Buffer.from(MODEL, "base64"));
  const x = new Tensor("float32", Float32Array.of(1, NaN, 2, 3, 4, 5, 6, 7), [1, 1, 8]);
  const { pool, all, max, relu, mean } = await session.run({ x });
  console.log(`onnxruntime-node ${require("onnxruntime-node/package.json").version}; x = ${[...x.data]}`);
  const said = { MaxPool: pool, GlobalMaxPool: all, ReduceMax: max, Relu: relu, GlobalAveragePool: mean };
  for (const [name, { data }] of Object.entries(said)) console.log(`${name}: ${[...data]}`);
  const dropped = pool.data[0] === 3 && all.data[0] === 7 && Number.isFinite(max.data[0]);
  const handedOn = Number.isNaN(relu.data[1]) && Number.isNaN(mean.data[0]);
  process.exit(dropped && handedOn ? 0 : 1);
})();
JS
ORT_DISABLE_TELEMETRY=1 node try.cjs
