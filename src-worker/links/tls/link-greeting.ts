import type { TLSSocket } from "node:tls";
import { Failure } from "../../../src-protocol/failure.ts";
import { FrameDecoder } from "../../../src-protocol/frame-decoder.ts";
import type { FrameEvent } from "../../../src-protocol/frame-decoder.ts";
import { encodeHello, helloText, readFrameHeader } from "../../../src-protocol/frame.ts";
import type { HelloMeta, LinkRole } from "../../../src-protocol/frame.ts";
import type { SessionKey } from "../../../src-protocol/keys.ts";
import { FRAME_HEADER_BYTES } from "../../../src-protocol/peer.ts";
import { verifySession } from "../../../src-protocol/signing.ts";
import type { SessionSigner } from "../../../src-protocol/signing.ts";

const EXPORTER_LABEL = "train-at-home-link-v1";
const EXPORTER_BYTES = 32;

/** Proves our session key to the peer. */
export function sayHello(socket: TLSSocket, role: LinkRole, signer: SessionSigner): void {
  const signature = signer.sign(helloText(role, exporter(socket)));
  for (const piece of encodeHello({ sessionKey: signer.publicKey, signature })) socket.write(piece);
}

/**
 * Reads exactly the peer's hello and returns the key it proved; what follows stays in the socket.
 * SECURITY: the certificate is not looked at. A man in the middle has another exporter on each
 * side, so it can neither pass our hello on nor use the peer's.
 */
export async function hearHello(socket: TLSSocket, role: LinkRole): Promise<SessionKey> {
  const header = await readExactly(socket, FRAME_HEADER_BYTES);
  const { type, metaLength } = readFrameHeader(header);
  if (type !== "hello" && type !== "goodbye") {
    throw new Failure("frame-type", `The peer sent a ${type} frame before its hello. The link was closed.`);
  }
  const meta = await readExactly(socket, metaLength);
  const decoder = new FrameDecoder<never>(() => {
    throw new Failure("frame-type", "The peer sent a message before its hello.");
  });
  decoder.push(header);
  const [event] = decoder.push(meta);
  return identify(event, helloText(role, exporter(socket)));
}

function identify(event: FrameEvent<never> | undefined, text: string): SessionKey {
  if (event?.type === "refused") throw event.failure;
  if (event?.type === "goodbye")
    throw new Failure("link-refused", `The peer does not want this link: ${event.reason}`);
  if (event?.type !== "hello") throw new Failure("frame-type", "The peer sent something else than a hello.");
  const hello: HelloMeta = event.hello;
  if (verifySession(hello.sessionKey, text, hello.signature)) return hello.sessionKey;
  throw new Failure(
    "link-identity",
    "The peer could not prove its session key on this connection. Something in between may be reading along, so the link was closed.",
  );
}

function exporter(socket: TLSSocket): string {
  return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0)).toString("hex");
}

function readExactly(socket: TLSSocket, bytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      socket.off("readable", tryRead);
      socket.off("error", failed);
      socket.off("end", ended);
      socket.off("close", ended);
    };
    const failed = (error: Error): void => {
      stop();
      reject(error);
    };
    const ended = (): void =>
      failed(new Failure("link-refused", "The peer ended the connection before it said who it is."));
    const tryRead = (): void => {
      const read: Uint8Array | null = socket.read(bytes);
      if (read === null) return;
      stop();
      resolve(read);
    };
    socket.on("readable", tryRead);
    socket.on("error", failed);
    socket.on("end", ended);
    socket.on("close", ended);
    if (socket.destroyed) ended();
    else tryRead();
  });
}
