import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { BROWSER_KEY, BROWSER_SIGNATURE, browserProofText } from "../../src-protocol/browser-sign-in.ts";
import type { BrowserHello } from "../../src-protocol/browser-sign-in.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { Browser } from "./browser-memory.ts";

/** Of a browser that has not come back. */
const BROWSER_LIFE_MS = 90 * 24 * 3600 * 1000;
const MOST_BROWSERS = 32;
/** Long enough to copy an address into a browser. */
const LOGIN_LIFE_MS = 2 * 60_000;
/** More unused login addresses than anybody needs; the oldest is forgotten. */
const OPEN_LOGINS = 16;

export interface SignInOptions {
  /** Those that were signed in before. */
  readonly browsers: readonly Browser[];
  /** Keeps those that are signed in from now on. */
  keep(browsers: readonly Browser[]): void;
  /** The wall clock, and one that nobody sets: both in milliseconds. */
  now(): number;
  steady?(): number;
}

/**
 * SECURITY: who may use the local API as the owner. A browser shows a one-time token once and is known by a key of
 * its own from then on; only public keys are kept. A program shows the bearer token, which only those can
 * read who can read the data folder.
 */
export class SignIn {
  readonly bearer = randomBytes(32).toString("hex");
  readonly #bearerDigest = digest(this.bearer);
  readonly #now: () => number;
  readonly #steady: () => number;
  readonly #keep: SignInOptions["keep"];
  /** When unused tokens end, by their digests, so that looking one up takes the same time for every guess. */
  readonly #open = new Map<string, number>();
  #browsers: readonly Browser[];

  constructor({ browsers, keep, now, steady = () => performance.now() }: SignInOptions) {
    this.#browsers = browsers;
    this.#keep = keep;
    this.#now = now;
    this.#steady = steady;
  }

  /** A token that signs one browser in, once. */
  newLogin(): string {
    const token = randomBytes(32).toString("hex");
    this.#open.set(digest(token).toString("hex"), this.#steady() + LOGIN_LIFE_MS);
    const [oldest] = this.#open.keys();
    if (this.#open.size > OPEN_LOGINS && oldest !== undefined) this.#open.delete(oldest);
    return token;
  }

  /** Every browser and every unused address is worth nothing from now on. */
  signOut(): void {
    this.#open.clear();
    this.#change([]);
  }

  /**
   * Lets a browser in that is known, or shows a good login. Rejects with `not-signed-in`.
   *
   * @param origin what the connection's own `Origin` says, checked before
   */
  async admit(hello: BrowserHello, origin: string, nonce: string): Promise<void> {
    const { publicKey, login } = hello;
    if (!(await isProved(hello, browserProofText(origin, nonce)))) throw notSignedIn();
    // Whatever is known of the key: an address that was shown is used up.
    const isNew = login !== null && this.#redeem(login);
    const now = this.#now();
    const others = this.#browsers.filter((browser) => browser.publicKey !== publicKey);
    const known = others.length < this.#browsers.length && now < (this.#of(publicKey)?.endsAt ?? 0);
    if (!isNew && !known) throw notSignedIn();
    this.#change([...others, { publicKey, endsAt: now + BROWSER_LIFE_MS }].slice(-MOST_BROWSERS));
  }

  bearerHolds(header: string | undefined): boolean {
    const token = /^Bearer ([0-9a-f]{64})$/.exec(header ?? "")?.[1];
    return token !== undefined && timingSafeEqual(digest(token), this.#bearerDigest);
  }

  #of(publicKey: string): Browser | undefined {
    return this.#browsers.find((browser) => browser.publicKey === publicKey);
  }

  #change(browsers: readonly Browser[]): void {
    this.#browsers = browsers;
    this.#keep(browsers);
  }

  /** True once a token, for as long as it lasts. */
  #redeem(token: string): boolean {
    const name = digest(token).toString("hex");
    const ends = this.#open.get(name) ?? -Infinity;
    this.#open.delete(name);
    return this.#steady() < ends;
  }
}

async function isProved({ publicKey, signature }: BrowserHello, text: string): Promise<boolean> {
  try {
    const point = Buffer.from(publicKey, "base64");
    const key = await crypto.subtle.importKey("raw", point, BROWSER_KEY, false, ["verify"]);
    const bytes = Buffer.from(signature, "base64");
    return await crypto.subtle.verify(BROWSER_SIGNATURE, key, bytes, Buffer.from(text));
  } catch {
    // No point on the curve.
    return false;
  }
}

export function notSignedIn(): Failure {
  return new Failure(
    "not-signed-in",
    "Please sign in: type `tah open` (in a checkout: `npm run -s tah -- open`) on the computer that trains, and open the address that it prints. It works once, within two minutes.",
  );
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
