import { Failure } from "../src-protocol/failure.ts";
import { LEAST_MBIT, lineLimits, MOST_MBIT } from "../src-protocol/line-limits.ts";
import type { LineLimits } from "../src-protocol/line-limits.ts";

/** What `--up` and `--down` change; null: neither was given. @throws Failure `bad-limit` */
export function askedLimits({
  up,
  down,
}: {
  readonly up?: string;
  readonly down?: string;
}): Partial<LineLimits> | null {
  if (up === undefined && down === undefined) return null;
  return {
    ...(up !== undefined && { uploadMbit: limitOf(up, "--up") }),
    ...(down !== undefined && { downloadMbit: limitOf(down, "--down") }),
  };
}

function limitOf(text: string, option: string): number | null {
  if (text === "none") return null;
  const mbit = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  const parsed = lineLimits.shape.uploadMbit.safeParse(mbit);
  if (parsed.success) return parsed.data;
  throw new Failure(
    "bad-limit",
    `"${text}" is no limit for ${option}: it takes ${LEAST_MBIT} to ${MOST_MBIT} Mbit/s, or none. To send and receive nothing, use \`tah pause\`.`,
  );
}
