import type { Readable } from "node:stream";
import { handedOver } from "../../src-protocol/keychain.ts";
import type { HandedOver } from "../../src-protocol/keychain.ts";

const MOST_BYTES = 4096;
const NOTHING: HandedOver = { keychain: "none", why: "no-app" };

/**
 * The line that the desktop app writes to the daemon that it starts. It may come late, as long as a keyring waits for
 * its owner: who made a key meanwhile would leave it open. An app that is gone ends the input, and with it the wait.
 */
export async function readHandedOver(input: Readable): Promise<HandedOver> {
  let text = "";
  try {
    for await (const part of input) {
      text += String(part);
      if (text.includes("\n") || text.length > MOST_BYTES) break;
    }
    return handedOver.parse(JSON.parse(text));
  } catch {
    // SECURITY: a parser's message may quote what it has read.
    return NOTHING;
  }
}
