import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const TEXT = /\.(?:ts|tsx|json|md|yml|sh|desktop)$/;
const UNTRUE =
  /(?:checked|verified|audited) work\b|\bwork (?:that|which) (?:was|is|were) (?:checked|verified|audited)|(?:geprüfte|überprüfte)[nr]? Arbeit/i;

function texts(): string[] {
  const own = readdirSync(root).filter((name) => name.startsWith("src-") || TEXT.test(name));
  return [...own, "docs", "scripts", "assets"].flatMap((name) =>
    TEXT.test(name)
      ? [name]
      : readdirSync(join(root, name), { recursive: true, encoding: "utf8" }).map((file) => join(name, file)),
  );
}

test("nowhere is work said to be checked before it is paid: neighbours sign for it, and nobody does it again", () => {
  const found = texts().filter(
    (file) =>
      TEXT.test(file) &&
      !/\.test\.tsx?$/.test(file) &&
      UNTRUE.test(readFileSync(join(root, file), "utf8").replaceAll(/\s+/g, " ")),
  );
  expect(found).toEqual([]);
});

test.each([
  ["an agent", "src-cli/mcp.ts", "is paid for counter-signed work"],
  [
    "who looks at the package",
    "scripts/package/headless/deb.ts",
    "earns by the work that its neighbours sign for",
  ],
])("%s reads what is paid", (_, file, words) => {
  expect(readFileSync(join(root, file), "utf8")).toContain(words);
});
