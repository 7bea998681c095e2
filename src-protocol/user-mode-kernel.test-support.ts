import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Debian's `user-mode-linux`: a kernel of its own as a program, with this computer's files, which it may not write. */
export const USER_MODE_KERNEL = "/usr/bin/linux.uml";

export function hasUserModeKernel(): boolean {
  return existsSync(USER_MODE_KERNEL);
}

/**
 * What such a kernel's console says until it halts. `first` is the text of its first process, in bash; each upper-case
 * word of `words` in it is replaced by the quoted path it stands for.
 */
export function inUserModeKernel(
  first: string,
  words: Readonly<Record<string, string>>,
  { memory, timeoutMs }: { readonly memory: string; readonly timeoutMs: number },
): string {
  const folder = mkdtempSync(join(tmpdir(), "tah-kernel-"));
  try {
    const path = join(folder, "first");
    const isWord = new RegExp(`\\b(${Object.keys(words).join("|")})\\b`, "g");
    const script = first.replace(isWord, (name) => `"${words[name] ?? name}"`);
    writeFileSync(path, `#!/bin/bash\n${script}halt -f 2>/dev/null || echo o > /proc/sysrq-trigger\n`);
    chmodSync(path, 0o755);
    const kernel = [
      `mem=${memory}`,
      "rootfstype=hostfs",
      "rootflags=/",
      "ro",
      "con=null",
      "con0=fd:0,fd:1",
      "quiet",
      `init=${path}`,
    ];
    const { stdout } = spawnSync(USER_MODE_KERNEL, kernel, {
      encoding: "utf8",
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      env: { ...process.env, TMPDIR: folder, HOME: folder },
    });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
