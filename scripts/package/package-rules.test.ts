import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { contentsOf, contentsProblems, listProblems, readContentsList } from "./contents.ts";
import { closure, type Lock } from "./lock.ts";
import { missingModules } from "./missing-modules.ts";
import { nativeFiles, nativeHeader, nativeLines, nativeProblems } from "./native-files.ts";
import { NODE_VERSION, nodeVersionProblems, nodeVersions, stageNode } from "./node-runtime.ts";
import { checkIntegrity } from "./package-tarball.ts";
import { plain } from "./plain-source.ts";
import { packageFileShips, platformShips } from "./ships.ts";
import { parseTarget } from "./target.ts";

const root = join(import.meta.dirname, "..", "..");
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), "tah package "));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function header(parts: Readonly<Record<number, readonly number[]>>): Uint8Array {
  const bytes = new Uint8Array(256);
  for (const [at, values] of Object.entries(parts)) bytes.set(values, Number(at));
  return bytes;
}
const ELF_X64 = header({ 0: [0x7f, 0x45, 0x4c, 0x46], 18: [0x3e, 0] });
const PE_ARM64 = header({ 0: [0x4d, 0x5a], 60: [128, 0, 0, 0], 128: [0x50, 0x45, 0, 0, 0x64, 0xaa] });
const MACH_ARM64 = header({ 0: [0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1] });

describe("an executable's header", () => {
  it("says its format and machine", () => {
    expect(nativeHeader(ELF_X64)).toEqual({ format: "ELF", machines: ["x64"] });
    expect(nativeHeader(PE_ARM64)).toEqual({ format: "PE", machines: ["arm64"] });
    expect(nativeHeader(MACH_ARM64)).toEqual({ format: "Mach-O", machines: ["arm64"] });
    const universal = header({ 0: [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2, 1, 0, 0, 7], 28: [1, 0, 0, 0x0c] });
    expect(nativeHeader(universal)).toEqual({ format: "Mach-O", machines: ["x64", "arm64"] });
  });

  it("is none for text, for a Java class, for a script, and for one that is cut off", () => {
    expect(
      nativeHeader(
        new TextEncoder().encode("MZ is how a sentence may begin, as long as it likes to be so".repeat(3)),
      ),
    ).toBeNull();
    expect(nativeHeader(header({ 0: [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0x34] }))).toBeNull();
    expect(nativeHeader(ELF_X64.subarray(0, 20))).toBeNull();
    expect(nativeHeader(header({ 0: [0x4d, 0x5a], 60: [255, 255, 255, 255] }))).toBeNull();
  });
});

describe("the native files of a folder", () => {
  it("are listed with what each header says, and one of another system is told", () => {
    const files = nativeFiles(
      folderWith({ "node/node.exe": PE_ARM64, "daemon/x.node": MACH_ARM64, "daemon/main.js": "MZ" }),
    );
    const windows = parseTarget("win32", "arm64");
    expect(nativeLines(files, windows)).toEqual([
      "2 headers of executables, libraries and addons read: 1 of them not PE for arm64",
      "  WRONG Mach-O arm64     daemon/x.node",
      "  ok    PE     arm64     node/node.exe",
    ]);
    expect(nativeProblems(files, windows)).toEqual([
      "daemon/x.node is Mach-O for arm64: it cannot run on win32-arm64.",
    ]);
    expect(nativeLines(files.slice(1), windows)[0]).toMatch(/all are PE for arm64$/);
    expect(nativeProblems(files.slice(1), parseTarget("win32", "x64"))).toHaveLength(1);
  });
});

