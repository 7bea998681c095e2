import { Worker } from "node:worker_threads";
import { Failure } from "../../src-protocol/failure.ts";
import type { KeyCost, Unlocking } from "./locked-file.ts";
import { keyPairFromSecret } from "./wallet-key-file.ts";
import type { KeyPair } from "./wallet-key-file.ts";

/** Locking and unlocking of key files on a thread, for it takes seconds and half a gigabyte. */
export type KeyLockCall =
  | { readonly type: "derive"; readonly password: string; readonly cost: KeyCost | undefined }
  | {
      readonly type: "lock";
      readonly bytes: Uint8Array;
      readonly unlocking: Unlocking;
      readonly cost: KeyCost | undefined;
    }
  | {
      readonly type: "unlock";
      readonly bytes: Uint8Array;
      readonly unlocking: Unlocking;
      readonly path: string;
      readonly cost: KeyCost | undefined;
    }
  | { readonly type: "to-polkadot"; readonly pair: KeyPair; readonly password: string; readonly name: string }
  | { readonly type: "polkadot"; readonly json: unknown; readonly password: string; readonly path: string };

export type KeyLockResult =
  | { readonly type: "bytes"; readonly bytes: Uint8Array }
  | { readonly type: "failed"; readonly code: string; readonly message: string };

export interface Patience {
  /** Called now and then while it works, with the seconds so far: nothing is known of the rest. */
  readonly onWorking?: (seconds: number) => void;
  readonly signal?: AbortSignal;
  /** Of a test that is about something else than how a password becomes a key; else Bittensor's. */
  readonly cost?: KeyCost;
}

const SAY_EVERY_MS = 1000;

/** What a password comes to, with which files are locked and unlocked in no time. */
export function deriveFileKey(password: string, patience: Patience = {}): Promise<Uint8Array> {
  return onThread({ type: "derive", password, cost: patience.cost }, patience);
}

/** `content` under a password, as Bittensor's wallets lock it now. */
export function lockKeyFile(
  content: Uint8Array,
  unlocking: Unlocking,
  patience: Patience = {},
): Promise<Uint8Array> {
  return onThread({ type: "lock", bytes: content, unlocking, cost: patience.cost }, patience);
}

/** @throws Failure `wallet-wrong-password`, `wallet-corrupt`, `wallet-memory`, `interrupted` */
export function unlockKeyFile(
  file: { readonly bytes: Uint8Array; readonly path: string },
  unlocking: Unlocking,
  patience: Patience = {},
): Promise<Uint8Array> {
  return onThread({ type: "unlock", ...file, unlocking, cost: patience.cost }, patience);
}

/** @throws as `unlockKeyFile`, and `wallet-key-type`, `wallet-key-mismatch` */
export async function openPolkadotJson(
  file: { readonly json: unknown; readonly path: string },
  password: string,
  patience: Patience = {},
): Promise<KeyPair> {
  return keyPairFromSecret(await onThread({ type: "polkadot", ...file, password }, patience));
}

/** The key as polkadot-js and browser wallets import it, under a password. */
export async function toPolkadotJson(
  pair: KeyPair,
  password: string,
  name: string,
  patience: Patience = {},
): Promise<string> {
  const bytes = await onThread({ type: "to-polkadot", pair, password, name }, patience);
  return new TextDecoder().decode(bytes);
}

async function onThread(call: KeyLockCall, { onWorking, signal }: Patience): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const thread = new Worker(new URL("./key-lock-thread.ts", import.meta.url), { workerData: call });
  const begun = performance.now();
  const said = setInterval(() => onWorking?.((performance.now() - begun) / 1000), SAY_EVERY_MS);
  const { promise, resolve, reject } = Promise.withResolvers<KeyLockResult>();
  const stop = (): void => reject(new Failure("interrupted", "Stopped before the password was tried."));
  signal?.addEventListener("abort", stop, { once: true });
  thread.once("message", resolve);
  thread.once("error", () =>
    reject(
      new Failure(
        "wallet-memory",
        "The password could not be tried: that takes 512 MB of memory for some seconds. Close other programs, and try again.",
      ),
    ),
  );
  try {
    const result = await promise;
    if (result.type === "failed") throw new Failure(result.code, result.message);
    return result.bytes;
  } finally {
    clearInterval(said);
    signal?.removeEventListener("abort", stop);
    await thread.terminate();
  }
}
