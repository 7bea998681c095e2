/** `api.json` in the data folder says where the daemon answers: see `apiFile`. */
export const API_FILE_NAME = "api.json";

/** Of the embedded network's orchestrator, in the data folder. */
export const NETWORK_FOLDER_NAME = "network";

/** In the data folder, where nobody says another one: what `tah network serve` keeps. */
export const SERVED_FOLDER_NAME = "served";

/**
 * The data folder: `TAH_HOME`, else where the platform keeps an application's data. Daemon and
 * clients find each other by it, so there is one such function. `platform` as Node names it.
 */
export function dataFolder(
  env: Readonly<Record<string, string | undefined>>,
  platform: string,
  userFolder: string,
): string {
  if (env["TAH_HOME"]) return env["TAH_HOME"];
  switch (platform) {
    case "darwin":
      return `${userFolder}/Library/Application Support/Train at Home`;
    case "win32":
      return `${env["LOCALAPPDATA"] || `${userFolder}\\AppData\\Local`}\\Train at Home`;
    default:
      return `${env["XDG_DATA_HOME"] || `${userFolder}/.local/share`}/train-at-home`;
  }
}