describe("what ships", () => {
  it("is of the package's platform alone", () => {
    const linux = parseTarget("linux", "x64");
    const at = (path: string) => platformShips(`node_modules/${path}`, linux);
    expect(at("onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1")).toBe(true);
    expect(at("onnxruntime-node/bin/napi-v6/linux/arm64/libonnxruntime.so.1")).toBe(false);
    expect(at("onnxruntime-node/bin/napi-v6/win32/x64/onnxruntime.dll")).toBe(false);
    expect(at("tokenizers/tokenizers.linux-x64-gnu.node")).toBe(true);
    expect(at("tokenizers/tokenizers.linux-x64-musl.node")).toBe(false);
    expect(at("sodium-native/prebuilds/darwin-arm64/sodium-native.node")).toBe(false);
    expect(at("zod/index.js")).toBe(true);
  });

  it("has no tests, types, maps or sources of native parts, and keeps every licence", () => {
    const papers = [
      "index.d.ts",
      "src/index.ts",
      "index.js.map",
      "test/all.js",
      "binding.cc",
      "README.md",
      "a.spec.js",
    ];
    const parts = ["index.js", "spec/hyperschema/index.js", "LICENSE", "LICENSE.md", "dist/latest.js"];
    expect(papers.filter(packageFileShips)).toEqual([]);
    expect(parts.filter(packageFileShips)).toEqual(parts);
  });

  it("is JavaScript whose names of files end in .js, line for line", () => {
    const source =
      'import { a } from "./a.ts";\nconst path: string = join("x", "main.ts");\nconst end = /\\.ts$/.test(path);\n';
    const text = plain(source);
    expect(text).toContain('from "./a.js"');
    expect(text).toContain('"main.js"');
    expect(text).toContain("/\\.ts$/");
    expect(text.split("\n").length).toBe(source.split("\n").length);
  });

  it("is found as Node finds it: nested first; what only the left out need is left out", () => {
    const lock: Lock = {
      "": { dependencies: { a: "1", text: "1" } },
      "node_modules/a": { dependencies: { b: "1", chain: "1" }, optionalDependencies: { gone: "1" } },
      "node_modules/a/node_modules/b": {},
      "node_modules/b": {},
      "node_modules/chain": { dependencies: { deep: "1" } },
      "node_modules/deep": {},
      "node_modules/text": { dependencies: { reader: "1" } },
      "node_modules/reader": {},
    };
    const rules = { without: (name: string) => name === "chain", leaf: (name: string) => name === "text" };
    expect(closure(lock, ["a", "text"], rules)).toEqual([
      "node_modules/a",
      "node_modules/a/node_modules/b",
      "node_modules/text",
    ]);
    expect(() => closure({ "": {}, "node_modules/a": { dependencies: { missing: "1" } } }, ["a"])).toThrow(
      "missing",
    );
  });

  it("asks for no file that was left out", () => {
    const folder = folderWith({
      "node_modules/x/index.js":
        'require("./there");\n// require("./comment")\nrequire("./gone"); require("./folder");',
      "node_modules/x/there.js": "",
      "node_modules/x/folder/index.js": 'import y from "../there.js"; import("./nowhere.js");',
    });
    expect(missingModules(folder)).toEqual([
      "node_modules/x/folder/index.js asks for ./nowhere.js, which does not ship.",
      "node_modules/x/index.js asks for ./gone, which does not ship.",
    ]);
  });
});

