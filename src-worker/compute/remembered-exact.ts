import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { z } from "zod";
import { KERNELS } from "../../src-protocol/arithmetic.ts";
import type { ComputeOptions } from "./compute-call.ts";
import { EXACT_ANSWER } from "./exact-answer.ts";

/** A processor that begins to err is found within a day. */
const KEPT_MS = 86_400_000;

const remembered = z.strictObject({ on: z.string(), at: z.number() });

/**
 * Whether this computer holds the class exact, as it was found in the last day by a process that computed with the
 * same: a worker that is started again has a quarter of a second less to do before it can work. Only a yes is
 * remembered, and only of the processor.
 *
 * @param path a file of this computer's own; one that cannot be read or written is as good as none
 * @param find computes the known answer
 * @param now milliseconds of the wall clock
 */
export async function rememberedExact(
  path: string,
  options: ComputeOptions,
  find: () => Promise<boolean>,
  now: () => number = Date.now,
): Promise<boolean> {
  if (options.executionProvider !== "cpu") return await find();
  const on = computedWith(options);
  try {
    const last = remembered.parse(JSON.parse(await readFile(path, "utf8")));
    const age = now() - last.at;
    if (last.on === on && age >= 0 && age < KEPT_MS) return true;
  } catch {
    // It is computed now.
  }
  const holds = await find();
  if (holds) await writeFile(path, JSON.stringify({ on, at: now() }), { mode: 0o600 }).catch(() => undefined);
  return holds;
}

/** Whatever could give it other bits. */
function computedWith({ threads }: ComputeOptions): string {
  const { platform, arch, version } = process;
  const { onnxruntime } = KERNELS.exact;
  return [EXACT_ANSWER, onnxruntime, version, platform, arch, cpus()[0]?.model ?? "", threads].join(" ");
}
