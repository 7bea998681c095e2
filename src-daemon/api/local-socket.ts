import { createHash } from "node:crypto";
import { chmodSync, rmSync } from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import { join } from "node:path";
import type { Duplex } from "node:stream";

// Not imported: an ES import reads every export, and one of them loads fetch's client.
const { createServer } = process.getBuiltinModule("node:http");

/** The kernel's limit for the path of a Unix socket, the end included: 104 bytes on macOS, 108 on Linux. */
const LONGEST_PATH = 103;

/**
 * Where the daemon of a data folder listens for programs of its owner: a Unix socket in the folder, a named
 * pipe on Windows. Null: the folder's path is too long for one.
 */
export function localSocketPath(folder: string, platform: NodeJS.Platform = process.platform): string | null {
  if (platform === "win32")
    return `\\\\.\\pipe\\train-at-home-${createHash("sha256").update(folder).digest("hex").slice(0, 16)}`;
  const path = join(folder, "api.sock");
  return Buffer.byteLength(path) <= LONGEST_PATH ? path : null;
}

/**
 * SECURITY: whoever may open the socket is the owner: its mode is 0600, and its folder is the owner's alone.
 * Null when it cannot be opened: the port is there for everybody.
 */
export async function localServer(
  path: string | null,
  limits: { readonly requestTimeout: number; readonly headersTimeout: number },
  onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void,
): Promise<Server | null> {
  if (path === null) return null;
  const server = createServer(limits, (_request, response) => void response.writeHead(404).end());
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => {});
    onUpgrade(request, socket, head);
  });
  const isFile = process.platform !== "win32";
  // Left behind by a daemon that was killed; the folder's lock says that none is there.
  if (isFile) rmSync(path, { force: true });
  let before: number | null = null;
  try {
    // From its first moment on; a chmod alone would come too late.
    if (isFile) before = process.umask(0o177);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
      if (before !== null) process.umask(before);
    });
    if (isFile) chmodSync(path, 0o600);
    return server;
  } catch {
    server.close();
    return null;
  } finally {
    if (before !== null) process.umask(before);
  }
}
