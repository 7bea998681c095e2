#!/usr/bin/env bash
# The first session of onnxruntime-node on Linux writes a lasting device id and a telemetry database under the
# user's home, though nothing in the API asked for telemetry. It is off only with ORT_DISABLE_TELEMETRY=1 in
# the environment before the library is loaded, also in each child process and worker that loads it.
#
# Seen with onnxruntime-node 1.30.0 on Node 20.20.2, Linux x64: two files under
# ~/.cache/Microsoft/DeveloperTools/.onnxruntime; with the variable set, none.
# Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact onnxruntime-node@1.30.0
cat >try.cjs <<'JS'
const { InferenceSession } = require("onnxruntime-node");
// One node, c = MatMul(a, b), opset 17; made with onnx.helper.
const MODEL =
  "CAgSADpbChEKAWEKAWISAWMiBk1hdE11bBIBZ1oVCgFhEhAKDggBEgoKAxIBbQoDEgFrWhUKAWISEAoOCAESCgoDEgFrCgMSAW5iFQoBYxIQCg4IARIKCgMSAW0KAxIBbkIECgAQEQ==";
void InferenceSession.create(Buffer.from(MODEL, "base64"));
JS
mkdir usual off
env -u XDG_CACHE_HOME -u ORT_DISABLE_TELEMETRY HOME="$folder/usual" node try.cjs
env -u XDG_CACHE_HOME ORT_DISABLE_TELEMETRY=1 HOME="$folder/off" node try.cjs
echo "onnxruntime-node 1.30.0"
echo "as it is:"
(cd usual && find . -type f | sort)
echo "with ORT_DISABLE_TELEMETRY=1: $(find off -type f | wc -l) files"
[[ -s usual/.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid ]] && [[ -z $(find off -type f) ]]
