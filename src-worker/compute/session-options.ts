import type { InferenceSession } from "onnxruntime-node";
import { type Arithmetic, KERNELS } from "../../src-protocol/arithmetic.ts";

/**
 * The options of a session that decide its numbers and its speed, on the processor.
 *
 * @param level another than the class's own, to compare
 */
export function sessionOptions(
  arithmetic: Arithmetic,
  threads: number,
  level: InferenceSession.SessionOptions["graphOptimizationLevel"] = KERNELS[arithmetic].level,
): InferenceSession.SessionOptions {
  const exact = arithmetic === "exact";
  return {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: level,
    // Same speed on a stage's graphs, and less than half the memory (65 against 152 MB for two blocks of width 512).
    enableMemPattern: false,
    // Keeps what a run needs for a moment apart from everything else. Without it (as fast: one process of two threads 1.01
    // of it on a Zen 5) the holes that it leaves in glibc's one heap are filled with what stays, and the heap grows by 25 to
    // 45 MB in 1,000 steps of the default model.
    enableCpuMemArena: true,
    extra: {
      session: {
        // Threads stay awake from node to node, but not after a run: there they would take a core from
        // the next session (forward after backward took twice as long). Against threads that sleep at
        // every node it is 3 to 5 % faster at widths 256 to 512 on 2 threads.
        force_spinning_stop: "1",
        // A constant that was packed is multiplied in longer blocks, so sums have another order; and
        // what is constant depends on the optimiser.
        ...(exact ? { disable_prepacking: "1" } : {}),
      },
      // It begins a sum with what is added to the product, which rounds differently.
      ...(exact ? { optimization: { disable_specified_optimizers: "MatMulAddFusion" } } : {}),
      // Kernels for ARM's matrix extension, which few processors have, sum in an order of their own.
      ...(exact ? { mlas: { disable_kleidiai: "1" } } : {}),
    },
  };
}
