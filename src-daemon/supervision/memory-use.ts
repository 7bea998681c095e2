import { readFileSync } from "node:fs";
import { descendants } from "./core-limits.ts";

/** Bytes that a process and all that it has started hold of the computer's memory; null: it cannot be told here. */
export function memoryUse(pid: number, proc = "/proc"): number | null {
  const uses = [pid, ...descendants(pid, proc)].map((one) => resident(one, proc));
  const known = uses.filter((bytes) => bytes !== null);
  return known.length === 0 ? null : known.reduce((sum, bytes) => sum + bytes, 0);
}

function resident(pid: number, proc: string): number | null {
  try {
    const kilobytes = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`${proc}/${pid}/status`, "utf8"))?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  } catch {
    return null;
  }
}

export function memoryLimitText(used: number, allowed: number): string {
  const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  return `It held ${mb(used)} of memory and you allow it ${mb(allowed)}, so it was ended. Allow more (\`tah rules set memory=4GB\`), or let the run be cut into more slices.`;
}
