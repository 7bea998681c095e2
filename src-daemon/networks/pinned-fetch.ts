import { request as send } from "node:https";
import { Readable } from "node:stream";
import { CONTROL_PROTOCOL } from "../../src-protocol/control.ts";
import type { NetworkAccess } from "../../src-protocol/invitation.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { NETWORK_HEADERS } from "../../src-protocol/network-card.ts";
import { PinnedAgent } from "./pinned-agent.ts";

/** What every request to a network carries beside its own headers. */
export function networkHeaders({ token }: NetworkAccess, hotkey: Ss58Address): Record<string, string> {
  return {
    [NETWORK_HEADERS.protocol]: String(CONTROL_PROTOCOL),
    [NETWORK_HEADERS.hotkey]: hotkey,
    ...(token === null ? {} : { [NETWORK_HEADERS.token]: token }),
  };
}

/** `fetch` over TLS pinned to one network, for `signedFetch`: Node's own takes no other connection. */
export function pinnedFetch(access: NetworkAccess, hotkey: Ss58Address): typeof globalThis.fetch {
  const agent = new PinnedAgent(access.keySha256);
  const own = networkHeaders(access, hotkey);
  return (input, init = {}) => {
    const headers = Object.fromEntries(new Headers(init.headers));
    const { method = "GET", signal, body } = init;
    return new Promise((resolve, reject) => {
      const url = new URL(input instanceof Request ? input.url : input);
      const options = { agent, method, headers: { ...headers, ...own }, ...(signal ? { signal } : {}) };
      const request = send(url, options);
      request.once("error", (error) => reject(signal?.aborted === true ? signal.reason : error));
      request.once("response", (response) => {
        const answered = Object.entries(response.headersDistinct).flatMap(([name, values = []]) =>
          values.map((value): [string, string] => [name, value]),
        );
        const status = response.statusCode ?? 0;
        const isEmpty = status === 204 || status === 304;
        const stream = isEmpty ? null : (Readable.toWeb(response) as ReadableStream<Uint8Array<ArrayBuffer>>);
        if (isEmpty) response.resume();
        resolve(new Response(stream, { status, headers: answered }));
      });
      // SECURITY: no redirect is followed: an answer of 300 and more is no success.
      request.end(body instanceof Uint8Array || typeof body === "string" ? body : undefined);
    });
  };
}
