import type * as Onnxruntime from "onnxruntime-node";
import type { Graph } from "../src-engine/graphs.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { ComputeOptions, StageSpec } from "./compute-call.ts";

export type Runtime = typeof Onnxruntime;
type InferenceSession = Onnxruntime.InferenceSession;

export const GRAPH_KINDS = ["forward", "backward", "tail", "loss"] as const;
export type GraphKind = (typeof GRAPH_KINDS)[number];

/** The ONNX Runtime, with the 1DS telemetry client of its Linux build kept from starting. */
export async function loadRuntime(): Promise<Runtime> {
  // It reads the variable when the first session is made, so the import must come after it.
  process.env["ORT_DISABLE_TELEMETRY"] = "1";
  return await import("onnxruntime-node");
}

/** Sessions by (graph, stage, B, T, execution provider), so that a stage that returns is not built again. */
export class Sessions {
  readonly #runtime: Runtime;
  readonly #options: ComputeOptions;
  readonly #sessions = new Map<string, InferenceSession>();

  constructor(runtime: Runtime, options: ComputeOptions) {
    this.#runtime = runtime;
    this.#options = options;
  }

  async get(kind: GraphKind, spec: StageSpec, graph: () => Graph): Promise<InferenceSession> {
    const key = this.#key(kind, spec);
    const cached = this.#sessions.get(key);
    if (cached !== undefined) return cached;
    const session = await this.#create(graph().bytes);
    this.#sessions.set(key, session);
    return session;
  }

  /** Lets go of the sessions of every other stage. */
  async keepOnly(spec: StageSpec): Promise<void> {
    const kept = new Set(GRAPH_KINDS.map((kind) => this.#key(kind, spec)));
    for (const [key, session] of this.#sessions) {
      if (kept.has(key)) continue;
      this.#sessions.delete(key);
      await session.release();
    }
  }

  async #create(bytes: Uint8Array): Promise<InferenceSession> {
    const { threads, executionProvider } = this.#options;
    try {
      return await this.#runtime.InferenceSession.create(bytes, {
        executionProviders: [executionProvider],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        executionMode: "sequential",
        graphOptimizationLevel: "all",
        // Same speed on a stage's graphs, and less than half the memory (65 against 152 MB for two blocks of width 512).
        enableMemPattern: false,
        // A pool that spins after each run takes a core from the next session: forward after backward
        // took twice as long (38 against 20 ms at width 512 on 2 threads).
        extra: { session: { intra_op: { allow_spinning: "0" } } },
      });
    } catch (error) {
      throw new Failure(
        "graph-refused",
        `ONNX Runtime could not prepare the stage on "${executionProvider}": ${String(error)}. ` +
          "This computer cannot train this stage; report it with the text above.",
        { cause: error },
      );
    }
  }

  #key(kind: GraphKind, { model, stage, stages, batch, sequence }: StageSpec): string {
    return JSON.stringify([kind, stage, stages, batch, sequence, this.#options.executionProvider, model]);
  }
}
