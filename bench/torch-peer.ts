import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { Failure } from "../src-protocol/failure.ts";

const SCRIPT = join(import.meta.dirname, "peers", "torch_stage.py");
const HOW_TO_GET_IT =
  "This benchmark compares with PyTorch, which nothing else here needs. Make a Python that has it, " +
  "`python3 -m venv FOLDER && FOLDER/bin/pip install torch`, and name it: `PYTHON=FOLDER/bin/python npm run bench -- torch`.";

export interface Python {
  command: string;
  torch: string;
}

/**
 * The Python that `PYTHON` names, else the system's, if it has PyTorch.
 *
 * @throws Failure `peer-not-installed`
 */
export function findTorch(env: NodeJS.ProcessEnv = process.env): Python {
  const named = env["PYTHON"];
  const command =
    named !== undefined && named !== "" ? named : process.platform === "win32" ? "python" : "python3";
  const { error, status, stdout } = spawnSync(command, ["-c", "import torch; print(torch.__version__)"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  if (error !== undefined) {
    throw new Failure(
      "peer-not-installed",
      `There is no Python at "${command}" (${error.message}). ${HOW_TO_GET_IT}`,
    );
  }
  if (status !== 0) {
    throw new Failure("peer-not-installed", `The Python "${command}" has no PyTorch. ${HOW_TO_GET_IT}`);
  }
  return { command, torch: stdout.trim() };
}

/** What the script takes. */
export interface TorchStage {
  width: number;
  heads: number;
  hidden: number;
  batch: number;
  sequence: number;
  ropeBase: number;
  normEpsilon: number;
  threads: number;
  /** A file of float32: x, dy, parameters. */
  data: string;
}

export interface TorchPeer {
  /** Writes y, dx and the gradients to `out`, float32. */
  check(out: string): Promise<void>;
  /** Runs forward and backward for about `ms`; gives the mean of a run. */
  turn(ms: number): Promise<{ wallMs: number; cpuMs: number }>;
  close(): void;
}

const times = z.object({ wallMs: z.number().positive(), cpuMs: z.number().positive() });

/** Starts the script; resolves when it holds its parameters. It ends with this process. */
export async function startTorch(command: string, stage: TorchStage): Promise<TorchPeer> {
  const child = spawn(command, [SCRIPT, JSON.stringify(stage)], {
    stdio: ["pipe", "pipe", process.stderr],
    env: { ...process.env, OMP_NUM_THREADS: String(stage.threads), PYTHONDONTWRITEBYTECODE: "1" },
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) {
      throw new Failure(
        "bench-failed",
        "PyTorch's process ended before it answered. The lines above say why.",
      );
    }
    return JSON.parse(value);
  };
  const ask = async (request: object): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    return await answer();
  };
  await once(child, "spawn");
  await answer();
  return {
    check: async (out) => void (await ask({ do: "check", out })),
    turn: async (ms) => times.parse(await ask({ do: "turn", ms })),
    close: () => void child.stdin.end(),
  };
}
