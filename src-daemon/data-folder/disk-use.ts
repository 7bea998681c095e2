import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

const EVERY_MS = 60_000;

/** Bytes on the disk of a folder and all in it; links are not followed. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await folderBytes(path);
    // What is gone by now takes nothing.
    else bytes += await lstat(path).then(onDisk, () => 0);
  }
  return bytes;
}

/** A sparse file takes what was written of it; Windows does not tell. */
function onDisk({ blocks, size }: { readonly blocks: number; readonly size: number }): number {
  return process.platform === "win32" ? size : blocks * 512;
}

export interface DiskUsePorts {
  /** Whether a rule needs it now. */
  wanted(): boolean;
  changed(): void;
}

/** What the data folder takes, measured anew every minute while a quota asks for it. */
export class DiskUse {
  readonly #folder: string;
  readonly #ports: DiskUsePorts;
  readonly #timer: NodeJS.Timeout;
  #bytes: number | null = null;
  #looking: Promise<number> | null = null;

  constructor(folder: string, ports: DiskUsePorts) {
    this.#folder = folder;
    this.#ports = ports;
    this.#timer = setInterval(() => this.look(), EVERY_MS).unref();
  }

  /** Of the last look; null: none was taken yet. */
  get bytes(): number | null {
    return this.#bytes;
  }

  /** The rules may have changed. */
  look(): void {
    if (this.#ports.wanted()) void this.measure();
  }

  measure(): Promise<number> {
    this.#looking ??= folderBytes(this.#folder).then((bytes) => {
      this.#looking = null;
      const isNews = bytes !== this.#bytes;
      this.#bytes = bytes;
      if (isNews && this.#ports.wanted()) this.#ports.changed();
      return bytes;
    });
    return this.#looking;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
