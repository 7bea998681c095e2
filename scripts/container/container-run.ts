import type { ChildProcess } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import type { Image } from "./image.ts";
import { firstProcess, runBeside, startIn } from "./namespaces.ts";

const BESIDE_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 500;

/** Of `tah status --json`. */
interface Status {
  readonly run: { readonly step: number | null } | null;
}

/** A container between its start and its end. */
export class ContainerRun {
  readonly #image: Image;
  readonly #child: ChildProcess;
  readonly #first: number;
  readonly #closed: Promise<number | string>;
  #said = "";
  #isClosed = false;

  /** Its entrypoint with its command's words, as `docker run --network none`. */
  static async start(image: Image): Promise<ContainerRun> {
    const child = startIn(image.root, { ...image, words: [...image.entrypoint, ...image.cmd] }, "own");
    return new ContainerRun(image, child, await firstProcess(child));
  }

  private constructor(image: Image, child: ChildProcess, first: number) {
    this.#image = image;
    this.#child = child;
    this.#first = first;
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (data: Buffer) => (this.#said = `${this.#said}${data.toString()}`.slice(-4000)));
    this.#closed = new Promise((resolve) =>
      child.once("close", (code, signal) => {
        this.#isClosed = true;
        resolve(code ?? signal ?? "");
      }),
    );
  }

  /** Asks a command of its own inside, in JSON. */
  tah(...words: readonly string[]): unknown {
    const { code, out, error } = this.#beside(["node", "src-cli/tah.ts", ...words], BESIDE_WITHIN_MS);
    if (code !== 0) throw new Error(`tah ${words.join(" ")} ended with ${code}: ${error.trim()}`);
    return JSON.parse(out);
  }

  healthy(): boolean {
    const { health } = this.#image;
    return health !== null && this.#beside(health.command, health.timeoutMs).code === 0;
  }

  async until(what: string, ms: number, holds: (status: Status) => boolean): Promise<void> {
    const end = performance.now() + ms;
    for (;;) {
      if (this.#isClosed) throw new Error(`${what}: it has ended instead\n${this.#said}`);
      const asked = this.#beside(["node", "src-cli/tah.ts", "status", "--json"], BESIDE_WITHIN_MS);
      if (asked.code === 0 && holds(JSON.parse(asked.out) as Status)) break;
      if (performance.now() > end) throw new Error(`${what}: not in ${ms / 1000} s\n${this.#said}`);
      await wait(LOOK_EVERY_MS);
    }
    process.stderr.write(`  ok  ${what}\n`);
  }

  /** As `docker stop`; with what it ended. */
  stop(withinMs: number): Promise<number | string> {
    process.kill(this.#first, this.#image.stopSignal as NodeJS.Signals);
    return this.ended(withinMs);
  }

  async ended(withinMs: number): Promise<number | string> {
    const late = wait(withinMs, "late" as const, { ref: false });
    const how = await Promise.race([this.#closed, late]);
    if (how === "late")
      throw new Error(`It has not ended in ${Math.round(withinMs / 1000)} s\n${this.#said}`);
    return how;
  }

  /** Whatever is left of it. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #beside(words: readonly string[], timeoutMs: number): ReturnType<typeof runBeside> {
    return runBeside(this.#first, this.#image.root, { ...this.#image, words }, timeoutMs);
  }
}
