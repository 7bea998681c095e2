import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { READING_ENVIRONMENT } from "../src-data/prepared/prepare-apart.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { makeData, makeTokenizers } from "./data-made.ts";
import { installPeer } from "./peer-install.ts";

const PARTS = {
  folder: "data",
  name: "the vocabularies of GPT-2 and Llama-2's kind and a parquet writer",
  takes: "about 10 MB on disk, some seconds",
};
const REFERENCE = join(import.meta.dirname, "peers", "data_reference.py");
/** Made on the spot; `BENCH_DATA_MB` makes another size. */
const USUAL_MB = 200;
const FORMATS = ["text", "jsonl.gz", "parquet"] as const;

export interface DataCase {
  format: (typeof FORMATS)[number];
  tokenizer: string;
  megabytesPerSecond: number;
  peakMegabytes: number;
  tokens: number;
  /** null: there is no Python that has tokenizers and pyarrow. */
  pythonMegabytesPerSecond: number | null;
  ratioToPython: number | null;
  /** The same by processor time of whole processes, loading included: also right on a busy computer. */
  cpuRatioToPython: number | null;
  /** Whether both gave the same tokens, byte for byte; text is divided differently, so null. */
  sameTokens: boolean | null;
}

export interface DataResult {
  megabytesOfText: number;
  cores: number;
  python: string | null;
  cases: DataCase[];
  worstRatio: number | null;
  largestPeakMegabytes: number;
}

const answer = z.object({
  seconds: z.number().positive(),
  cpuSeconds: z.number().positive(),
  tokens: z.int().positive(),
  sha256: z.string(),
  peakBytes: z.int().positive(),
});

/**
 * What `tah model train` does with data before it trains, in a process of its own for each case; then
 * the reference does the same: Hugging Face's tokenizers in Python, in batches on all cores. Speed is
 * megabytes of text (unpacked) a second of wall time, reading and writing included.
 */
export async function benchData(progress: Progress, { only }: BenchOptions): Promise<DataResult> {
  const megabytes = Number(process.env["BENCH_DATA_MB"] ?? USUAL_MB);
  const parts = await installPeer(PARTS, progress);
  const folder = mkdtempSync(join(tmpdir(), "tah-bench-data-"));
  try {
    progress(`Making ${megabytes} MB of text …`);
    const bytes = await makeData(parts, folder, megabytes * 1e6);
    const tokenizers = makeTokenizers(parts, folder);
    const python = findPython();
    const cases: DataCase[] = [];
    for (const [name, home] of Object.entries(tokenizers)) {
      for (const format of FORMATS) {
        if (only.length > 0 && !only.includes(format) && !only.includes(name)) continue;
        const data = join(folder, format);
        const into = join(folder, "tokens");
        const own = await run(process.execPath, [
          join(import.meta.dirname, "data-case.ts"),
          data,
          home,
          into,
        ]);
        const peer = python === null ? null : await run(python.command, [REFERENCE, data, home, into]);
        const speed = (seconds: number): number => bytes / 1e6 / seconds;
        const result = {
          format,
          tokenizer: name,
          megabytesPerSecond: rounded(speed(own.seconds)),
          peakMegabytes: Math.round(own.peakBytes / 1e6),
          tokens: own.tokens,
          pythonMegabytesPerSecond: peer === null ? null : rounded(speed(peer.seconds)),
          ratioToPython: peer === null ? null : rounded(peer.seconds / own.seconds),
          cpuRatioToPython: peer === null ? null : rounded(peer.cpuSeconds / own.cpuSeconds),
          sameTokens: peer === null || format === "text" ? null : peer.sha256 === own.sha256,
        };
        if (result.sameTokens === false)
          throw new Failure(
            "bench-failed",
            `${format} with ${name}: the reference has other tokens (${peer?.tokens} of them, here ${own.tokens}).`,
          );
        progress(
          `${format}, ${name}: ${result.megabytesPerSecond} MB/s, ${result.peakMegabytes} MB at most, ratio ${result.ratioToPython}, by processor time ${result.cpuRatioToPython}`,
        );
        cases.push(result);
      }
    }
    const ratios = cases.flatMap(({ ratioToPython }) => (ratioToPython === null ? [] : [ratioToPython]));
    return {
      megabytesOfText: rounded(bytes / 1e6),
      cores: cpus().length,
      python: python?.versions ?? null,
      worstRatio: ratios.length === 0 ? null : Math.min(...ratios),
      largestPeakMegabytes: Math.max(...cases.map(({ peakMegabytes }) => peakMegabytes)),
      cases,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The Python that `PYTHON` names, else the system's; null: it has not what the reference needs. */
function findPython(): { command: string; versions: string } | null {
  const named = process.env["PYTHON"] ?? "";
  const command = named !== "" ? named : process.platform === "win32" ? "python" : "python3";
  const ask =
    "import tokenizers, pyarrow; print('tokenizers', tokenizers.__version__, 'pyarrow', pyarrow.__version__)";
  const { error, status, stdout } = spawnSync(command, ["-c", ask], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return error === undefined && status === 0 ? { command, versions: stdout.trim() } : null;
}

async function run(command: string, words: readonly string[]): Promise<z.infer<typeof answer>> {
  const child = spawn(command, words, {
    env: { ...process.env, ...READING_ENVIRONMENT },
    stdio: ["ignore", "pipe", process.stderr],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0)
    throw new Failure("bench-failed", `${command} ended with ${code}. The lines above say why.`);
  return answer.parse(JSON.parse(out));
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
