import { appendFileSync, chmodSync, existsSync, readFileSync, renameSync, statSync } from "node:fs";
import { z } from "zod";
import { CHAIN_ACTION_KINDS } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256Hex, ss58Address } from "../../src-protocol/keys.ts";
import { signableAbout, signableText } from "../../src-protocol/signable.ts";
import type { Signable } from "../../src-protocol/signable.ts";
import { sha256 } from "../../src-protocol/signing.ts";

export const signatureEntry = z.strictObject({
  at: z.int().nonnegative(),
  key: ss58Address,
  kind: z.enum(["delegation", "request", "claim", "consent", ...CHAIN_ACTION_KINDS]),
  about: z.string().max(500),
  /** Of the exact text or payload. */
  sha256: sha256Hex,
  /** Of the line before, and of this one without it. */
  chain: sha256Hex,
});
export type SignatureEntry = z.infer<typeof signatureEntry>;

/** Then a new file is begun; the one before is kept. */
const FILE_BYTES = 2 * 1024 * 1024;

/**
 * Every signature, written down before it is made: an append-only file of chained JSON lines, readable
 * by the owner alone. It holds no secret and no signature.
 */
export class SignatureLog {
  readonly #path: string;
  readonly #now: () => number;
  #chain: string;
  #bytes: number;

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
    this.#chain = lastChain(path) ?? lastChain(`${path}.1`) ?? "";
    this.#bytes = existsSync(path) ? statSync(path).size : 0;
  }

  /** @throws Failure `signature-not-logged`: then nothing is signed */
  note(key: SignatureEntry["key"], thing: Signable): void {
    this.add(key, thing.kind, signableAbout(thing), sha256(signableText(thing)));
  }

  add(key: SignatureEntry["key"], kind: SignatureEntry["kind"], about: string, digest: string): void {
    const entry = {
      at: Math.max(0, Math.floor(this.#now())),
      key,
      kind,
      about: about.slice(0, 500),
      sha256: digest,
    };
    const chain = chained(this.#chain, entry);
    const line = `${JSON.stringify({ ...entry, chain } satisfies SignatureEntry)}\n`;
    try {
      if (this.#bytes + line.length > FILE_BYTES) {
        renameSync(this.#path, `${this.#path}.1`);
        this.#bytes = 0;
      }
      appendFileSync(this.#path, line, { mode: 0o600 });
      if (this.#bytes === 0) chmodSync(this.#path, 0o600);
    } catch (error) {
      throw new Failure(
        "signature-not-logged",
        `${this.#path} cannot be written, so nothing was signed. Make room or allow writing there; it goes on by itself.`,
        { cause: error },
      );
    }
    this.#bytes += line.length;
    this.#chain = chain;
  }

  /** Newest first. */
  newest(limit: number): SignatureEntry[] {
    return [`${this.#path}.1`, this.#path].flatMap(entriesIn).slice(-limit).reverse();
  }
}

/** The first line that does not follow from the one before; null: all do. */
export function brokenSignatureLine(path: string): number | null {
  let before: string | null = null;
  for (const [number, entry] of entriesIn(path).entries()) {
    const { chain, ...said } = entry;
    if (before !== null && chained(before, said) !== chain) return number + 1;
    before = chain;
  }
  return null;
}

function chained(before: string, entry: Omit<SignatureEntry, "chain">): string {
  return sha256(`Train at Home signature log v1\n${before}\n${JSON.stringify(entry)}`);
}

function entriesIn(path: string): SignatureEntry[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    try {
      const parsed = signatureEntry.safeParse(JSON.parse(line));
      return parsed.success ? [parsed.data] : [];
    } catch {
      // Cut by a kill, or not ours.
      return [];
    }
  });
}

function lastChain(path: string): string | null {
  return entriesIn(path).at(-1)?.chain ?? null;
}
