import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";

/** Asked for one after the other, until one is of this platform. */
const DONE_WITHOUT = / asks for \.\/tokenizers\.[\w-]+\.(node|cjs),/;

/**
 * Files that a staged file asks for by a relative path and that are not there: what a rule of what
 * ships has left out by mistake. By the text of `import` and `require`, so nothing has to run.
 */
export function missingModules(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(js|cjs|mjs)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .flatMap((path) =>
      relativeImports(readFileSync(path, "utf8"))
        .filter((asked) => !isThere(join(dirname(path), asked)))
        .map(
          (asked) => `${relative(folder, path).split(sep).join("/")} asks for ${asked}, which does not ship.`,
        ),
    )
    .filter((line) => !DONE_WITHOUT.test(line))
    .sort();
}

function relativeImports(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
  const found = code.matchAll(
    /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*|\bnew URL\(\s*)["'](\.{1,2}\/[^"'\n]*)["']/g,
  );
  return [...found].flatMap(([, asked]) => (asked === undefined ? [] : [asked]));
}

function isThere(path: string): boolean {
  const files = [path, ...[".js", ".cjs", ".mjs", ".json", ".node"].map((end) => `${path}${end}`)];
  if (files.some((one) => existsSync(one) && statSync(one).isFile())) return true;
  return (
    existsSync(path) && ["index.js", "index.cjs", "package.json"].some((name) => existsSync(join(path, name)))
  );
}
