import { readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";

/**
 * Files that import one another in a circle, each circle once, named from `root`. What is imported
 * for its types alone is gone when the program runs, and does not count.
 */
export function importCircles(root: string, files: readonly string[]): string[][] {
  const graph = new Map(files.map((file) => [file, valueImports(file, readFileSync(file, "utf8"))]));
  return components(graph)
    .filter((circle) => circle.length > 1)
    .map((circle) => circle.map((file) => relative(root, file)).toSorted());
}

/** Files that `from` needs to be read or compiled, types included, as far as they are among `files`. */
export function reached(from: string, files: ReadonlySet<string>): Set<string> {
  const found = new Set<string>();
  const waiting = [from];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file) || !files.has(file)) continue;
    found.add(file);
    waiting.push(...allImports(file, readFileSync(file, "utf8")));
  }
  return found;
}

/** Files that are loaded when `from` is: what is imported for its types alone is not. */
export function loaded(from: string, files: ReadonlySet<string>): Set<string> {
  const found = new Set<string>();
  const waiting = [from];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file) || !files.has(file)) continue;
    found.add(file);
    waiting.push(...valueImports(file, readFileSync(file, "utf8")));
  }
  return found;
}

const IMPORT = /(?:^|\n)\s*(?:import|export)\s([^;'"]*?)from\s*["'](\.[^"']+)["']/g;

function allImports(file: string, source: string): string[] {
  return [...source.matchAll(IMPORT)].map(([, , target = ""]) => resolve(dirname(file), target));
}

function valueImports(file: string, source: string): string[] {
  return [...source.matchAll(IMPORT)]
    .filter(([, names = ""]) => !isTypesOnly(names))
    .map(([, , target = ""]) => resolve(dirname(file), target));
}

function isTypesOnly(names: string): boolean {
  if (/^type\s/.test(names)) return true;
  const list = /^\{([^}]*)\}\s*$/.exec(names.trim())?.[1];
  return list?.split(",").every((name) => name.trim() === "" || /^type\s/.test(name.trim())) ?? false;
}

/** Tarjan's strongly connected components. */
function components(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    let low = order.get(file) ?? 0;
    open.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (open.includes(next)) low = Math.min(low, lowest.get(next) ?? order.get(next) ?? low);
    }
    lowest.set(file, low);
    if (low === order.get(file)) found.push(open.splice(open.indexOf(file)));
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}
