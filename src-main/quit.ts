import type { App, BrowserWindow } from "electron";

/** What its owner wants of a Quit: `stop` ends the work too, `go-on` closes the app alone. */
export type QuitAnswer = "stop" | "go-on" | "cancel";

export interface QuitPorts {
  readonly app: Pick<App, "on" | "quit">;
  /** Asks whether work should go on; answers by itself where there is nothing to ask. */
  readonly ask: () => Promise<QuitAnswer>;
  /** Ends the work: resolves when the daemon has taken the order, or cannot be asked. */
  readonly endWork: () => Promise<void>;
  /** Lets go of the work, which goes on. */
  readonly leaveWork: () => void;
}

type Stage = "running" | "asking" | "ending-work" | "leaving";

/** Closing the window hides it and work goes on; Quit, from wherever it comes, asks what becomes of the work. */
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
      void this.#askAndLeave();
    });
  }

  get quitting(): boolean {
    return this.#stage === "ending-work" || this.#stage === "leaving";
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

  async #askAndLeave(): Promise<void> {
    if (this.#stage !== "running") return;
    this.#stage = "asking";
    // Who cannot be asked has said Quit, and that ends the work.
    const answer = await this.#ports.ask().catch((): QuitAnswer => "stop");
    if (answer === "cancel") {
      this.#stage = "running";
      return;
    }
    this.#stage = "ending-work";
    if (answer === "stop") await this.#ports.endWork().catch(() => {});
    else this.#ports.leaveWork();
    this.#stage = "leaving";
    this.#ports.app.quit();
  }
}
