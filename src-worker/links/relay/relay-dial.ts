import { connect } from "node:net";
import type { Socket } from "node:net";
import { Failure } from "../../../src-protocol/failure.ts";
import type { SessionKey } from "../../../src-protocol/keys.ts";
import {
  RELAY_GREETING_LIMIT_BYTES,
  RELAY_NONCE_BYTES,
  relayAnswer,
  relayProofText,
} from "../../../src-protocol/link-services.ts";
import type { ServiceAddress } from "../../../src-protocol/link-services.ts";
import type { SessionSigner } from "../../../src-protocol/signing.ts";

/**
 * A connection to `peer` by way of the byte relay: what comes and goes is the peer's from here on,
 * and nobody is authenticated yet. Rejects with link-refused, link-aborted, or the relay's own
 * relay-… code; `relay-alone` when the peer did not come within 15 s.
 */
export async function throughRelay(
  relay: ServiceAddress,
  peer: SessionKey,
  signer: SessionSigner,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connect({ host: relay.host, port: relay.port, noDelay: true });
  socket.on("error", () => {});
  const aborted = (): void =>
    void socket.destroy(
      new Failure("link-aborted", "Dialling through the relay was given up, because it is no longer needed."),
    );
  if (signal.aborted) aborted();
  signal.addEventListener("abort", aborted);
  try {
    const nonce = (await readBytes(socket, () => RELAY_NONCE_BYTES)).toString("hex");
    const signature = signer.sign(relayProofText(nonce, peer));
    socket.write(`${JSON.stringify({ sessionKey: signer.publicKey, peer, signature })}\n`);
    const line = await readBytes(socket, lengthOfLine);
    const answer = relayAnswer.safeParse(JSON.parse(line.toString("utf8"))).data;
    if (answer?.type === "paired") return socket;
    throw answer === undefined
      ? new Failure("link-refused", "The relay answered in another version. Update the app.")
      : new Failure(answer.code, answer.message);
  } catch (error) {
    socket.destroy();
    if (error instanceof Failure) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure("link-refused", `No link through the relay at ${relay.host}:${relay.port}: ${why}`, {
      cause: error,
    });
  } finally {
    signal.removeEventListener("abort", aborted);
  }
}

/** Null: not all there yet. Throws when the line is too long. */
function lengthOfLine(bytes: Buffer): number | null {
  const end = bytes.indexOf(10);
  if (end < 0 && bytes.byteLength > RELAY_GREETING_LIMIT_BYTES) throw new Error("its answer is too long");
  return end < 0 ? null : end + 1;
}

/** Reads as many bytes as `length` says, and leaves the rest in the socket. */
function readBytes(socket: Socket, length: (bytes: Buffer) => number | null): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const stop = (): void => {
      socket.off("readable", read);
      socket.off("error", failed);
      socket.off("end", ended);
      socket.off("close", ended);
    };
    const failed = (error: Error): void => {
      stop();
      reject(error);
    };
    const ended = (): void => failed(new Error("the relay ended the connection"));
    const read = (): void => {
      const more: Buffer | null = socket.read();
      if (more === null) return;
      bytes = Buffer.concat([bytes, more]);
      try {
        const wanted = length(bytes);
        if (wanted === null || bytes.byteLength < wanted) return;
        stop();
        if (bytes.byteLength > wanted) socket.unshift(bytes.subarray(wanted));
        resolve(bytes.subarray(0, wanted));
      } catch (error) {
        failed(error instanceof Error ? error : new Error(String(error)));
      }
    };
    socket.on("readable", read);
    socket.on("error", failed);
    socket.on("end", ended);
    socket.on("close", ended);
    if (socket.destroyed) ended();
    else read();
  });
}
