import type { Kernels } from "../../src-protocol/arithmetic.ts";
import type * as Onnxruntime from "onnxruntime-node";
import type { Graph } from "../../src-engine/graph.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { ComputeOptions } from "./compute-call.ts";
import { keepsParameters } from "./parameter-home.ts";
import { sessionOptions } from "./session-options.ts";

export type Runtime = typeof Onnxruntime;
type InferenceSession = Onnxruntime.InferenceSession;

/** `train` is forward and backward of the tail in one, `loss` its forward alone. */
export const GRAPH_KINDS = ["forward", "backward", "train", "loss"] as const;
export type GraphKind = (typeof GRAPH_KINDS)[number];

/** The ONNX Runtime, with the 1DS telemetry client of its Linux build kept from starting. */
export async function loadRuntime(): Promise<Runtime> {
  // It reads the variable when the first session is made, so the import must come after it.
  process.env["ORT_DISABLE_TELEMETRY"] = "1";
  return await import("onnxruntime-node");
}

/** The sessions of one stage, so that a stage that returns is not built again. */
export class Sessions {
  readonly #runtime: Runtime;
  readonly #options: ComputeOptions;
  readonly #sessions = new Map<GraphKind, InferenceSession>();
  #stage: string | null = null;
  #level: Kernels["level"] | undefined;

  constructor(runtime: Runtime, options: ComputeOptions) {
    this.#runtime = runtime;
    this.#options = options;
  }

  /**
   * From here on sessions are those of `stage`, a name of all that decides its graphs. `level`: of ONNX
   * Runtime's optimiser, where the run names one; else it is that of the graphs' class.
   */
  async keepOnly(stage: string, level?: Kernels["level"]): Promise<void> {
    if (this.#stage === stage) return;
    this.#stage = stage;
    this.#level = level;
    const others = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of others) await session.release();
  }

  /** `resident`: as for `prepare`. */
  async get(
    kind: GraphKind,
    graph: () => Graph,
    resident: (output: string) => boolean = () => false,
  ): Promise<InferenceSession> {
    const cached = this.#sessions.get(kind);
    if (cached !== undefined) return cached;
    const session = await this.prepare(graph(), resident);
    this.#sessions.set(kind, session);
    return session;
  }

  /** A session for its caller to release. Outputs for which `resident` holds stay where they are computed, if they can. */
  async prepare(
    { bytes, outputs, arithmetic }: Graph,
    resident: (output: string) => boolean,
  ): Promise<InferenceSession> {
    const { threads, executionProvider } = this.#options;
    try {
      return await this.#runtime.InferenceSession.create(bytes, {
        executionProviders: [executionProvider],
        ...(keepsParameters(executionProvider)
          ? {
              preferredOutputLocation: Object.fromEntries(
                outputs.map((name) => [name, resident(name) ? "gpu-buffer" : "cpu"] as const),
              ),
            }
          : {}),
        ...sessionOptions(arithmetic, threads, this.#level),
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
}
