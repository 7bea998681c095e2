import { parentPort, workerData } from "node:worker_threads";
import { failureBody } from "../../src-protocol/failure.ts";
import type { KeyLockCall, KeyLockResult } from "./key-lock.ts";
import { lock, naclKey, unlock } from "./locked-file.ts";
import { decodePolkadotJson, encodePolkadotJson } from "./polkadot-json.ts";

/** One call and its end: what was derived is gone with the thread's memory. */
async function answer(call: KeyLockCall): Promise<KeyLockResult> {
  switch (call.type) {
    case "derive":
      return { type: "bytes", bytes: await naclKey(call.password, call.cost) };
    case "lock":
      return { type: "bytes", bytes: await lock(call.bytes, call.unlocking, call.cost) };
    case "unlock":
      return { type: "bytes", bytes: await unlock(call.bytes, call.unlocking, call.path, call.cost) };
    case "to-polkadot": {
      const text = encodePolkadotJson(call.pair, call.password, call.name);
      return { type: "bytes", bytes: new TextEncoder().encode(text) };
    }
    case "polkadot": {
      const { secretKey } = decodePolkadotJson(call.json, call.password, call.path);
      return { type: "bytes", bytes: secretKey };
    }
  }
}

answer(workerData as KeyLockCall).then(
  (result) => parentPort?.postMessage(result),
  (error: unknown) =>
    parentPort?.postMessage({ type: "failed", ...failureBody(error) } satisfies KeyLockResult),
);
