import { SHARE_ENV, Worker } from "node:worker_threads";
import { Failure } from "../../src-protocol/failure.ts";
import type { ComputeAnswer, ComputeCall, ComputeCalls, ComputeOptions } from "./compute-call.ts";
import { CallWatch } from "./call-watch.ts";
import { keepsParameters } from "./parameter-home.ts";

type Request<C extends ComputeCall> = ComputeCalls[C]["request"];

/** What a call gave, and how long the compute thread worked on it. */
export interface Computed<C extends ComputeCall> {
  readonly answer: ComputeCalls[C]["answer"];
  readonly ms: number;
}

interface Pending {
  readonly call: ComputeCall;
  resolve(computed: { answer: unknown; ms: number }): void;
  reject(failure: Failure): void;
}

const LOOK_MS = 1_000;

/** The compute thread as its owner sees it: typed calls that never block this thread. */
export class Compute {
  readonly #thread: Worker;
  readonly #isResident: boolean;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #lost: Failure | null = null;
  readonly #watch = new CallWatch();
  readonly #timer: NodeJS.Timeout;

  /**
   * @param now milliseconds of a clock that nobody sets
   * @param thread what the thread runs
   */
  constructor(
    options: ComputeOptions,
    now: () => number = () => performance.now(),
    thread: URL = new URL("./compute-thread.ts", import.meta.url),
  ) {
    this.#isResident = keepsParameters(options.executionProvider);
    this.#thread = new Worker(thread, {
      workerData: options,
      // A thread's own process.env is a copy that native code does not see: telemetry would stay on.
      env: SHARE_ENV,
    });
    this.#thread.on("message", (message: ComputeAnswer) => this.#settle(message));
    this.#thread.on("error", (error) => this.#end(String(error)));
    this.#thread.on("exit", (code) => this.#end(`it ended with code ${code}`));
    this.#timer = setInterval(() => {
      const why = this.#watch.look(now());
      if (why !== null) this.#end(why);
    }, LOOK_MS).unref();
  }

  /**
   * Calls run one after another. Buffers in `transfer` are the thread's from now on. Rejects with a
   * Failure: what ONNX Runtime or the engine said, or `compute-lost` when the thread is gone.
   */
  async call<C extends ComputeCall>(
    call: C,
    request: Request<C>,
    transfer: ArrayBuffer[] = [],
  ): Promise<Computed<C>> {
    if (this.#lost !== null) throw this.#lost;
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = new Promise<{ answer: unknown; ms: number }>((resolve, reject) => {
      if (this.#pending.size === 0) this.#watch.began(call);
      this.#pending.set(id, { call, resolve, reject });
    });
    this.#thread.postMessage({ id, call, request }, transfer);
    return (await answered) as Computed<C>;
  }

  /** Brings the memory given to `load` up to date. Costs nothing where parameters are trained in it. */
  async download(): Promise<void> {
    if (this.#isResident) await this.call("download", {});
  }

  /** Parameters and gradients are in a memory of the provider's own, which is slow to read. */
  get isResident(): boolean {
    return this.#isResident;
  }

  /** True while the thread works on something or has calls waiting. */
  get busy(): boolean {
    return this.#pending.size > 0;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#thread.terminate();
  }

  #settle(message: ComputeAnswer): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    // One after another: what was asked next is what it works on now.
    this.#watch.began(this.#pending.values().next().value?.call ?? null);
    if (pending !== undefined && !("failure" in message)) this.#watch.answered(pending.call, message.ms);
    if ("failure" in message) pending?.reject(new Failure(message.failure.code, message.failure.message));
    else pending?.resolve(message);
  }

  #end(reason: string): void {
    clearInterval(this.#timer);
    this.#lost ??= new Failure(
      "compute-lost",
      `The compute thread is gone: ${reason}. This worker cannot go on and has to be started again.`,
    );
    for (const { reject } of this.#pending.values()) reject(this.#lost);
    this.#pending.clear();
  }
}
