import { z } from "zod";
import { Failure } from "./failure.ts";
import { sha256Hex } from "./keys.ts";
import { runSpec } from "./model.ts";
import type { RunSpec } from "./model.ts";
import { runDigest } from "./run-digest.ts";

/**
 * What a run says of itself, for whoever wants to do it again: JSON Lines, the run first, then each
 * link of each stage's chain (state-chain.ts) as `[step, stage, link]` in the order in which they
 * came. It lies in the network's folder, and beside a model that `tah model train` has written.
 */
export const RUN_RECORD_FILE = "record.jsonl";

const header = z.strictObject({
  schema: z.literal("train-at-home/record/v1"),
  runSha256: sha256Hex,
  run: runSpec,
});
const linkLine = z.tuple([z.int().positive(), z.int().nonnegative(), sha256Hex]);

/** A longer record is cut at its beginning by who writes it: see `RunRecord` of the orchestrator. */
export const RUN_RECORD_LIMIT_BYTES = 64 * 1024 * 1024;

export function recordHeaderLine(run: RunSpec): string {
  const value: z.infer<typeof header> = {
    schema: "train-at-home/record/v1",
    runSha256: runDigest(run),
    run,
  };
  return `${JSON.stringify(value)}\n`;
}

export function recordLinkLine(step: number, stage: number, link: string): string {
  return `${JSON.stringify([step, stage, link])}\n`;
}

export interface ReadRecord {
  readonly run: RunSpec;
  /** By step, then by stage; a step that was trained again has its newest links. */
  readonly links: ReadonlyMap<number, ReadonlyMap<number, string>>;
}

/** @throws Failure `record-unreadable` that names the line. A last line that was cut short by a kill is left out. */
export function parseRecord(text: string): ReadRecord {
  const lines = text.split("\n");
  // After the last newline there is nothing, or what a kill has left of a line.
  lines.pop();
  const { run, runSha256 } = read(header, lines[0], 1);
  if (runDigest(run) !== runSha256) throw unreadable(1, "the run is not the one that its digest names");
  const links = new Map<number, Map<number, string>>();
  for (const [index, line] of lines.entries()) {
    if (index === 0) continue;
    const [step, stage, link] = read(linkLine, line, index + 1);
    if (stage >= run.stages) throw unreadable(index + 1, `the run has no stage ${stage}`);
    const ofStep = links.get(step) ?? new Map<number, string>();
    links.set(step, ofStep.set(stage, link));
  }
  return { run, links };
}

function read<Schema extends z.ZodType>(
  schema: Schema,
  line: string | undefined,
  number: number,
): z.infer<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(line ?? "");
  } catch {
    throw unreadable(number, "it is no JSON");
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw unreadable(number, parsed.error.issues[0]?.message ?? "it has an unknown form");
}

function unreadable(line: number, why: string): Failure {
  return new Failure(
    "record-unreadable",
    `Line ${line} of the record cannot be used: ${why}. Name a file that was written by Train at Home, unchanged.`,
  );
}
