import { Failure } from "../../src-protocol/failure.ts";
import type { LoadingProgress } from "../../src-protocol/loading.ts";
import type { DataProgress } from "../../src-data/gather-data.ts";

/** How the owner's data is read: when it may be, how far it is, and that it ends when it shall. */
export interface Reading {
  /** Does work that takes long; `signal` ends it, and it may be begun again. */
  run<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result>;
  onProgress(progress: DataProgress): void;
}

export interface DataReadingPorts {
  /** Whether the policy says that this computer may work now. */
  isWorking(): boolean;
  /** What clients are shown; null: nothing is read. */
  show(progress: LoadingProgress | null): void;
  /** Milliseconds, of a clock that nobody sets. */
  now(): number;
}

/**
 * Data is read while the policy lets this computer work: a pause ends the reading at once, and it goes on
 * from where it was when work may begin again. `stop` ends it for good.
 */
export class DataReading implements Reading {
  readonly #ports: DataReadingPorts;
  #abort: AbortController | null = null;
  #mayBegin = Promise.withResolvers<void>();
  #isOver = false;
  /** Where the stage that is told of began. */
  #beginning: { stage: DataProgress["stage"]; at: number; bytes: number } | null = null;

  constructor(ports: DataReadingPorts) {
    this.#ports = ports;
  }

  /** The policy has decided anew. */
  decided(): void {
    if (!this.#ports.isWorking()) this.#abort?.abort();
    else this.#begin();
  }

  stop(): void {
    this.#isOver = true;
    this.#abort?.abort();
    this.#begin();
  }

  /** @throws Failure of the work; `interrupted` after `stop` */
  async run<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    try {
      for (;;) {
        if (!this.#ports.isWorking() && !this.#isOver) await this.#mayBegin.promise;
        if (this.#isOver) throw ended();
        this.#abort = new AbortController();
        try {
          return await work(this.#abort.signal);
        } catch (error) {
          const isPaused = error instanceof Failure && error.code === "interrupted" && !this.#isOver;
          if (!isPaused) throw error;
        }
        this.#beginning = null;
        this.#ports.show(null);
      }
    } finally {
      this.#abort = null;
      this.#beginning = null;
      this.#ports.show(null);
    }
  }

  onProgress({ stage, bytes, totalBytes }: DataProgress): void {
    const { now, show } = this.#ports;
    if (this.#beginning?.stage !== stage) this.#beginning = { stage, at: now(), bytes };
    const seconds = (now() - this.#beginning.at) / 1000;
    const done = bytes - this.#beginning.bytes;
    const bytesPerSecond = seconds > 1 && done > 0 ? done / seconds : null;
    show({
      what: stage === "reading" ? "data" : "files",
      bytes: Math.min(Math.round(bytes), totalBytes),
      ofBytes: Math.max(1, totalBytes),
      bytesPerSecond,
      secondsLeft: bytesPerSecond === null ? null : (totalBytes - bytes) / bytesPerSecond,
    });
  }

  #begin(): void {
    this.#mayBegin.resolve();
    this.#mayBegin = Promise.withResolvers<void>();
  }
}

function ended(): Failure {
  return new Failure(
    "interrupted",
    "It was asked to end while the data was read. Starting again goes on from there.",
  );
}
