import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { z } from "zod";
import { Failure } from "../src-protocol/failure.ts";
import { attempt } from "./lab/lab-tools.ts";

const HOST = "127.0.0.1";
/** From this address of loopback's own on (127.0.0.2), so many. */
const FIRST = 2;
const ADDRESSES = 64;

const told = z.strictObject({
  /** Connections that were begun. */
  offered: z.int(),
  /** Of those, the other side's system took them, to be looked at. */
  queued: z.int(),
  /** The other side began its handshake. */
  answered: z.int(),
  /** Or closed them before that. */
  refused: z.int(),
  seconds: z.number(),
  cpuSeconds: z.number(),
});
export type FloodOfConnections = z.infer<typeof told>;

/**
 * Connections that begin a TLS handshake, as many as are asked for: a program in C offers ten thousand a second on
 * half a core.
 *
 * @throws Failure `flood-sender`: there is no C compiler
 */
export async function floodOfConnections(
  port: number,
  perSecond: number,
  seconds: number,
): Promise<FloodOfConnections> {
  const folder = mkdtempSync(join(tmpdir(), "tah-flood-sender-"));
  try {
    const built = join(folder, "flood-sender");
    const trouble = attempt("cc", "-O2", "-o", built, join(import.meta.dirname, "flood-sender.c"));
    if (trouble !== null)
      throw new Failure(
        "flood-sender",
        `The flood needs a C compiler (Debian: apt-get install gcc libc6-dev): ${trouble}`,
      );
    const hello = await clientHello();
    const words = [port, FIRST, ADDRESSES, perSecond, seconds].map(String);
    const child = spawn(built, words, { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end(hello);
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (data: string) => (text += data));
    await new Promise((resolve) => child.once("close", resolve));
    return told.parse(JSON.parse(text));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first words of a TLS client, as they stand on the line. */
async function clientHello(): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const said = new Promise<Buffer>((resolve) => {
    server.once("connection", (socket) =>
      socket.once("data", (bytes) => {
        resolve(bytes);
        socket.destroy();
      }),
    );
  });
  const socket = connect({ port: (server.address() as AddressInfo).port, host: HOST });
  const client = connectTls({ socket, rejectUnauthorized: false, minVersion: "TLSv1.3" });
  client.on("error", () => undefined);
  const bytes = await said;
  client.destroy();
  server.close();
  return bytes;
}
