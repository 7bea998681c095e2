import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { closure, packageName, readLock, type Lock } from "./lock.ts";
import { LICENCE } from "./ships.ts";

/** What the dashboard and the shell are bundled with. */
const PAGES = [
  "react",
  "react-dom",
  "@base-ui/react",
  "@fontsource-variable/inter",
  "uplot",
  "uqr",
  "zustand",
  "zod",
  "ws",
];

/**
 * The licences of all that ships, each text once with the packages that it is of: ours, Node's, and
 * those of the packages that are staged as they are or bundled into one of our files.
 */
export function licenceTexts(root: string, shipped: readonly string[], nodeLicence: string): string {
  const lock = readLock(root);
  const pages = closure(
    lock,
    PAGES.filter((name) => Object.hasOwn(lock, `node_modules/${name}`)),
  );
  const paths = [...new Set([...shipped, ...pages])].sort();
  const parts: { names: string[]; text: string }[] = [];
  const byText = new Map<string, string[]>();
  for (const path of paths) {
    const text = textOf(root, path, lock);
    const names = byText.get(text) ?? [];
    if (names.length === 0) {
      byText.set(text, names);
      parts.push({ names, text });
    }
    names.push(`${packageName(path)} ${lock[path]?.version ?? ""}`.trim());
  }
  return [
    section(["Train at Home"], readFileSync(join(root, "LICENSE"), "utf8")),
    ...(existsSync(nodeLicence)
      ? [section(["Node.js, with what it is made of"], readFileSync(nodeLicence, "utf8"))]
      : []),
    ...parts.map(({ names, text }) => section(names, text)),
  ].join("\n");
}

/** The packages that come without a word on their licence. */
export function unlicensed(root: string, paths: readonly string[]): string[] {
  const lock = readLock(root);
  return paths
    .filter((path) => licenceFile(join(root, path)) === null && lock[path]?.license === undefined)
    .map(packageName);
}

function textOf(root: string, path: string, lock: Lock): string {
  const file = licenceFile(join(root, path));
  if (file !== null) return readFileSync(file, "utf8").replaceAll("\r\n", "\n").trim();
  return `Licence: ${lock[path]?.license ?? "not said"} (the package brings no text of it)`;
}

function licenceFile(folder: string): string | null {
  if (!existsSync(folder)) return null;
  const name = readdirSync(folder)
    .sort()
    .find((one) => LICENCE.test(one));
  return name === undefined ? null : join(folder, name);
}

function section(names: readonly string[], text: string): string {
  return `${"=".repeat(78)}\n${names.join("\n")}\n${"-".repeat(78)}\n${text.trim()}\n`;
}
