import { WebSocket } from "ws";
import {
  BROWSER_KEY,
  BROWSER_SIGNATURE,
  browserAnswer,
  browserProofText,
} from "../../src-protocol/browser-sign-in.ts";
import type { BrowserHello } from "../../src-protocol/browser-sign-in.ts";

export interface Visit {
  /** Of the daemon's port. */
  readonly url: string;
  /** The page's own origin; the daemon's when left out. */
  readonly origin?: string;
  readonly login?: string | null;
  /** What to do to the hello before it is sent. */
  readonly change?: (hello: BrowserHello) => unknown;
}

/** A browser with a key of its own, as the dashboard's page uses it. */
export class FakeBrowser {
  readonly #keys = crypto.subtle.generateKey(BROWSER_KEY, false, ["sign", "verify"]);

  async hello(origin: string, nonce: string, login: string | null): Promise<BrowserHello> {
    const { privateKey, publicKey } = await this.#keys;
    const text = Buffer.from(browserProofText(origin, nonce));
    const signature = await crypto.subtle.sign(BROWSER_SIGNATURE, privateKey, text);
    const point = await crypto.subtle.exportKey("raw", publicKey);
    const base64 = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString("base64");
    return { type: "hello", publicKey: base64(point), signature: base64(signature), login };
  }

  /** Resolves with the open connection, the code of the refusal, or the status of the answer. */
  visit({ url, origin = url, login = null, change = (hello) => hello }: Visit): Promise<WebSocket | string> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/rpc`, { headers: { Origin: origin } });
    return new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.on("unexpected-response", (_request, response) => resolve(String(response.statusCode)));
      socket.on("close", () => resolve("closed"));
      socket.on("message", (data) => {
        const answer = browserAnswer.safeParse(JSON.parse(String(data))).data;
        if (answer?.type === "welcome") resolve(socket);
        if (answer?.type === "refused") resolve(answer.error.code);
        if (answer?.type !== "challenge") return;
        void this.hello(origin, answer.nonce, login).then((hello) =>
          socket.send(JSON.stringify(change(hello))),
        );
      });
    });
  }
}

/** Of an address that signs a browser in. */
export function loginOf(url: string): string {
  return new URL(url).hash.replace("#login=", "");
}
