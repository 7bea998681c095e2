import { spawn } from "node:child_process";
import { buildShell } from "./shell-bundle.ts";

export interface DesktopWindow {
  /** Its exit code. */
  readonly ended: Promise<number>;
  close(): void;
}

/** Electron as root would have to run without its sandbox: never. */
export function windowAllowed(platform = process.platform, user = process.getuid?.()): boolean {
  return platform !== "linux" || user !== 0;
}

/** Opens the shell on this checkout. It joins the data folder's daemon, or starts one. */
export async function openDesktopWindow(
  root: string,
  binary: string,
  words: readonly string[],
  home?: string,
): Promise<DesktopWindow> {
  await buildShell(root);
  const { ELECTRON_RUN_AS_NODE: _asNode, ...env } = process.env;
  const child = spawn(binary, [root, ...words], {
    stdio: "inherit",
    env: home === undefined ? env : { ...env, TAH_HOME: home },
  });
  const ended = new Promise<number>((resolve) => {
    child.on("error", (error) => {
      process.stderr.write(
        `Electron could not be started (${error.message}). The dashboard runs in the browser: npm start\n`,
      );
      resolve(1);
    });
    child.on("exit", (code) => resolve(code ?? 1));
  });
  return { ended, close: () => void child.kill("SIGTERM") };
}
