import { WebSocket } from "ws";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";

/** The address as it is to be used, or a `Failure` for a person who typed it. */
export function parseChainUrl(text: string): string {
  const trimmed = text.trim();
  const url = URL.canParse(trimmed) ? new URL(trimmed) : null;
  if (
    url !== null &&
    (url.protocol === "ws:" || url.protocol === "wss:") &&
    url.hostname !== "" &&
    url.hash === ""
  ) {
    return trimmed;
  }
  throw new Failure(
    "chain-bad-address",
    `"${trimmed.slice(0, 200)}" is not the address of a chain node. It has to start with ws:// or wss://, for example wss://entrypoint-finney.opentensor.ai:443.`,
  );
}

const MESSAGE_LIMIT_BYTES = 1024 * 1024;
const chainName = z.object({ id: z.literal(1), result: z.string().max(200) });

/**
 * Asks the node for the name of its chain. It is a first knock with a parser of our own: its
 * errors can be told to a person, and whatever a stranger answers cannot do harm. Rejects with a
 * `Failure`: `chain-unreachable`, `chain-timeout`, `chain-not-a-chain`.
 */
export function probeChain(url: string, timeoutMs: number, signal: AbortSignal): Promise<{ name: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      maxPayload: MESSAGE_LIMIT_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
    });
    let opened = false;
    const timer = setTimeout(
      () => end(opened ? notAChain("it does not answer a chain's questions") : timeout(timeoutMs)),
      timeoutMs,
    );
    const onAbort = () => end(new Failure("chain-stopped", "The connection to the chain was stopped."));
    const end = (result: Failure | { name: string }) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.terminate();
      if (result instanceof Failure) reject(result);
      else resolve(result);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("open", () => {
      opened = true;
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "system_chain", params: [] }));
    });
    socket.on("message", (data) => {
      const answer = chainName.safeParse(parsed(String(data)));
      end(answer.success ? { name: answer.data.result } : notAChain("it answers something else"));
    });
    socket.on("error", (error) => end(opened ? notAChain("it broke the connection") : unreachable(error)));
    socket.on("close", () => end(notAChain("it closed the connection")));
    if (signal.aborted) onAbort();
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function notAChain(what: string): Failure {
  return new Failure(
    "chain-not-a-chain",
    `There is a server at that address, but no Bittensor chain: ${what}. Check the address.`,
  );
}

function timeout(timeoutMs: number): Failure {
  return new Failure("chain-timeout", `The chain node did not answer within ${timeoutMs / 1000} s.`);
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing answers there",
  ECONNRESET: "the connection broke",
  ENOTFOUND: "the name is not known",
  EAI_AGAIN: "the name cannot be looked up now",
  EHOSTUNREACH: "no way to that computer",
  ENETUNREACH: "no connection",
  ETIMEDOUT: "no answer",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not trusted",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};

function unreachable(error: Error): Failure {
  if (error.message.startsWith("Unexpected server response")) {
    return notAChain("it is a web server and takes no WebSocket");
  }
  const first = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error;
  const code = "code" in first && typeof first.code === "string" ? first.code : "";
  const reason = REASONS[code] ?? (code.startsWith("HPE_") ? "it does not speak HTTP" : first.message);
  return new Failure("chain-unreachable", `The chain node cannot be reached (${reason}).`, { cause: error });
}
