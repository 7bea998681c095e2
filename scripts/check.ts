import { spawn } from "node:child_process";
import { join } from "node:path";
import { brokenImports } from "./import-rules.ts";
import { catalogProblems } from "./messages.ts";
import { unportableArithmetic } from "./portable-rules.ts";

/** `npm run check`: everything that can be said about the code without running it. */
const root = join(import.meta.dirname, "..");
const bin = (name: string) => join(root, "node_modules", name);

interface Finding {
  name: string;
  ok: boolean;
  output: string;
  seconds: number;
}

const checks: Promise<Finding>[] = [
  tool("types", bin("typescript/bin/tsc"), ["--noEmit", "-p", "."]),
  tool("lint", bin("oxlint/bin/oxlint"), ["--deny-warnings"]),
  tool("format", bin("oxfmt/bin/oxfmt"), ["--check"]),
  inside("import rules", async () => brokenImports(root)),
  inside("portable arithmetic", async () => unportableArithmetic(root)),
  inside("translations", async () => catalogProblems(root)),
  inside("package config", async () => {
    const { builderProblems } = await import("./check-builder.ts");
    return builderProblems(root);
  }),
];

let failed = 0;
for (const check of checks) {
  const { name, ok, output, seconds } = await check;
  process.stdout.write(`${ok ? "ok  " : "FAIL"} ${name} (${seconds.toFixed(1)} s)\n`);
  if (!ok) {
    failed += 1;
    process.stdout.write(`${output.trim()}\n`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;

function tool(name: string, script: string, parameters: string[]): Promise<Finding> {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...parameters], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("close", (code) =>
      resolve({ name, ok: code === 0, output, seconds: (performance.now() - started) / 1000 }),
    );
  });
}

async function inside(name: string, find: () => Promise<string[]>): Promise<Finding> {
  const started = performance.now();
  const problems = await find().catch((error: unknown) => [
    error instanceof Error ? error.message : String(error),
  ]);
  return {
    name,
    ok: problems.length === 0,
    output: problems.join("\n"),
    seconds: (performance.now() - started) / 1000,
  };
}
