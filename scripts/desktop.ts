import { join } from "node:path";
import { failureBody } from "../src-protocol/failure.ts";
import { openDesktopWindow, windowAllowed } from "./desktop-window.ts";
import { downloadElectron, electronBinary } from "./electron-binary.ts";
import { ensureRenderer } from "./renderer.ts";

/** `npm run desktop`: the dashboard in a window of its own, with a tray icon. */
const root = join(import.meta.dirname, "..");
const say = (text: string) => void process.stderr.write(`${text}\n`);

process.exitCode = await desktop();

async function desktop(): Promise<number> {
  if (!windowAllowed()) {
    say(
      "The desktop window does not open for root: its browser engine would have to run without its sandbox. " +
        "Run this as an ordinary user, or use the dashboard in a browser: npm start",
    );
    return 1;
  }
  let binary = electronBinary();
  if (binary === null) {
    const failure = await downloadElectron(say);
    binary = electronBinary();
    if (failure !== null || binary === null) {
      say(
        `The desktop window needs Electron, and it could not be downloaded (${failure ?? "it is not there"}). ` +
          "Run the same command again when there is a network; the dashboard runs in the browser meanwhile: npm start",
      );
      return 1;
    }
  }
  try {
    await ensureRenderer(root, say);
  } catch (error) {
    say(failureBody(error).message);
    return 1;
  }
  const window = await openDesktopWindow(root, binary, process.argv.slice(2));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => window.close());
  return await window.ended;
}