describe("the list of contents", () => {
  const target = parseTarget("linux", "x64");
  const list = {
    mostMiB: { "linux-x64": 1 },
    mostDownloadMiB: 1,
    packages: ["known", "@scope/inner"],
    native: { "linux-x64": ["node/node"] },
  };
  const good = {
    "LICENSES.txt": "all of them",
    "node/node": ELF_X64,
    "daemon/package.json": "{}",
    "daemon/src-daemon/main.js": "",
    "daemon/node_modules/known/index.js": "",
    "daemon/node_modules/known/node_modules/@scope/inner/index.js": "",
  };
  const problems = (files: Readonly<Record<string, string | Uint8Array>>) =>
    contentsProblems(contentsOf(folderWith(files)), target, list);

  it("is content with what it names", () => {
    expect(problems(good)).toEqual([]);
  });

  it.each([
    ["a package more", { "daemon/node_modules/other/index.js": "" }, "The package other ships"],
    [
      "a native file more",
      { "daemon/node_modules/known/x.node": ELF_X64 },
      "The native file daemon/node_modules/known/x.node ships",
    ],
    [
      "another system's",
      { "node/node": MACH_ARM64 },
      "node/node is Mach-O for arm64: it cannot run on linux-x64",
    ],
    ["a key", { "daemon/node_modules/known/id.pem": "" }, "id.pem is nothing that an app ships"],
    ["a test", { "daemon/src-daemon/main.test.js": "" }, "main.test.js is nothing that an app ships"],
    ["a hidden file", { "daemon/node_modules/.cache": "" }, ".cache is nothing that an app ships"],
    ["a folder of ours", { "bench/bench.js": "" }, "bench/bench.js is nothing that an app ships"],
    ["a byte too much", { "daemon/src-daemon/big.js": "x".repeat(1024 * 1024) }, "1 MiB is the most"],
  ])("refuses %s", (_what, more, text) => {
    expect(problems({ ...good, ...more } as Record<string, string | Uint8Array>).join("\n")).toContain(text);
  });

  it("names what is missing", () => {
    const { "node/node": _, ...rest } = good;
    expect(problems(rest)).toEqual([
      "The native file node/node stands in scripts/package/contents.json and does not ship.",
    ]);
  });

  it("that is committed knows every platform", () => {
    expect(listProblems(readContentsList())).toEqual([]);
  });
});

describe("the shipped Node", () => {
  it("is one version everywhere, or the reason stands here", () => {
    expect(nodeVersionProblems(root)).toEqual([]);
    expect(
      nodeVersions(root)
        .filter(({ differs }) => differs === null)
        .map(({ target }) => target),
    ).toEqual(["linux-x64", "linux-arm64", "win32-x64"]);
  });

  it("from nodejs.org has the version, the platform and the published digest, or is not used", () => {
    const name = `node-v${NODE_VERSION}-darwin-arm64.tar.gz`;
    const sha = createHash("sha256").update("not a tar").digest("hex");
    const folder = folderWith({
      [name]: "not a tar",
      "SHASUMS256.txt": `${"0".repeat(64)}  ${name}\n${sha}  other.tar.gz\n`,
      "node-v22.0.0-darwin-arm64.tar.gz": "",
    });
    const into = join(folder, "node");
    const take = (file: string, arch: "arm64" | "x64" = "arm64") =>
      stageNode(root, { platform: "darwin", arch }, into, {
        archive: { file: join(folder, file), sums: join(folder, "SHASUMS256.txt") },
        cache: folder,
      });
    expect(() => take(name)).toThrow("does not have the SHA-256");
    expect(() => take(name, "x64")).toThrow("is not Node");
    expect(() => take("node-v22.0.0-darwin-arm64.tar.gz")).toThrow("is not Node");
  });

  it("that npm does not have is asked for in a sentence; an impossible target too", () => {
    const folder = folderWith({});
    const stageIt = () =>
      stageNode(root, parseTarget("win32", "arm64"), join(folder, "n"), { archive: null, cache: folder });
    expect(stageIt).toThrow("--node-archive FILE --node-sums");
    expect(() => parseTarget("darwin", "x64")).toThrow("no library for Macs with an Intel processor");
    expect(() => parseTarget("beos", "x64")).toThrow("It can be one of: linux-x64");
  });

  it("and every fetched package have the digest of package-lock.json", () => {
    const bytes = new TextEncoder().encode("tarball");
    const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    expect(() => checkIntegrity(bytes, integrity, "x@1")).not.toThrow();
    expect(() => checkIntegrity(bytes.subarray(1), integrity, "x@1")).toThrow("does not have the digest");
    expect(() => checkIntegrity(bytes, "md5-abc", "x@1")).toThrow("of a kind that is not taken");
  });
});
