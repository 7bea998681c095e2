import { describe, expect, it } from "vitest";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import type { Tensor } from "../stage/tensor-message.ts";
import { MicroBatches } from "./micro-batches.ts";

const key = (seed: number): SessionKey => createSessionSigner(new Uint8Array(32).fill(seed)).publicKey;
const [first, second] = [key(1), key(2)];
const gradient: Tensor = { values: new Float32Array(1), sha256: sha256("gradient") };

/** A head's, with one micro-batch that went to `first`, came back from there and was worked on. */
function worked(): { batches: MicroBatches; sentTo: SessionKey[] } {
  const sentTo: SessionKey[] = [];
  const batches = new MicroBatches({
    isTail: false,
    choose: () => (sentTo.includes(first) ? second : first),
    routed: () => undefined,
    sendForward: (_, to) => {
      sentTo.push(to);
      return sha256("activations");
    },
    sendBackward: () => sha256("gradient"),
    digestOf: () => sha256("activations"),
    sendWant: () => undefined,
    sendLack: () => undefined,
    answered: () => undefined,
    counted: () => undefined,
    accuse: (_, __, code, message) => {
      throw new Error(`${code}: ${message}`);
    },
  });
  batches.leased(0, null);
  for (const turn of ["forward", "backward"]) {
    const job = batches.next();
    if (job === null) throw new Error(`nothing to do ${turn}`);
    batches.computed(job, new Float32Array(1), null);
    if (turn === "forward") batches.returned(first, 0, gradient);
  }
  return { batches, sentTo };
}

describe("the micro-batches of a step", () => {
  it("are answered when their gradients have come", () => {
    expect(worked().batches.areAnswered([0])).toBe(true);
  });

  it("are not answered by a replica that is lost: whoever does its part again answers, too", () => {
    const { batches, sentTo } = worked();
    batches.fenced(first);
    expect(sentTo).toEqual([first, second]);
    expect(batches.areAnswered([0])).toBe(false);
    expect(batches.crossed([0]).get(0)?.next).toBe(null);
    batches.returned(second, 0, gradient);
    expect(batches.areAnswered([0])).toBe(true);
    expect(batches.crossed([0]).get(0)?.next?.peer).toBe(second);
    expect(batches.next()).toBe(null);
  });
});
