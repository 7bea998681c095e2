import { cpSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import { sourceShips } from "./ships.ts";

/**
 * A folder of the product as JavaScript, file by file: an installed app cannot keep compiled code
 * beside itself, and without that the compiler that strips types would cost each process 30 MB.
 * Lines stay where they were, so a stack trace names the line of the source.
 */
export function plainSource(from: string, to: string): void {
  for (const name of readdirSync(from).sort()) {
    const path = join(from, name);
    if (!sourceShips(path)) continue;
    if (statSync(path).isDirectory()) plainSource(path, join(to, name));
    else if (name.endsWith(".ts"))
      write(join(to, `${name.slice(0, -2)}js`), plain(readFileSync(path, "utf8")));
    else {
      mkdirSync(to, { recursive: true });
      cpSync(path, join(to, name));
    }
  }
}

// It says on every start that it is experimental; the Node that it is of is pinned.
process.removeAllListeners("warning");

/** TypeScript without its types; names of our files, in imports and for processes, end in `.js`. */
export function plain(source: string): string {
  return stripTypeScriptTypes(source, { mode: "strip" }).replaceAll(/(?<=[\w-])\.ts(?=["'`])/g, ".js");
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
