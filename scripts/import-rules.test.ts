import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { brokenImports, importsOf } from "./import-rules.ts";

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

function checkout(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "tah-imports-"));
  folders.push(root);
  for (const folder of [
    "protocol",
    "engine",
    "data",
    "worker",
    "orchestrator",
    "daemon",
    "cli",
    "main",
    "renderer",
  ])
    mkdirSync(join(root, `src-${folder}`));
  for (const [path, source] of Object.entries(files)) writeFileSync(join(root, path), source);
  return root;
}

test("this checkout keeps the rules", () => {
  expect(brokenImports(join(import.meta.dirname, ".."))).toEqual([]);
});

test("what the dashboard loads has nothing of Node's, however far away it is", () => {
  const root = checkout({
    "src-renderer/main.tsx": `import { methods } from "../src-protocol/methods.ts";`,
    "src-protocol/methods.ts": `import { page } from "./page.ts"; import type { Key } from "./keys.ts";`,
    "src-protocol/page.ts": `import { sha256 } from "./signing.ts";`,
    "src-protocol/signing.ts": `import { createHash } from "node:crypto";`,
    "src-protocol/keys.ts": `import { sign } from "node:crypto";`,
  });
  expect(brokenImports(root)).toEqual([
    "src-protocol/signing.ts is loaded by the dashboard, so it must not import node:crypto",
  ]);
});

test("the dashboard may not reach into the daemon, not even by a dynamic import", () => {
  const root = checkout({
    "src-renderer/page.ts": `const daemon = await import("../src-daemon/daemon.ts");`,
  });
  expect(brokenImports(root)).toEqual([
    "src-renderer/page.ts must not import src-daemon (../src-daemon/daemon.ts)",
  ]);
});

test("a family of a program is entered by its doors; who puts the parts together may take each", () => {
  const root = checkout({});
  for (const family of ["policy", "wallet", "start"]) mkdirSync(join(root, "src-daemon", family));
  const wanted = `import { decide } from "../policy/decide.ts"; import type { K } from "../policy/policy-keeper.ts";`;
  writeFileSync(join(root, "src-daemon", "wallet", "wallet.ts"), wanted);
  writeFileSync(join(root, "src-daemon", "start", "deciding.ts"), wanted);
  expect(brokenImports(root)).toEqual([
    "src-daemon/wallet/wallet.ts must not import src-daemon/policy/decide.ts: it is no door of policy",
  ]);
});

test("node:http is taken without an import, which would load what no process of ours needs at its start", () => {
  const root = checkout({
    "src-daemon/server.ts": `import type { Server } from "node:http";\nimport { createServer } from "node:http";`,
    "src-daemon/agent.ts": `import type { Agent } from "node:http";\nconst http = process.getBuiltinModule("node:http");`,
  });
  expect(brokenImports(root)).toEqual([
    `src-daemon/server.ts must not import node:http, which loads fetch's client: take process.getBuiltinModule("node:http")`,
  ]);
});

test("only the shell may import electron", () => {
  const root = checkout({
    "src-daemon/tray.ts": `import { Tray } from "electron";`,
    "src-main/tray.ts": `import { Tray } from "electron";`,
  });
  expect(brokenImports(root)).toEqual(["src-daemon/tray.ts must not import electron: only src-main may"]);
});

test("protocol and engine do no I/O", () => {
  const root = checkout({
    "src-protocol/a.ts": `import { readFileSync } from "node:fs";`,
    "src-engine/b.ts": `import { createHash } from "node:crypto";\nimport * as ort from "onnxruntime-node";`,
  });
  expect(brokenImports(root)).toEqual([
    "src-protocol/a.ts must do no I/O, so it must not import node:fs",
    "src-engine/b.ts must not run graphs: it builds them",
  ]);
});

test("a circle of imports is named, types aside", () => {
  const root = checkout({
    "src-engine/a.ts": `import { b } from "./b.ts";`,
    "src-engine/b.ts": `import { c, type C } from "./c.ts";`,
    "src-engine/c.ts": `import { a } from "./a.ts";\nimport type { D } from "./d.ts";`,
    "src-engine/d.ts": `import { a } from "./a.ts";`,
  });
  expect(brokenImports(root)).toEqual([
    "src-engine/a.ts, src-engine/b.ts, src-engine/c.ts import one another in a circle: pass in what one needs of the other",
  ]);
});

test("the walk does not reach the table of operators, not even for a type", () => {
  const root = checkout({
    "src-engine/differentiate.ts": `import type { Node } from "./node.ts";`,
    "src-engine/node.ts": `import type { Name } from "./operators.ts";`,
    "src-engine/operators.ts": "export const OPERATORS = {};",
  });
  expect(brokenImports(root)).toEqual([
    "src-engine/differentiate.ts must not reach src-engine/operators.ts: it is given a table",
  ]);
});

test("imports are found over several lines, in re-exports and for side effects", () => {
  expect(
    importsOf(
      `import {\n  a,\n} from "./a.ts";\nexport * from "./b.ts";\nimport "./c.css";\nimport type { D } from "./d.ts";`,
    ),
  ).toEqual(["./a.ts", "./b.ts", "./c.css", "./d.ts"]);
});

test("a family is imported by its one entrance, where it has one", () => {
  const root = checkout({});
  for (const family of ["links", "plain"]) mkdirSync(join(root, "src-worker", family));
  mkdirSync(join(root, "src-worker", "links", "tls"));
  const files = {
    "links/index.ts": `export { Link } from "./tls/link.ts";`,
    "links/tls/link.ts": `import type { Inbox } from "../inbox.ts";`,
    "links/inbox.ts": "",
    "plain/one.ts": `import { Link } from "../links/index.ts";`,
    "worker.ts": `import { Link } from "./links/tls/link.ts"; import { one } from "./plain/one.ts";`,
    "worker.test.ts": `import { Link } from "./links/tls/link.ts";`,
  };
  for (const [file, source] of Object.entries(files)) writeFileSync(join(root, "src-worker", file), source);
  expect(brokenImports(root)).toEqual([
    "src-worker/worker.ts must import src-worker/links by its one entrance, src-worker/links/index.ts (./links/tls/link.ts)",
  ]);
});
