import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import { formatTao, raoText } from "../../src-protocol/units.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

const DAY_MS = 86_400_000;
/** Until its owner says otherwise. */
const DEFAULT_TAO_RAO = 1_000_000_000n;

const limits = z.strictObject({ taoRaoPerDay: raoText });
const spent = z.strictObject({ at: z.int().nonnegative(), asset: z.literal("tao"), rao: raoText });

/**
 * What may leave a wallet in 24 hours, by asset. SECURITY: counted before it is signed, so that a transfer whose
 * end is not known counts, too; a clock that is set back makes room for nothing.
 */
export class SpendLimits {
  readonly #limitFile: string;
  readonly #spentFile: string;
  readonly #now: () => number;

  constructor(home: string, now: () => number) {
    this.#limitFile = join(home, "spend-limits.json");
    this.#spentFile = join(home, "spent.jsonl");
    this.#now = now;
  }

  get taoPerDay(): bigint {
    const text = textOf(this.#limitFile);
    if (text === null) return DEFAULT_TAO_RAO;
    const read = limits.safeParse(parsed(text));
    // Not readable is no reason to spend.
    return read.success ? BigInt(read.data.taoRaoPerDay) : 0n;
  }

  setTaoPerDay(rao: bigint): void {
    writePrivateFile(this.#limitFile, JSON.stringify({ taoRaoPerDay: String(rao) }));
  }

  /** @throws Failure `spend-limit`: then nothing is signed */
  spend(rao: bigint): void {
    const lines = (textOf(this.#spentFile) ?? "").split("\n");
    const before = lines.flatMap((line) => {
      const read = spent.safeParse(parsed(line));
      return read.success && read.data.at > this.#now() - DAY_MS ? [BigInt(read.data.rao)] : [];
    });
    const already = before.reduce((sum, each) => sum + each, 0n);
    const limit = this.taoPerDay;
    if (already + rao > limit)
      throw new Failure(
        "spend-limit",
        `${formatTao(rao)} TAO would be more than may be sent in 24 hours: ${formatTao(limit)} TAO, of which ${formatTao(already)} are used. Nothing was signed. \`tah chain limit TAO\` changes that.`,
      );
    const at = Math.max(0, Math.floor(this.#now()));
    try {
      appendFileSync(this.#spentFile, `${JSON.stringify({ at, asset: "tao", rao: String(rao) })}\n`, {
        mode: 0o600,
      });
    } catch (error) {
      throw new Failure("spend-not-noted", `${this.#spentFile} cannot be written, so nothing was signed.`, {
        cause: error,
      });
    }
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    return "";
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
