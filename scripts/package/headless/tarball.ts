import { spawnSync } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { gzipSync } from "node:zlib";
import { Failure } from "../../../src-protocol/failure.ts";
import { isProgram, settle } from "./tree.ts";

/** The tree as a .tar.gz whose bytes depend on its files alone: sorted, one time, owned by root. */
export function buildTarball({ folder, file, time }: { folder: string; file: string; time: Date }): void {
  settle(folder, time, isProgram);
  const tar = `${file}.tar`;
  const run = spawnSync(
    "tar",
    [
      "--sort=name",
      "--format=gnu",
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      `--mtime=@${time.getTime() / 1000}`,
    ].concat(["-cf", tar, "-C", dirname(folder), basename(folder)]),
    { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } },
  );
  if (run.status !== 0) {
    rmSync(tar, { force: true });
    throw new Failure(
      "tarball-not-built",
      `GNU tar did not make the archive: ${run.stderr.trim() || String(run.error)}`,
    );
  }
  writeFileSync(`${file}.part`, gzipSync(readFileSync(tar), { level: 6 }));
  rmSync(tar);
  renameSync(`${file}.part`, file);
}
