import type { ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import { readBoundedLines } from "./bounded-lines.ts";

/** Node's own IPC of a child, as far as it is needed here: JSON, a line a message, on file descriptor 3. */
export const CHANNEL_FD = 3;
export const CHANNEL_ENVIRONMENT = {
  NODE_CHANNEL_FD: String(CHANNEL_FD),
  NODE_CHANNEL_SERIALIZATION_MODE: "json",
};
/** The largest honest message tells of a dozen links. */
const MESSAGE_LIMIT_BYTES = 256 * 1024;
const LIMITS = {
  lineBytes: MESSAGE_LIMIT_BYTES,
  linesPerSecond: 500,
  bytesPerSecond: 4 * 1024 * 1024,
  excess: "wait",
} as const;
/** A child that reads nothing any more gets nothing any more. */
const UNREAD_LIMIT_BYTES = 1024 * 1024;

export interface ChannelEvents {
  onMessage(message: unknown): void;
  /** It carried something that is no message; nothing more of it is read. */
  onGarbage(): void;
}

export interface ChildChannel {
  send(message: object): void;
  /** Resolves when everything that was sent has been heard. */
  readonly drained: Promise<void>;
}

/**
 * The parent's end of a child's channel. SECURITY: Node's own end parses whatever comes in the parent's
 * event loop, throws there when it is not JSON, and keeps an endless line without a limit.
 */
export function openChannel(child: ChildProcess, events: ChannelEvents): ChildChannel {
  const socket = child.stdio[CHANNEL_FD] as Duplex | null | undefined;
  if (socket === null || socket === undefined) return { send: () => {}, drained: Promise.resolve() };
  const { promise: drained, resolve } = Promise.withResolvers<void>();
  let isBroken = false;
  const garbage = (): void => {
    if (isBroken) return;
    isBroken = true;
    // It is killed before it can see its channel close, and act on that.
    events.onGarbage();
    socket.destroy();
  };
  socket.on("close", () => resolve());
  readBoundedLines(socket, LIMITS, {
    onLine(text, isCut) {
      if (isBroken) return;
      const message = isCut ? undefined : parsed(text);
      if (message === undefined) garbage();
      else if (!isInternal(message)) events.onMessage(message);
    },
  });
  return {
    send(message) {
      if (socket.writable && socket.writableLength < UNREAD_LIMIT_BYTES)
        socket.write(`${JSON.stringify(message)}\n`);
    },
    drained,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What Node says to Node. */
function isInternal(message: unknown): boolean {
  return (
    typeof message === "object" &&
    message !== null &&
    "cmd" in message &&
    typeof message.cmd === "string" &&
    message.cmd.startsWith("NODE_")
  );
}
