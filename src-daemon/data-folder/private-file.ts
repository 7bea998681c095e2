import { renameSync, rmSync, writeFileSync } from "node:fs";

/**
 * Writes a small file whole or not at all, readable by its owner only. The mode is given at
 * creation, so that there is no moment at which others can read it.
 */
export function writePrivateFile(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.new`;
  try {
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode: 0o600, flag: "wx" });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
