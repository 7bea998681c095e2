import { describe, expect, test } from "vitest";
import { Arrivals } from "./arrivals.ts";
import { closed, signerA, signerB, tensor } from "./link-conformance.ts";
import { ManualClock } from "./link-clock.ts";
import { memoryLinks } from "./memory/memory-link.ts";

const keys = { a: signerA.publicKey, b: signerB.publicKey };

/** Whoever dials has end `a`. */
function arrivals() {
  const clock = new ManualClock();
  const heard: string[] = [];
  const door = new Arrivals((_link, word) => heard.push(word.type), clock);
  const dial = () => {
    const { a, b } = memoryLinks(keys, { clock });
    door.add(b);
    return a;
  };
  return { clock, heard, door, dial };
}

describe("a link that somebody has dialled", () => {
  test("is for what its first word says, and no later word changes that", async () => {
    const { clock, heard, dial } = arrivals();
    const replica = dial();
    await replica.send({ type: "direct" });
    await replica.send({ type: "resume", session: "ab".repeat(16), tensors: 0, notes: 0 });
    await dial().send({ type: "resume", session: "cd".repeat(16), tensors: 0, notes: 0 });
    await clock.advance(10);
    expect(heard).toEqual(["direct", "resume"]);
  });

  test("ends when nothing is said, and goes on when something was", async () => {
    const { clock, door, dial } = arrivals();
    const [silent, speaks] = [dial(), dial()];
    const why = closed(silent);
    let ended = false;
    speaks.onClose(() => (ended = true));
    await speaks.send({ type: "direct" });
    await clock.advance(5_100);
    expect(await why).toBe("you have not said what this link is for");
    door.close("over");
    expect(ended).toBe(false);
  });

  test("ends at once where it begins as if it had been going on for a while", async () => {
    const { clock, heard, dial } = arrivals();
    const amid = dial();
    const why = closed(amid);
    amid.send({ type: "received", tensors: 0, notes: 0 }).catch(() => undefined);
    await clock.advance(10);
    expect(await why).toBe("you have not said what this link is for");
    expect(heard).toEqual([]);
  });

  test("gives no memory to a tensor, and one of many that say nothing goes", async () => {
    const { clock, dial } = arrivals();
    const first = dial();
    const why = closed(first);
    for (let others = 0; others < 64; others++) dial();
    await clock.advance(10);
    expect(await why).toBe("too many links wait here");
    const last = dial();
    const refused = closed(last);
    last.send(tensor(1), new Uint8Array(1024 * 1024)).catch(() => undefined);
    await clock.advance(10);
    expect(await refused).toContain("A tensor came from a peer that no assignment names");
  });
});
