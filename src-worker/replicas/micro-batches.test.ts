import { describe, expect, it } from "vitest";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import type { Tensor } from "../stage/tensor-message.ts";
import { MicroBatches } from "./micro-batches.ts";

const key = (seed: number): SessionKey => createSessionSigner(new Uint8Array(32).fill(seed)).publicKey;
const [first, second] = [key(1), key(2)];
const tensor = (name: string): Tensor => ({ values: new Float32Array(1), sha256: sha256(name) });
const gradient = tensor("gradient");

interface Made {
  readonly batches: MicroBatches;
  readonly sentTo: SessionKey[];
  /** Who was accused, and of what. */
  readonly accused: (readonly [SessionKey, string])[];
}

function made(): Made {
  const sentTo: SessionKey[] = [];
  const accused: [SessionKey, string][] = [];
  const batches = new MicroBatches({
    isTail: false,
    lastFrom: () => Infinity,
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
    accuse: (replica, _, code) => accused.push([replica, code]),
  });
  return { batches, sentTo, accused };
}

/** A head's, with one micro-batch that went to `first`, came back from there and was worked on. */
function worked(): Made {
  const its = made();
  const { batches } = its;
  batches.leased(0, null, false);
  for (const turn of ["forward", "backward"]) {
    const job = batches.next();
    if (job === null) throw new Error(`nothing to do ${turn}`);
    batches.computed(job, new Float32Array(1), null);
    if (turn === "forward") batches.returned(first, 0, gradient, "f32");
  }
  return its;
}

/** The digest of the gradient that is vouched for, and of whom it came. */
const vouched = ({ batches }: Made) => {
  const next = batches.crossed([0]).get(0)?.next;
  return [next?.peer, next?.taken];
};

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
    batches.returned(second, 0, gradient, "f32");
    expect(batches.areAnswered([0])).toBe(true);
    expect(batches.crossed([0]).get(0)?.next?.peer).toBe(second);
    expect(batches.next()).toBe(null);
  });

  it("come once more with the same gradient, or rounded for another link, and nobody is accused", () => {
    const its = worked();
    its.batches.returned(first, 0, gradient, "f32");
    its.batches.returned(first, 0, tensor("gradient in fewer bits"), "int8b64");
    expect([vouched(its), its.accused]).toEqual([[first, gradient.sha256], []]);
  });

  it("are vouched for with what is used: who sends a different gradient of one is accused", () => {
    const its = worked();
    its.batches.returned(first, 0, tensor("another gradient"), "f32");
    expect([vouched(its), its.accused]).toEqual([[first, gradient.sha256], [[first, "two-gradients"]]]);
  });

  it("that another replica did again are vouched for with what that one gave, however it rounds", () => {
    const its = worked();
    const again = tensor("a gradient of another processor");
    its.batches.fenced(first);
    its.batches.returned(second, 0, again, "f32");
    its.batches.returned(second, 0, again, "f32");
    its.batches.returned(first, 0, tensor("of one that was lost"), "f32");
    expect([vouched(its), its.accused]).toEqual([[second, again.sha256], []]);
    its.batches.returned(second, 0, gradient, "f32");
    expect([vouched(its), its.accused]).toEqual([[second, again.sha256], [[second, "two-gradients"]]]);
  });

  it.each([
    ["when it is given", (given: () => void, sent: () => void) => [given, sent]],
    ["before it is given", (given: () => void, sent: () => void) => [sent, given]],
  ])("that come twice with different activations, %s, name their sender", (_, order) => {
    const { batches, accused } = made();
    const send = (name: string, codec: "f32" | "int8b64" = "f32") =>
      batches.arrived(first, 0, tensor(name), codec);
    for (const each of order(
      () => batches.given(0, first, null, false),
      () => send("activations"),
    ))
      each();
    send("activations");
    send("activations in fewer bits", "int8b64");
    expect(accused).toEqual([]);
    send("other activations");
    expect(accused).toEqual([[first, "two-activations"]]);
    expect(batches.next()?.input?.sha256).toBe(sha256("activations"));
  });
});
