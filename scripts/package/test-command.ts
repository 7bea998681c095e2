import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { debArch } from "./headless/deb.ts";
import { productVersion } from "./product-version.ts";
import { hostTarget } from "./target.ts";

/**
 * `npm run package:test`: the .deb in a fresh Debian, from its installation to its purge, as an
 * ordinary user would live with it. Needs root and `debootstrap`; takes minutes.
 */
const root = join(import.meta.dirname, "..", "..");
const say = (text: string) => void process.stderr.write(`${text}\n`);
const SUITE = "bookworm";
const HELP = `npm run package:test -- [--deb OLD.deb --newer NEW.deb] [--json] [--keep]

Installs the .deb into a fresh Debian ${SUITE} (debootstrap, kept in node_modules/.cache), runs it as an
ordinary user, joins a network, trains, upgrades, removes and purges it. Without --deb both versions are
made first. --keep leaves the folder, to look at.
`;

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`${failureBody(error).message}\n`);
  process.exitCode = 1;
}

function main(): number {
  const { values } = parseArgs({
    options: {
      deb: { type: "string" },
      newer: { type: "string" },
      json: { type: "boolean" },
      keep: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new Failure(
      "not-root",
      "The .deb is tried in a root of its own, which only root on Linux can make.",
    );
  const cache = join(root, "node_modules", ".cache", "train-at-home");
  const base = freshSystem(cache);
  const [deb, newer] =
    values.deb !== undefined && values.newer !== undefined ? [values.deb, values.newer] : bothVersions();
  const folder = mkdtempSync(join(cache, "try-"));
  try {
    execFileSync("tar", ["-xpf", base, "-C", folder]);
    // A temporary folder is its maker's alone, and an ordinary user enters no such root.
    chmodSync(folder, 0o755);
    // Everything that it starts ends with it: a namespace of processes and of mounts of its own.
    const story = join(import.meta.dirname, "headless", "story.ts");
    const words = [process.execPath, story, folder, deb, newer, values.json === true ? "json" : "text"];
    const run = spawnSync(
      "unshare",
      [
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
        "sh",
        "-c",
        '"$@"; exit $?',
        "sh",
        ...words,
      ],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    return run.status ?? 1;
  } finally {
    if (values.keep === true) say(`Left: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

/** A minimal Debian as an archive, made once. */
function freshSystem(cache: string): string {
  const file = join(cache, `${SUITE}.tar`);
  if (existsSync(file)) return file;
  if (spawnSync("debootstrap", ["--version"]).error !== undefined)
    throw new Failure(
      "no-debootstrap",
      "debootstrap is not here, which makes the fresh Debian: apt-get install debootstrap.",
    );
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "base-"));
  try {
    say(`Making a fresh Debian ${SUITE}, once …`);
    const made = spawnSync("debootstrap", ["--variant=minbase", SUITE, folder], { encoding: "utf8" });
    if (made.status !== 0)
      throw new Failure(
        "no-debootstrap",
        `debootstrap ended with ${made.status}: ${made.stdout.trim().split("\n").at(-1) ?? ""}`,
      );
    execFileSync("tar", ["-cf", `${file}.part`, "-C", folder, "."]);
    renameSync(`${file}.part`, file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return file;
}

/** This version, and one that comes after it, which differs by nothing else. */
function bothVersions(): [string, string] {
  const version = productVersion(root);
  const next = version.replace(/\d+$/, (patch) => String(Number(patch) + 1));
  const output = join(root, "dist", "packages", "test");
  const make = (words: readonly string[]) =>
    execFileSync(
      process.execPath,
      [join(import.meta.dirname, "headless-command.ts"), "--only", "deb", "--output", output, ...words],
      {
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
  make(["--version", version]);
  make(["--version", next, "--staged"]);
  const file = (one: string) => join(output, `train-at-home_${one}_${debArch(hostTarget())}.deb`);
  return [file(version), file(next)];
}
