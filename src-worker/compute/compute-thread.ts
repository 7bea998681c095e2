import { flushCompileCache } from "node:module";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { failureBody } from "../../src-protocol/failure.ts";
import { collectRegularly } from "../limits/collected-heap.ts";
import type {
  ComputeAnswer,
  ComputeCall,
  ComputeCalls,
  ComputeOptions,
  ComputeRequest,
} from "./compute-call.ts";
import { loadRuntime } from "./sessions.ts";
import { StageCompute } from "./stage-compute.ts";

/** The thread that ONNX Runtime may block. Calls are answered one by one, in order. */
async function serve(port: MessagePort, options: ComputeOptions): Promise<void> {
  lowerPriority(options.niceness);
  collectRegularly();
  let compute: Promise<StageCompute> | null = null;
  let last: Promise<void> = Promise.resolve();
  port.on("message", (request: ComputeRequest) => {
    // An import that failed is told to the caller of the first call, as any other failure is.
    compute ??= loadRuntime().then((runtime) => {
      // A thread has its own, which a kill would lose.
      flushCompileCache();
      return new StageCompute(runtime, options);
    });
    const ready = compute;
    last = last.then(async () => answer(port, request, ready));
  });
}

async function answer(
  port: MessagePort,
  request: ComputeRequest,
  ready: Promise<StageCompute>,
): Promise<void> {
  const { id } = request;
  let message: ComputeAnswer;
  try {
    const compute = await ready;
    const begun = performance.now();
    const result = await run(compute, request);
    message = { id, answer: result, ms: performance.now() - begun };
    port.postMessage(message, transferable(result));
  } catch (error) {
    message = { id, failure: failureBody(error) };
    port.postMessage(message);
  }
}

function run(compute: StageCompute, message: ComputeRequest): Promise<ComputeCalls[ComputeCall]["answer"]> {
  switch (message.call) {
    case "open":
      return compute.open(message.request);
    case "load":
      return compute.load(message.request);
    case "reset":
      return compute.reset(message.request);
    case "forward":
      return compute.forward(message.request);
    case "backward":
      return compute.backward(message.request);
    case "tail":
      return compute.tail(message.request);
    case "loss":
      return compute.loss(message.request);
    case "tie":
      return compute.tie(message.request);
    case "gradients":
      return compute.gradients(message.request);
    case "setGradients":
      return compute.setGradients(message.request);
    case "writeSums":
      return compute.writeSums(message.request);
    case "recallSums":
      return compute.recallSums(message.request);
    case "optimise":
      return compute.optimise(message.request);
    case "upload":
      return compute.upload();
    case "download":
      return compute.download();
  }
}

function transferable(result: ComputeCalls[ComputeCall]["answer"]): ArrayBuffer[] {
  return result !== null && "output" in result && result.output instanceof Float32Array
    ? [result.output.buffer]
    : [];
}

/** Linux keeps niceness per thread, so there the main thread stays ahead of this one and its heartbeats leave in time. */
function lowerPriority(niceness: number | null): void {
  if (niceness === null || process.platform !== "linux") return;
  try {
    setPriority(niceness);
  } catch {
    // Some sandboxes forbid it; then the process's own priority has to do.
  }
}

if (parentPort !== null) await serve(parentPort, workerData as ComputeOptions);
