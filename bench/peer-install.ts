import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import type { Progress } from "./bench.ts";

export interface Peer {
  /** Its folder in bench/peers, which has its lock file. */
  readonly folder: string;
  /** For a person, and what it takes to install. */
  readonly name: string;
  readonly takes: string;
}

/**
 * The folder that has what a benchmark compares with, or measures with. The first use installs it
 * there, as its lock file names it and without running any script of a package; everybody else's
 * install stays free of it.
 *
 * @throws Failure `peer-not-installed`
 */
export async function installPeer(peer: Peer, progress: Progress): Promise<string> {
  const folder = join(import.meta.dirname, "peers", peer.folder);
  const stamp = join(folder, "node_modules", ".train-at-home");
  const wanted = createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return folder;
  progress(`Installing ${peer.name} into bench/peers/${peer.folder}, once: ${peer.takes}.`);
  const code = await npmCi(folder);
  if (code !== 0) {
    throw new Failure(
      "peer-not-installed",
      `${peer.name} could not be installed (npm ended with ${code}), so there is nothing to measure with. ` +
        "It comes from the npm registry and is only needed for this benchmark. " +
        "The lines above say why; most often there is no network. Connect and run the same command again.",
    );
  }
  writeFileSync(stamp, wanted);
  return folder;
}

async function npmCi(folder: string): Promise<number | string> {
  const script = process.env["npm_execpath"];
  // npm's own script under this Node needs no shell, which Windows would want for `npm.cmd`.
  const ownScript = script?.endsWith(".js") === true ? script : null;
  const parameters = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const child = spawn(
    ownScript === null ? "npm" : process.execPath,
    [...(ownScript === null ? [] : [ownScript]), ...parameters],
    {
      cwd: folder,
      // What npm says is not the benchmark's answer.
      stdio: ["ignore", process.stderr, process.stderr],
      shell: ownScript === null && process.platform === "win32",
    },
  );
  return await new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "no code"));
  });
}
