import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { BrowserWindow, Rectangle, Screen } from "electron";
import { z } from "zod";

const place = z.strictObject({
  x: z.int(),
  y: z.int(),
  width: z.int().positive(),
  height: z.int().positive(),
  isMaximized: z.boolean(),
});
export type Place = z.infer<typeof place>;

/** So much of the window must be on a screen, or nobody could take hold of it. */
const LEAST_SEEN = 120;
const WRITE_AFTER_MS = 500;

export interface WindowPlacePorts {
  readonly file: string;
  readonly screen: Pick<Screen, "getAllDisplays">;
  /** Calls again and again; returns how to end that. */
  readonly every: (ms: number, action: () => void) => () => void;
}

/** Where the window was when it was last seen: it opens there again, if that is still on a screen. */
export class WindowPlace {
  readonly #ports: WindowPlacePorts;
  #cancel: (() => void) | null = null;

  constructor(ports: WindowPlacePorts) {
    this.#ports = ports;
  }

  /** Null: it was never moved, or its screen is gone. */
  read(): Place | null {
    try {
      const found = place.parse(JSON.parse(readFileSync(this.#ports.file, "utf8")));
      const isSeen = this.#ports.screen.getAllDisplays().some(({ workArea }) => overlaps(found, workArea));
      return isSeen ? found : null;
    } catch {
      return null;
    }
  }

  /** From now on: written half a second after the last move. */
  follow(window: Pick<BrowserWindow, "on" | "getNormalBounds" | "isMaximized" | "isDestroyed">): void {
    const soon = () => {
      this.#cancel?.();
      this.#cancel = this.#ports.every(WRITE_AFTER_MS, () => {
        this.#cancel?.();
        this.#cancel = null;
        if (!window.isDestroyed())
          this.#write({ ...window.getNormalBounds(), isMaximized: window.isMaximized() });
      });
    };
    window.on("resize", soon);
    window.on("move", soon);
  }

  #write(at: Place): void {
    try {
      writeFileSync(`${this.#ports.file}.new`, JSON.stringify(at));
      renameSync(`${this.#ports.file}.new`, this.#ports.file);
    } catch {
      // It opens at its usual place then.
    }
  }
}

function overlaps(a: Rectangle, b: Rectangle): boolean {
  const shared = (from: number, size: number, otherFrom: number, otherSize: number): number =>
    Math.min(from + size, otherFrom + otherSize) - Math.max(from, otherFrom);
  return (
    shared(a.x, a.width, b.x, b.width) >= LEAST_SEEN && shared(a.y, a.height, b.y, b.height) >= LEAST_SEEN
  );
}
