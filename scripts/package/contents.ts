import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { nativeFiles, nativeProblems, type NativeFile } from "./native-files.ts";
import { SOURCES } from "./stage.ts";
import { TARGETS, targetName, type Target } from "./target.ts";

/** `contents.json`: what may ship, by name. A package, a native file or a byte more fails the check. */
export interface ContentsList {
  /** All that is staged may take so many MiB on disk. */
  readonly mostMiB: Readonly<Record<string, number>>;
  /** What a person downloads of the headless package, at most. */
  readonly mostDownloadMiB: number;
  /** Names of packages, nested ones too. */
  readonly packages: readonly string[];
  /** Executables, libraries and addons, by target, below the staged folder. */
  readonly native: Readonly<Record<string, readonly string[]>>;
}

export const MIB = 1024 * 1024;
const LIST = join(import.meta.dirname, "contents.json");

export function readContentsList(): ContentsList {
  return JSON.parse(readFileSync(LIST, "utf8")) as ContentsList;
}

export interface Contents {
  readonly bytes: number;
  readonly files: number;
  /** By first folder, and by package below `node_modules`; largest first. */
  readonly parts: readonly { readonly name: string; readonly bytes: number; readonly files: number }[];
  readonly packages: readonly string[];
  readonly native: readonly NativeFile[];
  readonly paths: readonly string[];
}

/** What lies in a staged folder. */
export function contentsOf(folder: string): Contents {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path: relative(folder, path).split(sep).join("/"), bytes: statSync(path).size };
    })
    .sort((one, other) => (one.path < other.path ? -1 : 1));
  const parts = new Map<string, { bytes: number; files: number }>();
  for (const { path, bytes } of found) {
    const name = partOf(path);
    const part = parts.get(name) ?? { bytes: 0, files: 0 };
    parts.set(name, { bytes: part.bytes + bytes, files: part.files + 1 });
  }
  return {
    bytes: found.reduce((sum, { bytes }) => sum + bytes, 0),
    files: found.length,
    parts: [...parts]
      .map(([name, { bytes, files }]) => ({ name, bytes, files }))
      .sort((one, other) => other.bytes - one.bytes),
    packages: [...parts.keys()]
      .flatMap((name) => (name.startsWith("node_modules/") ? [packageOf(name)] : []))
      .sort(),
    native: nativeFiles(folder),
    paths: found.map(({ path }) => path),
  };
}

/** What is not as the list says, a sentence each. */
export function contentsProblems(contents: Contents, target: Target, list: ContentsList): string[] {
  const name = targetName(target);
  const native = contents.native.map(({ path }) => path);
  const wantedNative = list.native[name] ?? [];
  const most = list.mostMiB[name] ?? 0;
  return [
    ...contents.packages
      .filter((one) => !list.packages.includes(one))
      .map((one) => `The package ${one} ships and is not in scripts/package/contents.json.`),
    ...list.packages
      .filter((one) => !contents.packages.includes(one))
      .map((one) => `The package ${one} stands in scripts/package/contents.json and does not ship.`),
    ...native
      .filter((path) => !wantedNative.includes(path))
      .map((path) => `The native file ${path} ships and is not in scripts/package/contents.json.`),
    ...wantedNative
      .filter((path) => !native.includes(path))
      .map((path) => `The native file ${path} stands in scripts/package/contents.json and does not ship.`),
    ...contents.paths.filter((path) => !allowed(path)).map((path) => `${path} is nothing that an app ships.`),
    ...nativeProblems(contents.native, target),
    ...(contents.bytes > most * MIB
      ? [`It takes ${mib(contents.bytes)} MiB, and ${most} MiB is the most for ${name}.`]
      : []),
  ];
}

/** What the list's own words leave out, a sentence each; needs nothing staged. */
export function listProblems(list: ContentsList): string[] {
  return TARGETS.map(targetName)
    .filter((name) => list.native[name] === undefined || list.mostMiB[name] === undefined)
    .map((name) => `scripts/package/contents.json says nothing of ${name}.`);
}

const TOP = /^(LICENSES\.txt|node\/(node|node\.exe|LICENSE)|daemon\/package\.json)$/;
const OWN = new RegExp(`^daemon/(${SOURCES.join("|")})/[\\w./-]+\\.js$`);
const PAGES = /^daemon\/dist\/renderer\/[\w./-]+\.(html|js|css|woff2|svg|png|ico|webmanifest)$/;
const FOREIGN = /^daemon\/node_modules\//;
/** Nothing that only developers need, and nothing that looks like somebody's secret. */
const NEVER = /\.(map|tsx?|pem|key|p12|pfx|keystore|log|env)$|(^|\/)(\.[^/]+|id_(rsa|ed25519))$|\.test\./;

function allowed(path: string): boolean {
  return !NEVER.test(path) && (TOP.test(path) || OWN.test(path) || PAGES.test(path) || FOREIGN.test(path));
}

function partOf(path: string): string {
  const parts = path.split("/");
  if (parts[0] !== "daemon") return parts[0] ?? path;
  const at = parts.lastIndexOf("node_modules");
  if (at < 0) return parts.slice(1, parts[1] === "dist" ? 3 : 2).join("/");
  return parts.slice(1, at + (parts[at + 1]?.startsWith("@") === true ? 3 : 2)).join("/");
}

function packageOf(part: string): string {
  return part.slice(part.lastIndexOf("node_modules/") + "node_modules/".length);
}

export function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
