import { randomUUID } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { assetText, chainAsset } from "../../src-protocol/chain-action.ts";
import type { ChainAsset } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { formatTao, raoText } from "../../src-protocol/units.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

const DAY_MS = 86_400_000;
/** Of each asset, until its owner says otherwise. */
const DEFAULT_RAO = 1_000_000_000n;

const limits = z.strictObject({
  taoRaoPerDay: raoText.optional(),
  /** Of each subnet's alpha. */
  alphaRaoPerDay: z.record(z.string().regex(/^\d{1,5}$/), raoText).optional(),
});
/** `id` since lines are also taken back. */
const spent = z.strictObject({
  at: z.int().nonnegative(),
  asset: chainAsset,
  rao: raoText,
  id: z.string().optional(),
  /** SHA-256 of what it was for. */
  of: z.string().optional(),
});
/** Whole, or a named part of it. */
const takenBack = z.strictObject({
  takenBack: z.string(),
  rao: raoText.optional(),
  part: z.string().optional(),
});

/**
 * What may leave a wallet in 24 hours, by asset. SECURITY: counted before it is signed, so that what was sent and
 * whose end is not known counts, too; a clock that is set back makes room for nothing; of two processes at once
 * each counts the other.
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

  perDay(asset: ChainAsset): bigint {
    const known = this.#known();
    // Not readable is no reason to spend.
    if (known === null) return 0n;
    const text = asset === "tao" ? known.taoRaoPerDay : known.alphaRaoPerDay?.[subnetOf(asset)];
    return text === undefined ? DEFAULT_RAO : BigInt(text);
  }

  setPerDay(asset: ChainAsset, rao: bigint): void {
    const known = this.#known() ?? {};
    const changed =
      asset === "tao"
        ? { ...known, taoRaoPerDay: String(rao) }
        : { ...known, alphaRaoPerDay: { ...known.alphaRaoPerDay, [subnetOf(asset)]: String(rao) } };
    // A limit may be the first thing that a data folder holds.
    mkdirSync(dirname(this.#limitFile), { recursive: true, mode: 0o700 });
    writePrivateFile(this.#limitFile, JSON.stringify(changed));
  }

  /**
   * @param of SHA-256 of what is signed, by which it can be given back
   * @throws Failure `spend-limit`, `spend-not-noted`: then nothing is signed
   */
  spend(asset: ChainAsset, rao: bigint, of?: string): void {
    const id = randomUUID();
    const at = Math.max(0, Math.floor(this.#now()));
    // Noted first and then added up: who else spends now sees it, and the file's order decides.
    this.#add({ at, asset, rao: String(rao), id, ...(of === undefined ? {} : { of }) });
    const already = this.#spentBefore(asset, id);
    const limit = this.perDay(asset);
    if (already + rao <= limit) return;
    this.#add({ takenBack: id });
    const name = assetText(asset);
    const words = asset === "tao" ? "" : ` --alpha ${subnetOf(asset)}`;
    throw new Failure(
      "spend-limit",
      `${formatTao(rao)} ${name} would be more than may be sent in 24 hours: ${formatTao(limit)} ${name}, of which ${formatTao(already)} are used. Nothing was signed. \`tah chain limit AMOUNT${words}\` changes that.`,
    );
  }

  /** What was counted for this has moved less, and never will more: once for each part. */
  giveBack(of: string, { rao, part }: { readonly rao: bigint; readonly part: string }): void {
    const lines = (textOf(this.#spentFile) ?? "").split("\n").map(parsed);
    const last = lines
      .flatMap((line) => spent.safeParse(line).data ?? [])
      .findLast((entry) => entry.of === of);
    if (last?.id === undefined) return;
    const { id } = last;
    const isBack = lines.some((line) => {
      const back = takenBack.safeParse(line).data;
      return back?.takenBack === id && back.part === part;
    });
    if (!isBack) this.#add({ takenBack: id, rao: String(rao), part });
  }

  #known(): z.infer<typeof limits> | null {
    const text = textOf(this.#limitFile);
    if (text === null) return {};
    return limits.safeParse(parsed(text)).data ?? null;
  }

  /** Within the day, up to the line of `id`. */
  #spentBefore(asset: ChainAsset, id: string): bigint {
    const lines = (textOf(this.#spentFile) ?? "").split("\n").map(parsed);
    const back = new Map<string, bigint | null>();
    for (const line of lines) {
      const given = takenBack.safeParse(line).data;
      if (given === undefined) continue;
      const before = back.get(given.takenBack);
      const all = given.rao === undefined || before === null;
      back.set(given.takenBack, all ? null : (before ?? 0n) + BigInt(given.rao ?? "0"));
    }
    let sum = 0n;
    for (const line of lines) {
      const entry = spent.safeParse(line).data;
      if (entry === undefined) continue;
      if (entry.id === id) break;
      if (entry.asset !== asset || entry.at <= this.#now() - DAY_MS) continue;
      const given = entry.id === undefined ? undefined : back.get(entry.id);
      const left = given === null ? 0n : BigInt(entry.rao) - (given ?? 0n);
      if (left > 0n) sum += left;
    }
    return sum;
  }

  #add(line: object): void {
    try {
      appendFileSync(this.#spentFile, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    } catch (error) {
      throw new Failure("spend-not-noted", `${this.#spentFile} cannot be written, so nothing was signed.`, {
        cause: error,
      });
    }
  }
}

function subnetOf(asset: ChainAsset): string {
  return asset.slice("alpha-".length);
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
