import type { App, BrowserWindow } from "electron";

export interface QuitPorts {
  readonly app: Pick<App, "on" | "quit">;
  /** Ends the work: resolves when the daemon has taken the order, or cannot be asked. */
  readonly endWork: () => Promise<void>;
}

type Stage = "running" | "ending-work" | "leaving";

/** Closing the window hides it and work goes on; Quit, from wherever it comes, ends the work first. */
export class QuitGuard {
  readonly #ports: QuitPorts;
  #stage: Stage = "running";

  constructor(ports: QuitPorts) {
    this.#ports = ports;
    const { app } = ports;
    // Without a listener Electron ends the app with its last window.
    app.on("window-all-closed", () => {});
    app.on("before-quit", (event) => {
      if (this.#stage === "leaving") return;
      event.preventDefault();
      void this.#endWorkAndLeave();
    });
  }

  get quitting(): boolean {
    return this.#stage !== "running";
  }

  hideInsteadOfClose(window: Pick<BrowserWindow, "on" | "hide">): void {
    window.on("close", (event) => {
      if (this.#stage === "leaving") return;
      event.preventDefault();
      window.hide();
    });
  }

  /** The work has been ended already: what closes now closes. */
  leaveNow(): void {
    this.#stage = "leaving";
  }

  async #endWorkAndLeave(): Promise<void> {
    if (this.#stage !== "running") return;
    this.#stage = "ending-work";
    await this.#ports.endWork().catch(() => {});
    this.#stage = "leaving";
    this.#ports.app.quit();
  }
}
