import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { API_FILE_NAME, dataFolder } from "../src-protocol/data-folder.ts";
import { apiFile, type ApiFile } from "../src-protocol/methods.ts";

/** The data folder of this computer's user, the same as the daemon's own choice. */
export function ownDataFolder(): string {
  return resolve(dataFolder(process.env, process.platform, homedir()));
}

/** The running daemon's address, or null. It may be stale: only a connection tells. */
export function readApi(folder: string): ApiFile | null {
  try {
    const api = apiFile.parse(JSON.parse(readFileSync(join(folder, API_FILE_NAME), "utf8")));
    // SECURITY: the token must not be sent to another computer, whatever the file says.
    return ["127.0.0.1", "[::1]", "localhost"].includes(new URL(api.url).hostname) ? api : null;
  } catch {
    return null;
  }
}
