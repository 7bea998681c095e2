import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { freshDebian, trialsCache, whyNoFreshDebian } from "../fresh-debian.ts";
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

Installs the .deb into a fresh Debian ${SUITE} (debootstrap, kept in ~/.cache/train-at-home-trials), runs it as an
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
  const why = whyNoFreshDebian();
  if (why !== null) throw new Failure("no-fresh-debian", `The .deb is tried in a fresh Debian, and ${why}.`);
  const base = freshDebian(SUITE, say);
  const [deb, newer] =
    values.deb !== undefined && values.newer !== undefined ? [values.deb, values.newer] : bothVersions();
  const folder = mkdtempSync(join(trialsCache(), "deb-"));
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
