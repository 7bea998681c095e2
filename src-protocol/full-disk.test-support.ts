import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system in memory that no other process sees: needs Linux and root. */
export const CAN_FILL_A_DISK =
  process.platform === "linux" &&
  spawnSync("unshare", ["--mount", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]).status === 0;

/**
 * Runs `script` (a module's text; `disk` is the folder, `print(value)` answers) in a process whose folder
 * has room for so many bytes and no more. Gives the answers.
 */
export function onFullDisk(bytes: number, script: string): unknown[] {
  const folder = mkdtempSync(join(tmpdir(), "tah full "));
  try {
    const module = `const disk = process.env.DISK; const print = (value) => console.log(JSON.stringify(value));\n${script}`;
    const { status, stdout, stderr } = spawnSync(
      "unshare",
      [
        "--mount",
        "sh",
        "-c",
        `mount -t tmpfs -o size=${bytes} none "$DISK" && exec "$0" --input-type=module --eval "$SCRIPT"`,
        process.execPath,
      ],
      {
        env: { ...process.env, DISK: folder, SCRIPT: module, NODE_OPTIONS: "" },
        encoding: "utf8",
        cwd: import.meta.dirname,
      },
    );
    if (status !== 0) throw new Error(`The process on a full disk ended with ${status}: ${stderr}`);
    return stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
