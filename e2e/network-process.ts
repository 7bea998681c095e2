import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";

const ROOT = join(import.meta.dirname, "..");
const START_WITHIN_MS = 45_000;
const TAH = join(ROOT, "src-cli", "tah.ts");
/** The line that a program gets: of a network that begins to be served, or of one that invites. */
const withInvitation = z.object({ invitation: z.string().nullable() });

/** A network for others, as its operator starts it in a terminal. */
export interface NetworkProcess {
  /** The line that lets people in. */
  readonly invitation: string;
  /** Another one, for one more owner, as its operator makes it in a second terminal. */
  invite(): Promise<string>;
  stop(): Promise<void>;
}

/**
 * `tah network serve` on loopback, with a small model. Whoever starts it must stop it.
 *
 * @param home its data folder, which is kept; null: one that ends with it
 */
export async function serveNetwork(
  name: string,
  { home: kept = null, stages = 2 }: { home?: string | null; stages?: number } = {},
): Promise<NetworkProcess> {
  const folder = mkdtempSync(join(tmpdir(), "tah network "));
  const texts = join(folder, "texts");
  mkdirSync(texts);
  const sentence = "The wind blew over the harbour, and the boats lay still until the morning came. ";
  writeFileSync(join(texts, "harbour.txt"), sentence.repeat(4_000));
  const home = kept ?? join(folder, "home");
  const words = `network serve --json --model tiny --stages ${stages} --host 127.0.0.1 --port 0 --operator Ada`;
  const child = spawn(
    process.execPath,
    [TAH, ...words.split(" "), "--home", home, "--data", texts, "--name", name],
    { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" } },
  );
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await gone;
    rmSync(folder, { recursive: true, force: true });
  };
  const invite = async (): Promise<string> => {
    const asked = [TAH, "network", "invite", "--json", "--uses", "1", "--expires", "1h", "--home", home];
    const { stdout } = await promisify(execFile)(process.execPath, asked, { cwd: ROOT });
    return withInvitation.parse(JSON.parse(stdout)).invitation ?? "";
  };
  let said = "";
  const { promise, resolve, reject } = Promise.withResolvers<string | null>();
  const hear = (data: unknown): void => {
    said += String(data);
    const line = said.split("\n").find((each) => each.startsWith("{") && each.endsWith("}"));
    if (line !== undefined) resolve(withInvitation.parse(JSON.parse(line)).invitation);
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  child.once("exit", (code) => reject(new Error(`The network ended with ${code}:\n${said}`)));
  const timer = setTimeout(() => reject(new Error(`No invitation in time:\n${said}`)), START_WITHIN_MS);
  try {
    const said = await promise.finally(() => clearTimeout(timer));
    // Served before, it has invited before.
    return { invitation: said ?? (await invite()), invite, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
