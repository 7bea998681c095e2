import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { findDaemonProgram } from "../src-main/daemon-process.ts";

/** What the daemon runs on; the shell is bundled apart. */
const SOURCES = [
  "src-protocol",
  "src-engine",
  "src-data",
  "src-worker",
  "src-orchestrator",
  "src-daemon",
] as const;

interface LockedPackage {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}
type Lock = Readonly<Record<string, LockedPackage>>;

/**
 * Fills `dist/stage` with what lies beside the app's archive: the daemon as it is, run by a plain
 * Node of this platform, with the modules that it needs and no others.
 */
export function stage(root: string): { packages: number } {
  const target = join(root, "dist", "stage");
  rmSync(target, { recursive: true, force: true });
  const daemon = join(target, "daemon");
  mkdirSync(daemon, { recursive: true });
  for (const folder of SOURCES)
    cpSync(join(root, folder), join(daemon, folder), { recursive: true, filter: isProduct });
  cpSync(join(root, "package.json"), join(daemon, "package.json"));
  cpSync(join(root, "dist", "renderer"), join(daemon, "dist", "renderer"), {
    recursive: true,
    filter: ships,
  });

  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Lock;
  };
  const needed = closure(packages, directDependencies(root, packages));
  for (const path of needed) {
    cpSync(join(root, path), join(daemon, path), {
      recursive: true,
      filter: (source) =>
        ships(source) && ownPlatform(relative(root, source)) && !nested(join(root, path), source),
    });
  }
  stageNode(root, join(target, "node"));
  return { packages: needed.length };
}

/**
 * Sources say which of the product's dependencies they use: the dashboard's stay behind. One that
 * stands among the development tools by mistake is shipped all the same when it is imported.
 */
function directDependencies(root: string, packages: Lock): string[] {
  const text = SOURCES.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.split(sep).every(ships))
      .map((name) => join(root, folder, name))
      .filter((path) => /\.(ts|js)$/.test(path) && isProduct(path))
      .map((path) => readFileSync(path, "utf8")),
  )
    .join("\n")
    .replaceAll(/^(import|export) type [^;]+;/gm, "");
  const { dependencies = {}, devDependencies = {} } = packages[""] ?? {};
  const named = (name: string) => new RegExp(`["'\`]${name.replaceAll(/[/.]/g, "\\$&")}["'\`/]`).test(text);
  const imported = (name: string) => new RegExp(`from "${name.replaceAll(/[/.]/g, "\\$&")}["/]`).test(text);
  return [...Object.keys(dependencies).filter(named), ...Object.keys(devDependencies).filter(imported)];
}

/** The lock file's paths of packages and all that they need, as Node would find them. */
function closure(packages: Lock, names: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (from: string, name: string, optional: boolean): void => {
    const path = resolve(packages, from, name);
    if (path === null) {
      if (optional) return;
      throw new Error(`package-lock.json has no ${name} for ${from || "the product"}. Run npm install.`);
    }
    if (found.has(path)) return;
    found.add(path);
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } =
      packages[path] ?? {};
    for (const inner of Object.keys(dependencies ?? {})) visit(path, inner, false);
    for (const inner of Object.keys(optionalDependencies ?? {})) visit(path, inner, true);
    for (const inner of Object.keys(peerDependencies ?? {}))
      visit(path, inner, peerDependenciesMeta?.[inner]?.optional === true);
  };
  for (const name of names) visit("", name, false);
  return [...found].filter((path) => existsSync(path)).sort();
}

function resolve(packages: Lock, from: string, name: string): string | null {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("node_modules") - 1))) {
    const path = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (Object.hasOwn(packages, path)) return path;
    if (folder === "") return null;
  }
}

/** No tests, maps, declarations or papers. */
function ships(path: string): boolean {
  const name = basename(path);
  if (
    /\.(test|property\.test|test-support|fixture)\.tsx?$/.test(name) ||
    /\.(map|d\.[cm]?ts|md|markdown)$/i.test(name)
  )
    return false;
  return !/^(test|tests|__tests__|testing|docs|example|examples|fixtures|benchmark|benchmarks|\..*)$/.test(
    name,
  );
}

/** Not what only tests use, however it is named. */
function isProduct(path: string): boolean {
  return (
    ships(path) && !(/\.[jt]s$/.test(path) && /from "(vitest|fast-check)"/.test(readFileSync(path, "utf8")))
  );
}

/** onnxruntime-node and tokenizers bring the libraries of all platforms; one is enough. */
function ownPlatform(path: string): boolean {
  const name = path.split(sep).join("/");
  const [platform, arch] =
    name.match(/onnxruntime-node\/bin\/napi-v\d+\/(.+)$/)?.[1]?.split("/") ??
    name.match(/tokenizers\/tokenizers\.([a-z0-9]+-[a-z0-9]+)[^/]*\.node$/)?.[1]?.split("-") ??
    [];
  return (
    (platform === undefined || platform === process.platform) &&
    (arch === undefined || arch === process.arch || arch === "universal")
  );
}

/** Modules inside a module are in the lock file by themselves. */
function nested(folder: string, path: string): boolean {
  return relative(folder, path).split(sep).includes("node_modules");
}

function stageNode(root: string, target: string): void {
  const { platform, arch } = process;
  const program = findDaemonProgram({ resources: null, checkout: root, platform, arch });
  if (program === null)
    throw new Error(
      `There is no packaged Node for ${platform}-${arch} in node_modules: the app needs one to ship.`,
    );
  mkdirSync(target, { recursive: true });
  cpSync(program.node, join(target, basename(program.node)), { dereference: true });
  const licence = join(dirname(program.node), "..", "LICENSE");
  if (existsSync(licence)) cpSync(licence, join(target, "LICENSE"));
}
