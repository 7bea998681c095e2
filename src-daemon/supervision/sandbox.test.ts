import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sandboxFlags } from "./sandbox.ts";

/** A process with a worker's flags tries to get out. */
let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "sandbox "));
  for (const name of ["worker", "wallets", "blobs"]) mkdirSync(join(home, name));
  writeFileSync(join(home, "wallets", "key"), "secret");
  writeFileSync(join(home, "blobs", "blob"), "blob");
  symlinkSync(join(home, "wallets"), join(home, "link"));
  writeFileSync(join(home, "worker", "program.mjs"), PROGRAM);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const PROGRAM = `
  import fs from "node:fs";
  import { spawnSync } from "node:child_process";
  import { Worker } from "node:worker_threads";
  import { join } from "node:path";
  const [, , home] = process.argv;
  const attempts = {
    "read a key": () => fs.readFileSync(join(home, "wallets", "key")),
    "list the folder above": () => fs.readdirSync(home),
    "read over ..": () => fs.readFileSync(join(home, "worker") + "/../wallets/key"),
    "read the system's accounts": () => fs.readFileSync("/etc/passwd"),
    "write beside its folder": () => fs.writeFileSync(join(home, "x"), "x"),
    "write into what it may read": () => fs.writeFileSync(join(home, "blobs", "x"), "x"),
    "make a link to a key": () => fs.symlinkSync(join(home, "wallets", "key"), join(home, "worker", "key")),
    "make a hard link": () => fs.linkSync(join(home, "wallets", "key"), join(home, "worker", "key2")),
    "start a program": () => { const { error } = spawnSync("true"); if (error) throw error; },
    "in its own folder": () => { fs.writeFileSync(join(home, "worker", "own"), "x"); fs.readFileSync(join(home, "worker", "own")); },
    "read blobs": () => fs.readFileSync(join(home, "blobs", "blob")),
  };
  const out = {};
  for (const [name, attempt] of Object.entries(attempts)) {
    try { attempt(); out[name] = "done"; } catch (error) { out[name] = error.code; }
  }
  const thread = new Worker(\`
    const { parentPort, workerData } = require("node:worker_threads");
    let out;
    try { require("node:fs").readFileSync(workerData); out = "done"; } catch (error) { out = error.code; }
    parentPort.postMessage(out);\`, { eval: true, workerData: join(home, "wallets", "key"), execArgv: [] });
  thread.on("message", (text) => { out["read a key in a thread"] = text; process.stdout.write(JSON.stringify(out)); });
`;

describe("a worker with a fault that strangers can use", () => {
  it("reaches its own folder and what it trains with, and nothing else", () => {
    const worker = join(home, "worker");
    const flags = sandboxFlags({ read: [join(home, "blobs")], write: [worker] });
    const { stdout, stderr } = spawnSync(process.execPath, [...flags, join(worker, "program.mjs"), home], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    const denied = "ERR_ACCESS_DENIED";
    expect(JSON.parse(stdout)).toEqual({
      "read a key": denied,
      "list the folder above": denied,
      "read over ..": denied,
      "read the system's accounts": denied,
      "write beside its folder": denied,
      "write into what it may read": denied,
      "make a link to a key": denied,
      "make a hard link": denied,
      "start a program": denied,
      "in its own folder": "done",
      "read blobs": "done",
      // Node says so itself: threads do not inherit it. Should that change, the owner is to be told more.
      "read a key in a thread": "done",
    });
  });

  it("folders with commas, stars and spaces in their names are themselves alone", () => {
    const odd = join(home, "a, b");
    mkdirSync(odd);
    writeFileSync(join(odd, "program.mjs"), PROGRAM);
    const flags = sandboxFlags({ read: [], write: [odd] });
    const { stdout } = spawnSync(process.execPath, [...flags, join(odd, "program.mjs"), home], {
      encoding: "utf8",
    });
    expect(JSON.parse(stdout)).toMatchObject({
      "read a key": "ERR_ACCESS_DENIED",
      "read blobs": "ERR_ACCESS_DENIED",
    });
  });
});
