import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** At most; it ends with the daemon, and with `signOut`. */
const COOKIE_LIFE_MS = 7 * 24 * 3600 * 1000;
/** Long enough to copy an address into a browser. */
const LOGIN_LIFE_MS = 2 * 60_000;
/** More unused login addresses than anybody needs; the oldest is forgotten. */
const OPEN_LOGINS = 16;

export interface SignInOptions {
  /** Names the cookie: cookies do not tell ports apart, and two daemons must not sign each other out. */
  readonly dataFolder: string;
  now(): number;
}

/**
 * SECURITY: who may use the local API. A browser shows a one-time token once and gets a cookie. Browsers send
 * it to every port of this computer, so it is worth nothing when the daemon has ended or somebody has
 * signed out: the secret behind it is never written down. A program shows the bearer token, which only those can read who can read the data folder.
 */
export class SignIn {
  readonly bearer = randomBytes(32).toString("hex");
  readonly #bearerDigest = digest(this.bearer);
  readonly #cookieName: string;
  #secret = randomBytes(32);
  readonly #now: () => number;
  /** When unused tokens end, by their digests, so that looking one up takes the same time for every guess. */
  readonly #open = new Map<string, number>();

  constructor({ dataFolder, now }: SignInOptions) {
    this.#cookieName = `tah-${digest(dataFolder).toString("hex").slice(0, 8)}`;
    this.#now = now;
  }

  /** A token that opens one browser, once. */
  newLogin(): string {
    const token = randomBytes(32).toString("hex");
    this.#open.set(digest(token).toString("hex"), this.#now() + LOGIN_LIFE_MS);
    const [oldest] = this.#open.keys();
    if (this.#open.size > OPEN_LOGINS && oldest !== undefined) this.#open.delete(oldest);
    return token;
  }

  /** True once a token, for as long as it lasts. */
  redeem(token: string): boolean {
    const name = digest(token).toString("hex");
    const ends = this.#open.get(name) ?? -Infinity;
    this.#open.delete(name);
    return this.#now() < ends;
  }

  /** Every cookie and every unused address is worth nothing from now on. */
  signOut(): void {
    this.#secret = randomBytes(32);
    this.#open.clear();
  }

  /** A `Set-Cookie` value. */
  newCookie(): string {
    const body = `${this.#now() + COOKIE_LIFE_MS}.${randomBytes(16).toString("hex")}`;
    return `${this.#cookieName}=${body}.${this.#seal(body)}; HttpOnly; SameSite=Strict; Path=/`;
  }

  cookieHolds(header: string | undefined): boolean {
    const prefix = `${this.#cookieName}=`;
    return (header ?? "")
      .split(";")
      .map((part) => part.trim())
      .filter((part) => part.startsWith(prefix))
      .some((part) => this.#sealHolds(part.slice(prefix.length)));
  }

  bearerHolds(header: string | undefined): boolean {
    const token = /^Bearer ([0-9a-f]{64})$/.exec(header ?? "")?.[1];
    return token !== undefined && timingSafeEqual(digest(token), this.#bearerDigest);
  }

  #sealHolds(value: string): boolean {
    const [, body, seal] = /^(\d{1,16}\.[0-9a-f]{32})\.([0-9a-f]{64})$/.exec(value) ?? [];
    if (body === undefined || seal === undefined) return false;
    const expected = Buffer.from(this.#seal(body), "hex");
    return timingSafeEqual(Buffer.from(seal, "hex"), expected) && Number.parseInt(body, 10) > this.#now();
  }

  #seal(body: string): string {
    return createHmac("sha256", this.#secret).update(`${this.#cookieName}|${body}`).digest("hex");
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
