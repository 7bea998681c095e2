import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

const COOKIE_LIFE_MS = 30 * 24 * 3600 * 1000;
/** More unused login addresses than anybody needs; the oldest is forgotten. */
const OPEN_LOGINS = 16;

export interface SignInOptions {
  /** 64 hex digits, kept in the data folder: a cookie outlives the daemon. */
  readonly cookieSecret: string;
  /** Names the cookie: cookies do not tell ports apart, and two daemons must not sign each other out. */
  readonly dataFolder: string;
  now(): number;
}

/**
 * SECURITY: who may use the local API. A browser shows a one-time token once and gets a cookie; a
 * program shows the bearer token, which only those can read who can read the data folder.
 */
export class SignIn {
  readonly bearer = randomBytes(32).toString("hex");
  readonly #bearerDigest = digest(this.bearer);
  readonly #cookieName: string;
  readonly #secret: Buffer;
  readonly #now: () => number;
  /** Digests of unused tokens, so that looking one up takes the same time for every guess. */
  readonly #open = new Set<string>();

  constructor({ cookieSecret, dataFolder, now }: SignInOptions) {
    this.#secret = Buffer.from(cookieSecret, "hex");
    this.#cookieName = `tah-${digest(dataFolder).toString("hex").slice(0, 8)}`;
    this.#now = now;
  }

  /** A token that opens one browser, once. */
  newLogin(): string {
    const token = randomBytes(32).toString("hex");
    this.#open.add(digest(token).toString("hex"));
    const [oldest] = this.#open;
    if (this.#open.size > OPEN_LOGINS && oldest !== undefined) this.#open.delete(oldest);
    return token;
  }

  /** True once a token. */
  redeem(token: string): boolean {
    return this.#open.delete(digest(token).toString("hex"));
  }

  /** A `Set-Cookie` value. */
  newCookie(): string {
    const body = `${this.#now() + COOKIE_LIFE_MS}.${randomBytes(16).toString("hex")}`;
    return `${this.#cookieName}=${body}.${this.#seal(body)}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${COOKIE_LIFE_MS / 1000}`;
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
