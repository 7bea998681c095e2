import type { RawData } from "ws";
import { z } from "zod";
import { CONTROL_PROTOCOL, nodeMessage, protocolAdvice } from "../../src-protocol/control.ts";
import type { NodeMessage } from "../../src-protocol/control.ts";
import { Failure } from "../../src-protocol/failure.ts";

/** A message in a form we know; anything else is a Failure that ends the connection. */
export function readNodeMessage(text: string): NodeMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badMessage("it is not JSON");
  }
  const theirs = protocolOfHello(value);
  if (theirs !== null && theirs !== CONTROL_PROTOCOL)
    throw new Failure("protocol-mismatch", protocolAdvice(theirs, "app"));
  const parsed = nodeMessage.safeParse(value);
  if (!parsed.success) throw badMessage(parsed.error.issues[0]?.message ?? "unknown form");
  return parsed.data;
}

/** What every version of a hello has. */
const anyHello = z.looseObject({ type: z.literal("hello"), protocol: z.int().nonnegative() });

function protocolOfHello(value: unknown): number | null {
  return anyHello.safeParse(value).data?.protocol ?? null;
}

export function badMessage(reason: string): Failure {
  return new Failure(
    "bad-message",
    `A message of the node was not understood (${reason}), so the connection ends.`,
  );
}

export function messageText(data: RawData, isBinary: boolean): string {
  if (isBinary) throw badMessage("control messages are text");
  return Buffer.isBuffer(data)
    ? data.toString("utf8")
    : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)]).toString("utf8");
}
