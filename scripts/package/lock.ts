import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/** By path below the checkout: `node_modules/NAME`, nested ones too; "" is the product. */
export type Lock = Readonly<Record<string, LockedPackage>>;

export function readLock(root: string): Lock {
  return (JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as { packages: Lock }).packages;
}

/** `@scope/name` of a path in the lock file. */
export function packageName(path: string): string {
  return path.replace(/^.*node_modules\//, "");
}

/**
 * The lock file's paths of packages and all that they need, as Node would find them; sorted. What
 * stands in `without` stays out, with all that only it needs; of a `leaf` the needs do.
 */
export function closure(
  lock: Lock,
  names: readonly string[],
  {
    without = () => false,
    leaf = () => false,
  }: {
    readonly without?: (name: string, from: string) => boolean;
    readonly leaf?: (name: string) => boolean;
  } = {},
): string[] {
  const found = new Set<string>();
  const visit = (from: string, name: string, optional: boolean): void => {
    if (without(name, packageName(from))) return;
    const path = resolve(lock, from, name);
    if (path === null) {
      if (optional) return;
      throw new Error(`package-lock.json has no ${name} for ${from || "the product"}. Run npm install.`);
    }
    if (found.has(path)) return;
    found.add(path);
    if (leaf(name)) return;
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = lock[path] ?? {};
    for (const inner of Object.keys(dependencies ?? {})) visit(path, inner, false);
    for (const inner of Object.keys(optionalDependencies ?? {})) visit(path, inner, true);
    for (const inner of Object.keys(peerDependencies ?? {}))
      visit(path, inner, peerDependenciesMeta?.[inner]?.optional === true);
  };
  for (const name of names) visit("", name, false);
  return [...found].sort();
}

function resolve(lock: Lock, from: string, name: string): string | null {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("node_modules") - 1))) {
    const path = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (Object.hasOwn(lock, path)) return path;
    if (folder === "") return null;
  }
}
