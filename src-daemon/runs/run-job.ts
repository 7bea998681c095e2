import { readFileSync, statSync } from "node:fs";
import { Failure } from "../../src-protocol/failure.ts";
import { RUN_FILE_LIMIT_BYTES, runFile } from "../../src-protocol/run-file.ts";
import type { RunFile } from "../../src-protocol/run-file.ts";
import type { LinkCodecs } from "../../src-protocol/link-codecs.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { Dealt } from "../../src-protocol/run-size.ts";
import { FREELY, defaultCorpus, ownCorpus } from "./corpus.ts";
import type { Reading } from "./data-reading.ts";
import type { DaemonOptions } from "../options.ts";
import { planRun } from "./run-plan.ts";

/**
 * What the embedded network trains: the run of a file, else the built-in model on the owner's text.
 * `tell` hears what each file of that was taken for.
 */
export async function runJob(
  {
    runFile: file,
    data,
    model,
    steps,
    exact = false,
    codecs = null,
    dealt,
  }: Pick<DaemonOptions, "runFile" | "data" | "model" | "steps"> &
    Partial<Pick<DaemonOptions, "exact">> & {
      /** Of its links; a function: of the run that it would be with values as they are. Null: as they are. */
      readonly codecs?: LinkCodecs | ((plain: RunSpec) => LinkCodecs) | null;
      /** How a step's sequences are dealt, of the run that it would be as usual. */
      readonly dealt?: (usual: RunSpec) => Dealt;
    },
  corpusCache: string,
  workers: number,
  tell: (lines: readonly string[]) => void = () => {},
  reading: Reading = FREELY,
): Promise<RunFile> {
  if (file !== null) return readRunFile(file);
  const corpus = await (data === null ? defaultCorpus(corpusCache) : ownCorpus(data, corpusCache, reading));
  tell(corpus.files);
  const plain = { corpus, size: model, steps, workers, ...(exact ? { arithmetic: "exact" as const } : {}) };
  const asked = typeof codecs === "function" ? codecs(planRun(plain)) : codecs;
  const wanted = { ...plain, ...(asked === null ? {} : { codecs: asked }) };
  const usual = planRun(wanted);
  return {
    run: dealt === undefined ? usual : planRun({ ...wanted, dealt: dealt(usual) }),
    corpusFile: corpus.file,
    modelFiles: [],
  };
}

/** @throws Failure `bad-run-file` */
function readRunFile(path: string): RunFile {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0 || size > RUN_FILE_LIMIT_BYTES)
    throw bad(path, size === 0 ? "there is no such file, or it is empty" : `it has ${size} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw bad(path, "it is not JSON", cause);
  }
  const parsed = runFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw bad(path, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "unknown form"}`);
}

function bad(path: string, why: string, cause?: unknown): Failure {
  return new Failure("bad-run-file", `The run in ${path} cannot be started: ${why}.`, { cause });
}
