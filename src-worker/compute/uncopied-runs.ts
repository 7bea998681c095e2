import type { InferenceSession, Tensor } from "onnxruntime-node";
import { GraphBuilder } from "../../src-engine/graph-builder.ts";
import { closeGraph } from "../../src-engine/graph.ts";
import type { Graph } from "../../src-engine/graph.ts";
import { NO_TENSOR, withNoTensorFirst } from "../../src-engine/no-tensor-first.ts";
import { OPERATORS } from "../../src-engine/operators.ts";
import type { Runtime } from "./sessions.ts";
import { sessionOptions } from "./session-options.ts";

type Named<T> = Readonly<Record<string, T>>;

/**
 * Runs that write their outputs into memory that was given for them, and nowhere else.
 *
 * ONNX Runtime's binding for Node gives a copy of every output besides (1.30), in memory that it first fills with
 * zeros. That is a tenth of a forward that keeps activations, and with a few megabytes of gradients in each backward
 * about 5 % of a pipeline's time. It makes the copies when the run is over, in the order of the outputs, and
 * says that it cannot when it comes to one that is no tensor. So the graphs here have such an output before all others: what is
 * said is the sign that all were written. Whether a binding does so is tried once; where it does otherwise, nothing
 * is gained or lost.
 */
export class UncopiedRuns {
  readonly #runtime: Runtime;
  /** What the binding says when it comes to the output that is no tensor. */
  readonly #sign: string;

  private constructor(runtime: Runtime, sign: string) {
    this.#runtime = runtime;
    this.#sign = sign;
  }

  /** Null: this binding does something else. On the processor. */
  static async tried(runtime: Runtime): Promise<UncopiedRuns | null> {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("x", [2]);
    const tried = withNoTensorFirst(closeGraph(graph, { y: x.add(x) }));
    if (tried === null) return null;
    const tensor = (...values: number[]): Tensor =>
      new runtime.Tensor("float32", new Float32Array(values), [2]);
    const y = tensor(0, 0);
    const session = await runtime.InferenceSession.create(tried.bytes, sessionOptions("fast", 1)).catch(
      () => null,
    );
    if (session === null) return null;
    try {
      await session.run({ x: tensor(1, 2) }, { [NO_TENSOR]: null, y });
      return null;
    } catch (error) {
      return y.data[0] === 2 && y.data[1] === 4 ? new UncopiedRuns(runtime, String(error)) : null;
    } finally {
      await session.release();
    }
  }

  /** For sessions that `run` is to run; a graph that cannot be so stays as it is. */
  prepared(graph: Graph): Graph {
    return withNoTensorFirst(graph) ?? graph;
  }

  /** Whether the session's graph was prepared. */
  isFor({ outputNames }: InferenceSession): boolean {
    return outputNames[0] === NO_TENSOR;
  }

  /**
   * Gives the outputs, but those of `into`, which lie where that says: float32, of shapes that the graph knows. Rejects
   * as `session.run`; then what is in the tensors of `into` means nothing.
   */
  async run(session: InferenceSession, feeds: Named<Tensor>, into: Named<Tensor>): Promise<Named<Tensor>> {
    const outputs: Record<string, Tensor> = {};
    for (const each of session.outputMetadata.slice(1)) {
      if (!each.isTensor || into[each.name] !== undefined) continue;
      const shape = each.shape.map(Number);
      const bytes = Float32Array.BYTES_PER_ELEMENT * shape.reduce((a, b) => a * b, 1);
      // Not filled with zeros: all of it is written, or nobody gets it.
      const values = new Float32Array(Buffer.allocUnsafeSlow(bytes).buffer);
      outputs[each.name] = new this.#runtime.Tensor("float32", values, shape);
    }
    try {
      await session.run(feeds, { [NO_TENSOR]: null, ...outputs, ...into });
    } catch (error) {
      if (String(error) !== this.#sign) throw error;
    }
    return outputs;
  }
}
