import type { IncomingMessage, ServerResponse } from "node:http";
import { chunkBytesFor, parseRange } from "../../src-protocol/chunks.ts";
import type { ChunkList } from "../../src-protocol/chunks.ts";
import { sha256 } from "../../src-protocol/signing.ts";

export function chunksOf(bytes: Uint8Array): ChunkList {
  const chunkBytes = chunkBytesFor(bytes.length);
  const count = Math.ceil(bytes.length / chunkBytes);
  const digests = Array.from({ length: count }, (_, index) =>
    sha256(bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes)),
  );
  return { bytes: bytes.length, chunkBytes, sha256: digests };
}

/** Answers for one blob as the orchestrator's store does: its list of chunks, a range, or all of it. */
export function serveBlob(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  list: ChunkList = chunksOf(bytes),
): void {
  if (request.url?.endsWith("/chunks") === true) return void response.end(JSON.stringify(list));
  const { range } = request.headers;
  const part = range === undefined ? { from: 0, to: bytes.length } : parseRange(range, bytes.length);
  if (part === null) return void response.writeHead(416).end();
  response.writeHead(range === undefined ? 200 : 206).end(bytes.subarray(part.from, part.to));
}
