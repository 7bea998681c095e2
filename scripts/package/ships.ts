import { readFileSync } from "node:fs";
import { basename, sep } from "node:path";
import type { Target } from "./target.ts";

/** The same 42 MB under another name: the addon asks for libonnxruntime.1.dylib. */
const DOUBLED = /libonnxruntime\.\d+\.\d+\.\d+\.dylib$/;

/** Nobody runs or reads these on an owner's computer: tests, maps, types, papers, sources of native parts. */
const LEFT_OUT =
  /\.(spec\.js|map|tsx?|[cm]ts|flow|md|markdown|c|cc|cpp|h|gypi?|bare|html|sh|bnf|tgz)$|^(package-lock|tsconfig.*|tsdoc.*)\.json$|^(makefile|cmakelists\.txt)$/i;
const LEFT_OUT_FOLDER =
  /^(test|tests|__tests__|testing|docs|example|examples|fixtures|benchmark|benchmarks|\..*)$/;
const TEST = /\.(test|property\.test|test-support|fixture)\.tsx?$/;

/** Of a package that others wrote, by the path below it. */
export function packageFileShips(path: string): boolean {
  const parts = path.split(sep);
  const name = parts.at(-1) ?? "";
  if (LICENCE.test(name)) return true;
  return !LEFT_OUT.test(name) && !DOUBLED.test(name) && !parts.some((part) => LEFT_OUT_FOLDER.test(part));
}

export const LICENCE = /^(licen[cs]e|copying|notice|copyright)([-.].*)?$/i;

/** Of the product's own folders, by the path of a file or folder: not what only tests use, however it is named. */
export function sourceShips(path: string): boolean {
  const name = basename(path);
  if (TEST.test(name) || /\.(map|d\.ts|md|proto|golden\.txt)$/.test(name)) return false;
  // Processes speak English; the dashboard and the app bring their languages in their bundles.
  if (/^(testing|test-support|fixtures|locales|\..*)$/.test(name)) return false;
  return !(/\.[jt]s$/.test(name) && /from "(vitest|fast-check)"/.test(readFileSync(path, "utf8")));
}

/** Some packages bring the libraries of all platforms: one is enough. */
export function platformShips(path: string, { platform, arch }: Target): boolean {
  const name = path.split(sep).join("/");
  const [, system] =
    /onnxruntime-node\/bin\/napi-v\d+\/([^/]+(?:\/[^/]+)?)/.exec(name) ??
    /tokenizers\/tokenizers\.(.+)\.node$/.exec(name) ??
    /\/prebuilds\/([^/]+)/.exec(name) ??
    [];
  if (system === undefined) return true;
  const [forPlatform, forArch, library] = system.split(/[/-]/);
  return (
    forPlatform === platform &&
    (forArch === undefined || forArch === arch) &&
    // Node's own builds for Linux are of glibc, the simulator is no phone.
    (library === undefined || library === "gnu" || library === "msvc")
  );
}
