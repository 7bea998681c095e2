import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import { packageName, type LockedPackage } from "./lock.ts";

/**
 * The folder of a locked package that this platform has not installed: npm fetches its tarball,
 * which must have the digest that stands in the lock file. Kept in `cache`, by digest.
 *
 * @throws Failure `tarball-differs`, `tarball-missing`
 */
export function packageFolder(path: string, locked: LockedPackage, cache: string): string {
  const { version, integrity } = locked;
  const name = packageName(path);
  if (version === undefined || integrity === undefined)
    throw new Failure(
      "tarball-missing",
      `package-lock.json has no digest for ${name}, so it cannot be fetched.`,
    );
  const folder = join(cache, createHash("sha256").update(integrity).digest("hex").slice(0, 16));
  if (existsSync(folder)) return join(folder, "package");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "new-"));
  try {
    const file = fetchTarball(`${name}@${version}`, work);
    checkIntegrity(readFileSync(file), integrity, `${name}@${version}`);
    execFileSync("tar", ["-xzf", file, "-C", work]);
    rmSync(file);
    renameSync(work, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return join(folder, "package");
}

/** @throws Failure `tarball-differs` */
export function checkIntegrity(bytes: Uint8Array, integrity: string, name: string): void {
  const [algorithm = "", wanted = ""] = integrity.split(/-(.*)/s);
  if (algorithm !== "sha512" && algorithm !== "sha256")
    throw new Failure(
      "tarball-differs",
      `The digest of ${name} is of a kind that is not taken: ${algorithm}.`,
    );
  if (createHash(algorithm).update(bytes).digest("base64") !== wanted)
    throw new Failure(
      "tarball-differs",
      `What came for ${name} does not have the digest that package-lock.json names. Nothing of it is used; try again, and if it stays so do not ship it.`,
    );
}

function fetchTarball(spec: string, folder: string): string {
  try {
    const answer = execFileSync(
      "npm",
      ["pack", spec, "--json", "--ignore-scripts", "--pack-destination", folder],
      {
        encoding: "utf8",
        shell: process.platform === "win32",
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    const [packed] = JSON.parse(answer) as { filename: string }[];
    const file = join(folder, (packed?.filename ?? "").replace(/^@/, "").replace("/", "-"));
    if (existsSync(file)) return file;
    throw new Error("npm packed nothing");
  } catch (error) {
    const text = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new Failure(
      "tarball-missing",
      `${spec} could not be fetched from npm (${text}). Is there a network?`,
    );
  }
}
