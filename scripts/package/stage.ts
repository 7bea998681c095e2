import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { BUNDLED, bundleChainClient } from "./chain-client.ts";
import { licenceTexts } from "./licences.ts";
import { closure, packageName, readLock, type Lock } from "./lock.ts";
import { stageNode, type NodeArchive, type NodeRuntime } from "./node-runtime.ts";
import { packageFolder } from "./package-tarball.ts";
import { plainSource } from "./plain-source.ts";
import { packageFileShips, platformShips, sourceShips } from "./ships.ts";
import type { Target } from "./target.ts";
import { bundleWorker } from "../worker-bundle.ts";

/** What the daemon and `tah` run on; the shell is bundled apart. */
export const SOURCES = [
  "src-protocol",
  "src-engine",
  "src-data",
  "src-worker",
  "src-orchestrator",
  "src-daemon",
  "src-cli",
] as const;

/** Packages of which only data is read. */
const DATA_ONLY = /^@stdlib\/datasets-/;

/** Needed by a package's install script alone, and none is run. */
const INSTALL_ONLY = /^(adm-zip|global-agent)$/;

/** Agents speak with `tah mcp` over its input and output: what serves HTTP, signs in or starts servers stays behind. */
const MCP = "@modelcontextprotocol/sdk";
const MCP_NEEDS = /^(ajv|ajv-formats|content-type|json-schema-typed|zod|zod-to-json-schema)$/;
/** Its other half, as CommonJS. */
const MCP_TWICE = /^dist[\\/]cjs[\\/]/;

/** Where electron-builder looks for it, by its own words for systems. */
export function stageFolder(root: string, { platform, arch }: Target): string {
  const system = { linux: "linux", darwin: "mac", win32: "win" }[platform];
  return join(root, "dist", "stage", `${system}-${arch}`);
}

export interface StageOptions {
  readonly target: Target;
  readonly folder: string;
  /** Of the product; it stands in package.json, and an upgrade is told by it. */
  readonly version: string;
  readonly nodeArchive: NodeArchive | null;
}

export interface Staged {
  readonly packages: readonly string[];
  readonly node: NodeRuntime;
}

/**
 * Fills a folder with what lies beside the app's archive: the daemon and `tah` as JavaScript, run by
 * a plain Node of the target's platform, with the modules that they need and no others.
 */
export async function stage(root: string, options: StageOptions): Promise<Staged> {
  const { target, folder, version, nodeArchive } = options;
  const cache = join(root, "node_modules", ".cache", "train-at-home", "tarballs");
  rmSync(folder, { recursive: true, force: true });
  const daemon = join(folder, "daemon");
  const modules = join(daemon, "node_modules");
  mkdirSync(modules, { recursive: true });
  for (const source of SOURCES) plainSource(join(root, source), join(daemon, source));
  // In place of the plain one: it is started for each network, and again when it ends.
  await bundleWorker(root, join(daemon, "src-worker"));
  writeFileSync(join(daemon, "package.json"), productFile(root, version));
  cpSync(join(root, "dist", "renderer"), join(daemon, "dist", "renderer"), {
    recursive: true,
    filter: (path) => !/\.map$|[\\/]\.[^\\/]+$/.test(path),
  });

  const bundled = await bundleChainClient(root, modules);
  const lock = readLock(root);
  const packages = closure(lock, directDependencies(root, lock), {
    without: (name, from) =>
      BUNDLED.test(name) || INSTALL_ONLY.test(name) || (from === MCP && !MCP_NEEDS.test(name)),
    leaf: (name) => DATA_ONLY.test(name),
  }).filter((path) => fits(lock, path, target));
  for (const path of packages) copyPackage(root, path, { lock, target, daemon, cache });
  const node = stageNode(root, target, join(folder, "node"), { archive: nodeArchive, cache });
  writeFileSync(
    join(folder, "LICENSES.txt"),
    licenceTexts(root, [...packages, ...bundled], join(folder, "node", "LICENSE")),
  );
  return { packages: packages.map(packageName), node };
}

function productFile(root: string, version: string): string {
  const { name, license, type } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<
    string,
    string
  >;
  return `${JSON.stringify({ name, version, license, type }, null, 2)}\n`;
}

interface Copying {
  readonly lock: Lock;
  readonly target: Target;
  readonly daemon: string;
  readonly cache: string;
}

function copyPackage(root: string, path: string, { lock, target, daemon, cache }: Copying): void {
  const own = join(root, path);
  const locked = lock[path] ?? {};
  const from = existsSync(own) ? own : packageFolder(path, locked, cache);
  const name = packageName(path);
  cpSync(from, join(daemon, path), {
    recursive: true,
    filter: (source) => {
      const below = relative(from, source);
      if (below === "") return true;
      // Modules inside a module are in the lock file by themselves.
      if (below.split(sep)[0] === "node_modules") return false;
      if (DATA_ONLY.test(name) && !/^(package\.json|LICENSE|data|data[\\/][^\\/]+\.txt)$/.test(below))
        return false;
      if (name === MCP && MCP_TWICE.test(below)) return false;
      return packageFileShips(below) && platformShips(join(path, below), target);
    },
  });
}

/** Whether a package is of this platform at all, by what it says of itself. */
function fits(lock: Lock, path: string, { platform, arch }: Target): boolean {
  const { os, cpu } = lock[path] ?? {};
  return allows(os, platform) && allows(cpu, arch);
}

function allows(list: readonly string[] | undefined, value: string): boolean {
  if (list === undefined || list.length === 0) return true;
  return list.some((one) => one.startsWith("!")) ? !list.includes(`!${value}`) : list.includes(value);
}

/**
 * Sources say which of the product's dependencies they use: the dashboard's stay behind. One that
 * stands among the development tools by mistake is shipped all the same when it is imported. What is
 * only read (sample texts) needs none of what it depends on.
 */
function directDependencies(root: string, lock: Lock): string[] {
  const text = SOURCES.flatMap((folder) => sourceFiles(join(root, folder)))
    .map((path) => readFileSync(path, "utf8"))
    .join("\n")
    .replaceAll(/^(import|export) type [^;]+;/gm, "");
  const { dependencies = {}, devDependencies = {} } = lock[""] ?? {};
  const named = (name: string) => new RegExp(`["'\`]${name.replaceAll(/[/.]/g, "\\$&")}["'\`/]`).test(text);
  const imported = (name: string) => new RegExp(`from "${name.replaceAll(/[/.]/g, "\\$&")}["/]`).test(text);
  return [...Object.keys(dependencies).filter(named), ...Object.keys(devDependencies).filter(imported)];
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (!sourceShips(path)) return [];
    if (entry.isDirectory()) return sourceFiles(path);
    return /\.(ts|js)$/.test(entry.name) ? [path] : [];
  });
}
