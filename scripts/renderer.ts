import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";

/** What the dashboard's bundle is made from. */
const SOURCES = ["src-renderer", "src-protocol", "vite.config.ts", "package-lock.json"];

/** Builds `dist/renderer` when it is missing or older than its sources. About a second. */
export async function ensureRenderer(root: string, say: (text: string) => void): Promise<void> {
  const stamp = join(root, "dist", "renderer", ".sources");
  const wanted = digest(root);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  say("Building the dashboard …");
  try {
    const { build } = await import("vite");
    await build({ configFile: join(root, "vite.config.ts"), logLevel: "silent" });
    writeFileSync(stamp, wanted);
  } catch (error) {
    throw buildFailure(root, error);
  }
}

/** Why there is no dashboard, in one sentence. */
export function buildFailure(root: string, error: unknown): Failure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return new Failure(
      "dashboard-not-built",
      `The dashboard has to be built again, and you may not write to ${root}. Run \`npm run build\` once as the user it belongs to, or make it writable.`,
      { cause: error },
    );
  const detail = (error instanceof Error ? error.message : String(error)).trim().split("\n")[0] ?? "";
  return new Failure(
    "dashboard-not-built",
    `The dashboard could not be built (${detail}). Check with \`git status\` that the sources are whole, then try again.`,
    { cause: error },
  );
}

function digest(root: string): string {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    for (const file of filesOf(join(root, source))) hash.update(file).update(readFileSync(file));
  }
  return hash.digest("hex");
}

function filesOf(path: string): string[] {
  if (/\.\w+$/.test(path)) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
