import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const electron = join(root, "node_modules", "electron");
const DOWNLOAD_WITHIN_MS = 5 * 60_000;

/**
 * The Electron binary, or null when it is not there. Only looks: to import `electron` would start a
 * download.
 */
export function electronBinary(
  folder: string = electron,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | null {
  try {
    const other = env["ELECTRON_OVERRIDE_DIST_PATH"];
    const name = other ? nameHere() : readFileSync(join(folder, "path.txt"), "utf8").trim();
    // A half-finished or older download has another version, or none.
    if (!other && read(join(folder, "dist", "version")).replace(/^v/, "") !== wantedVersion(folder))
      return null;
    const path = join(other || join(folder, "dist"), name);
    return existsSync(path) ? path : null;
  } catch {
    return null;
  }
}

/** Tries the download that the package offers. Null: it is there; else why not, in one sentence. */
export function downloadElectron(say: (text: string) => void): Promise<string | null> {
  say("Downloading Electron, once (about 120 MB) …");
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(electron, "install.js")], {
      cwd: root,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: DOWNLOAD_WITHIN_MS,
    });
    let complaint = "";
    child.stderr.on("data", (data: Buffer) => (complaint += data.toString()));
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => {
      if (code === 0 && electronBinary() !== null) return resolve(null);
      if (signal !== null) return resolve("it took longer than five minutes");
      resolve(/Error: (.+)/.exec(complaint)?.[1] ?? `the download ended with code ${code}`);
    });
  });
}

function wantedVersion(folder: string): string {
  const { version } = JSON.parse(read(join(folder, "package.json"))) as { version: string };
  return version;
}

function read(path: string): string {
  return readFileSync(path, "utf8").trim();
}

function nameHere(): string {
  if (process.platform === "win32") return "electron.exe";
  return process.platform === "darwin" ? "Electron.app/Contents/MacOS/Electron" : "electron";
}
