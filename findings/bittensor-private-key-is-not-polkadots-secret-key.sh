#!/usr/bin/env bash
# `privateKey` in a hotkey file of bittensor-wallet and `secretKey` of polkadot-js are both 64 bytes of the
# same sr25519 key, and are not the same bytes: polkadot-js keeps the scalar times eight (as ed25519 does), the
# wallet the scalar itself; the nonce half is equal. Nothing in either form says which one it is: a reader has
# to recompute the public key and compare it with the one beside it.
#
# Seen with bittensor-wallet 4.1.1 (Python 3.11) and @polkadot/util-crypto 14.0.3 (Node 20.20.2): of one seed
# the public keys are equal, the scalar halves differ by the factor eight, the other halves are equal.
# Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet bittensor-wallet==4.1.1
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact @polkadot/util-crypto@14.0.3
cat >try.py <<'PY'
import re
from bittensor_wallet import Keypair
from bittensor_wallet.keyfile import serialized_keypair_to_keyfile_data

# The file's text is searched, not parsed: a pair made from a seed is written with raw bytes in its secretSeed.
text = bytes(serialized_keypair_to_keyfile_data(Keypair.create_from_seed("0x" + "15" * 32))).decode()
for field in ("publicKey", "privateKey"):
    print(re.search(f'"{field}":"0x([0-9a-f]+)"', text).group(1))
PY
cat >try.cjs <<'JS'
const { cryptoWaitReady, sr25519PairFromSeed } = require("@polkadot/util-crypto");
const [publicKey, privateKey] = process.argv.slice(2);
const scalarOf = (hex) => BigInt(`0x${Buffer.from(hex.slice(0, 64), "hex").reverse().toString("hex")}`);
void cryptoWaitReady().then(() => {
  const pair = sr25519PairFromSeed(new Uint8Array(32).fill(0x15));
  const secretKey = Buffer.from(pair.secretKey).toString("hex");
  const facts = {
    "public keys are equal": Buffer.from(pair.publicKey).toString("hex") === publicKey,
    "polkadot's scalar is eight times the wallet's": scalarOf(secretKey) === 8n * scalarOf(privateKey),
    "the other halves are equal": secretKey.slice(64) === privateKey.slice(64),
  };
  console.log(facts);
  process.exit(Object.values(facts).every(Boolean) ? 0 : 1);
});
JS
node try.cjs $(python/bin/python try.py)
