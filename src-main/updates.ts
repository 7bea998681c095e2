import { checkUpdate } from "./update-signature.ts";

/** What is used of electron-updater. */
export interface UpdaterPort {
  autoDownload: boolean;
  autoInstallOnAppQuit: boolean;
  allowDowngrade: boolean;
  checkForUpdates(): Promise<{ readonly isUpdateAvailable: boolean; readonly updateInfo: unknown } | null>;
  downloadUpdate(): Promise<unknown>;
  quitAndInstall(isSilent?: boolean, isForceRunAfter?: boolean): void;
}

export interface UpdatesPorts {
  readonly updater: UpdaterPort;
  /** Of the releases, as PEM; it is built in. */
  readonly publicKey: string;
  /** Ends the work after the step that it is at; resolves when the daemon is gone. */
  readonly endWork: () => Promise<void>;
  /** From now on windows may close and the app may leave. */
  readonly mayLeave: () => void;
  readonly every: (ms: number, action: () => void) => () => void;
  readonly onChange: () => void;
}

export type UpdateState =
  | { readonly kind: "none" }
  | { readonly kind: "looking" }
  | { readonly kind: "loading"; readonly version: string }
  | { readonly kind: "ready"; readonly version: string }
  | { readonly kind: "ending-work"; readonly version: string }
  | { readonly kind: "installing"; readonly version: string }
  | { readonly kind: "refused" | "failed"; readonly text: string };

const LOOK_MS = 6 * 3_600_000;

/**
 * Updates: looked for every six hours, taken only under the releases' signature, downloaded while work
 * goes on, and put in when the owner says so, or at the next end of the app; never in the midst of a step.
 */
export class Updates {
  readonly #ports: UpdatesPorts;
  #state: UpdateState = { kind: "none" };

  constructor(ports: UpdatesPorts) {
    this.#ports = ports;
    const { updater } = ports;
    // SECURITY: nothing is loaded before its signature was looked at, and nothing older is taken.
    updater.autoDownload = false;
    updater.allowDowngrade = false;
    updater.autoInstallOnAppQuit = false;
  }

  get state(): UpdateState {
    return this.#state;
  }

  /** Looks now, and from now on. */
  start(): void {
    this.#ports.every(LOOK_MS, () => void this.look());
    void this.look();
  }

  async look(): Promise<void> {
    const { updater, publicKey } = this.#ports;
    if (["looking", "loading", "ready", "ending-work", "installing"].includes(this.#state.kind)) return;
    this.#become({ kind: "looking" });
    try {
      const found = await updater.checkForUpdates();
      if (found === null || !found.isUpdateAvailable) return this.#become({ kind: "none" });
      const verdict = checkUpdate(found.updateInfo, publicKey);
      if (verdict.kind === "refused") return this.#become({ kind: "refused", text: verdict.why });
      const { version } = verdict;
      this.#become({ kind: "loading", version });
      // Once it is here it is put in at the next end too, when its owner quits before saying yes to it.
      updater.autoInstallOnAppQuit = true;
      await updater.downloadUpdate();
      this.#become({ kind: "ready", version });
    } catch (error) {
      const text = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
      this.#become({
        kind: "failed",
        text: `Looking for an update did not work (${text}). It is tried again later.`,
      });
    }
  }

  /** After the step that the daemon is at: its end is waited for, then the new version takes the place of this one. */
  async install(): Promise<void> {
    if (this.#state.kind !== "ready") return;
    const { version } = this.#state;
    this.#become({ kind: "ending-work", version });
    await this.#ports.endWork().catch(() => {});
    this.#become({ kind: "installing", version });
    this.#ports.mayLeave();
    this.#ports.updater.quitAndInstall(true, true);
  }

  #become(state: UpdateState): void {
    this.#state = state;
    this.#ports.onChange();
  }
}
