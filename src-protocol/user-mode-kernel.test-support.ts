import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Debian's `user-mode-linux`: a kernel of its own as a program, with this computer's files, which it may not write. */
export const USER_MODE_KERNEL = "/usr/bin/linux.uml";

export function hasUserModeKernel(): boolean {
  return existsSync(USER_MODE_KERNEL);
}

/** What its console said until it halted; or its last words, where it has not come as far as its first process. */
export type KernelRun =
  | { readonly started: true; readonly said: string }
  | { readonly started: false; readonly why: string };

const STARTED = "THE FIRST PROCESS RUNS";
const LAST_WORDS = 300;

/**
 * Starts such a kernel and waits until it halts. `first` is the text of its first process, in bash; each upper-case
 * word of `words` in it is replaced by the quoted path it stands for.
 */
export function inUserModeKernel(
  first: string,
  words: Readonly<Record<string, string>>,
  { memory, timeoutMs }: { readonly memory: string; readonly timeoutMs: number },
): KernelRun {
  const folder = mkdtempSync(join(tmpdir(), "tah-kernel-"));
  try {
    const path = join(folder, "first");
    const isWord = new RegExp(`\\b(${Object.keys(words).join("|")})\\b`, "g");
    const script = first.replace(isWord, (name) => `"${words[name] ?? name}"`);
    const end = "halt -f 2>/dev/null || echo o > /proc/sysrq-trigger";
    writeFileSync(path, `#!/bin/bash\necho "${STARTED}"\n${script}${end}\n`);
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
    const { stdout, stderr } = spawnSync(USER_MODE_KERNEL, kernel, {
      encoding: "utf8",
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      env: { ...process.env, TMPDIR: folder, HOME: folder },
    });
    return stdout.includes(STARTED)
      ? { started: true, said: stdout }
      : { started: false, why: doesNotStart(`${stdout}\n${stderr}`) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Its panic, or else its last words: what it says before them is where it looked. */
function doesNotStart(said: string): string {
  const panic = /Kernel panic[^\n]*/.exec(said)?.[0];
  const words = (panic ?? said.trim().slice(-LAST_WORDS)).replaceAll(/\s+/g, " ").trim();
  return `the user-mode kernel does not start here (${words === "" ? "it says nothing" : words})`;
}
