import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { LlamaSpec, RunSpec } from "../src-protocol/model.ts";
import type { Contestant } from "./pipeline-contestant.ts";
import { findTorch } from "./torch-peer.ts";

const SCRIPT = join(import.meta.dirname, "peers", "torch_pipeline.py");

export const TORCH_WAYS = ["full speed", "as installed"] as const;
export type TorchWay = (typeof TORCH_WAYS)[number];

/** PyTorch's own pipeline on the run's model, data of the same size and threads, a process for each stage; null: there is none here. */
export async function torchPipeline(
  run: RunSpec & { model: LlamaSpec },
  way: TorchWay,
): Promise<Contestant | null> {
  let command: string;
  try {
    command = findTorch().command;
  } catch {
    return null;
  }
  const folder = mkdtempSync(join(tmpdir(), "bench-torch-"));
  const { model, stages, batch, sequence, microBatches, optimizer } = run;
  const finished: number[] = [];
  const children: ChildProcess[] = Array.from({ length: stages }, (_, stage) => {
    const words = {
      ...model,
      stage,
      stages,
      batch,
      sequence,
      microBatches,
      optimizer,
      threads: 1,
      saysIntel: way === "full speed",
      meeting: join(folder, "meeting"),
    };
    return spawn(command, [SCRIPT, JSON.stringify(words)], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        OMP_NUM_THREADS: "1",
        PYTHONDONTWRITEBYTECODE: "1",
      },
    });
  });
  const [head] = children;
  if (head?.stdout) createInterface(head.stdout).on("line", (line) => finished.push(Number(line)));
  const ended = children.map((child) => new Promise<void>((resolve) => child.once("exit", () => resolve())));
  return {
    pids: children.flatMap(({ pid }) => pid ?? []),
    steps: () => finished.length,
    finished: async () => finished,
    async end() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(ended);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
