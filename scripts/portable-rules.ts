import { readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";

/** Where numbers are made that reach tensors: they must be the same on every processor. */
const FOLDERS = ["src-engine", "src-worker"];

/** JavaScript leaves their last digit to the engine and the processor (ECMA-262, "implementation-approximated"). */
const UNPORTABLE =
  /\bMath\.(?:a?(?:sin|cos|tan)h?|atan2|exp|expm1|log|log1p|log2|log10|pow|cbrt|hypot)\b|\*\*/g;
/** A power of two is exact everywhere. */
const POWER_OF_TWO = /(?:^|[^\w.])2\s*$/;

const isTest = (file: string) => /\.(test|test-support)\.ts$/.test(file);

/** One sentence for each use of a function whose last digit depends on the computer. */
export function unportableArithmetic(root: string): string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts") && !isTest(file))
      .flatMap((file) =>
        unportableIn(
          relative(root, join(root, folder, file)),
          readFileSync(join(root, folder, file), "utf8"),
        ),
      ),
  );
}

export function unportableIn(file: string, source: string): string[] {
  return withoutComments(source)
    .split("\n")
    .flatMap((line, i) =>
      [...line.matchAll(UNPORTABLE)]
        .filter((match) => match[0] !== "**" || !POWER_OF_TWO.test(line.slice(0, match.index)))
        .map(
          ([what]) =>
            `${file}:${i + 1} uses ${what}, whose last digit differs between processors: take src-engine/portable-math.ts`,
        ),
    );
}

/** Lines stay where they are. */
function withoutComments(source: string): string {
  return source
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
}
