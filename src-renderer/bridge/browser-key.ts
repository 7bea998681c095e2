import {
  BROWSER_KEY,
  BROWSER_SIGNATURE,
  type BrowserHello,
  LOGIN_MARK,
  browserProofText,
} from "../../src-protocol/browser-sign-in.ts";

const DATABASE = "train-at-home";
const STORE = "keys";
const NAME = "browser";

/**
 * The token of a login address, taken out of the address bar at once. Call it before anything reads the
 * address's hash.
 */
export function takeLogin(): string | null {
  const { hash, pathname, search } = window.location;
  if (!hash.startsWith(LOGIN_MARK)) return null;
  window.history.replaceState(null, "", pathname + search);
  return hash.slice(LOGIN_MARK.length);
}

let keys: Promise<CryptoKeyPair> | null = null;

/** What this page says to the daemon's challenge. `login` is shown once. */
export async function browserHello(nonce: string, login: string | null): Promise<BrowserHello> {
  keys ??= browserKeys();
  const { privateKey, publicKey } = await keys;
  const text = browserProofText(window.location.origin, nonce);
  const [signature, point] = await Promise.all([
    crypto.subtle.sign(BROWSER_SIGNATURE, privateKey, new TextEncoder().encode(text)),
    crypto.subtle.exportKey("raw", publicKey),
  ]);
  return { type: "hello", publicKey: base64(point), signature: base64(signature), login };
}

/**
 * This browser's key at this address, made once. SECURITY: it cannot be read out, only used, and only by
 * pages of this very origin, port included.
 */
async function browserKeys(): Promise<CryptoKeyPair> {
  const database = await opened().catch(() => null);
  const kept = database === null ? null : await read(database);
  if (kept !== null) return kept;
  const made = await crypto.subtle.generateKey(BROWSER_KEY, false, ["sign", "verify"]);
  // Where nothing can be kept (a private window) the sign-in ends with the page.
  if (database === null) return made;
  await finished(database.transaction(STORE, "readwrite").objectStore(STORE).put(made, NAME));
  // Two tabs may have made one each: the one that stayed counts.
  return (await read(database)) ?? made;
}

function opened(): Promise<IDBDatabase> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.addEventListener("upgradeneeded", () => opening.result.createObjectStore(STORE));
  return finished(opening);
}

async function read(database: IDBDatabase): Promise<CryptoKeyPair | null> {
  const found: unknown = await finished(database.transaction(STORE).objectStore(STORE).get(NAME));
  const isPair = typeof found === "object" && found !== null && "privateKey" in found && "publicKey" in found;
  return isPair ? (found as CryptoKeyPair) : null;
}

function finished<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error ?? new Error("the browser keeps nothing")));
  });
}

function base64(bytes: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
