import fc from "fast-check";
import { expect, test } from "vitest";
import type { PeerMessage } from "../../../src-protocol/peer.ts";
import { counterSignature, rejection, signerA, signerB, tensor } from "../link-conformance.ts";
import { ManualClock, settled } from "../link-clock.ts";
import { LINK_TIMING } from "../link.ts";
import type { Link } from "../link.ts";
import { memoryLinks } from "../memory/memory-link.ts";
import { RESUME_WITHIN_MS, SAID_WITHIN_MS, SessionLink } from "./session-link.ts";

const KEYS = { a: signerA.publicKey, b: signerB.publicKey };

/** Two ends of a session with a path between them that can be broken and replaced. */
async function open() {
  const clock = new ManualClock();
  const path = () => memoryLinks(KEYS, { clock, delayMs: 5 });
  let now = path();
  const a = SessionLink.begin(now.a, clock);
  const b = await answered(now.b, clock);
  return {
    clock,
    a,
    b,
    cut: () => now.cut(),
    silence: () => now.silence(),
    /** The dialling side has found another path. */
    async again() {
      now = path();
      a.carry(now.a);
      const { b: far } = now;
      far.onUpkeep((message) => message.type === "resume" && b.carry(far, message));
      await clock.advance(30);
    },
  };
}

async function answered(far: Link, clock: ManualClock): Promise<SessionLink> {
  const answer = new Promise<SessionLink>((resolve) =>
    far.onUpkeep((message) => {
      if (message.type === "resume") resolve(SessionLink.answer(far, message, clock));
    }),
  );
  await clock.advance(30);
  return await answer;
}

const of = (message: PeerMessage): string =>
  message.type === "tensor"
    ? `tensor ${message.microBatch}`
    : message.type === "counterSignature"
      ? `note ${message.receiptId[0]}`
      : message.type;

function heard(link: Link): string[] {
  const all: string[] = [];
  link.onMessage((message) => void all.push(of(message)));
  return all;
}

test("what a broken path has swallowed is sent again over the next one, and nothing twice", async () => {
  const { a, b, clock, silence, again } = await open();
  const [atA, atB] = [heard(a), heard(b)];
  void a.send(tensor(1), new Uint8Array(4096));
  await clock.advance(30);
  silence();
  const sent = a.send(tensor(2), new Uint8Array(600_000));
  void a.send(counterSignature(3));
  void b.send(counterSignature(4));
  await clock.advance(30);
  expect([atA, atB]).toEqual([[], ["tensor 1"]]);
  await again();
  await clock.advance(SAID_WITHIN_MS);
  await sent;
  expect(atA).toEqual(["note 4"]);
  expect(atB).toHaveLength(3);
  expect(atB).toEqual(expect.arrayContaining(["tensor 1", "tensor 2", "note 3"]));
  a.close("done");
  b.close("done");
});

test("a payload is the sender's again when the peer has it, not before", async () => {
  const { a, b, clock, silence, again } = await open();
  heard(b);
  silence();
  let isFree = false;
  void a.send(tensor(1), new Uint8Array(64)).then(() => (isFree = true));
  await clock.advance(1_000);
  expect(isFree).toBe(false);
  await again();
  await clock.advance(SAID_WITHIN_MS);
  expect(isFree).toBe(true);
  a.close("done");
});

test("what has come is said once for all of a while; where the sender keeps much for it, at once", async () => {
  const { a, b, clock } = await open();
  heard(b);
  let free = 0;
  const send = (bytes: number) => void a.send(tensor(1), new Uint8Array(bytes)).then(() => (free += 1));
  const said = () => b.stats.messagesSent;
  const before = said();
  for (let i = 0; i < 10; i += 1) send(1_000);
  void a.send(counterSignature(1)).then(() => (free += 1));
  await clock.advance(SAID_WITHIN_MS - 1);
  expect([said() - before, free]).toEqual([0, 0]);
  await clock.advance(20);
  expect([said() - before, free]).toEqual([1, 11]);
  send(2_100_000);
  await clock.advance(30);
  expect([said() - before, free]).toEqual([1, 11]);
  send(2_100_000);
  await clock.advance(30);
  expect([said() - before, free]).toEqual([2, 13]);
  a.close("done");
  b.close("done");
});

test("many small messages are acknowledged before their sender would keep too many", async () => {
  const { a, b, clock } = await open();
  heard(b);
  const reasons: string[] = [];
  a.onClose((reason) => reasons.push(reason));
  for (const burst of [1, 2]) {
    for (let i = 0; i < 4_000; i += 1) a.send(counterSignature(burst)).catch(() => undefined);
    await clock.advance(30);
  }
  expect(reasons).toEqual([]);
  a.close("done");
  b.close("done");
});

test("whenever paths break, every message arrives once and in its order", async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom("tensor", "note") },
    { weight: 2, arbitrary: fc.constantFrom("wait", "cut and again", "silence and again", "again") },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.boolean(), fc.integer({ min: 1, max: 700_000 })), { maxLength: 40 }),
      async (steps) => {
        const { a, b, clock, cut, silence, again } = await open();
        const [atA, atB] = [heard(a), heard(b)];
        const [toA, toB]: [string[], string[]] = [[], []];
        let count = 0;
        for (const [what, fromA, bytes] of steps) {
          const [link, list] = fromA ? [a, toB] : [b, toA];
          count += 1;
          if (what === "tensor" || what === "note") {
            const message = what === "tensor" ? tensor(count) : counterSignature(count);
            list.push(of(message));
            void link.send(message, what === "tensor" ? new Uint8Array(bytes) : undefined);
          } else {
            if (what.startsWith("cut")) cut();
            if (what.startsWith("silence")) silence();
            if (what === "wait") await clock.advance(bytes % 20);
            else await again();
          }
        }
        await clock.advance(100 + SAID_WITHIN_MS);
        const lane = (all: readonly string[], kind: string) => all.filter((each) => each.startsWith(kind));
        for (const kind of ["tensor", "note"]) {
          expect(lane(atA, kind)).toEqual(lane(toA, kind));
          expect(lane(atB, kind)).toEqual(lane(toB, kind));
        }
        a.close("done");
        await clock.advance(LINK_TIMING.deadAfterMs);
      },
    ),
    { seed: 11, numRuns: 60 },
  );
});

test("without another path in time it closes, with what broke the last one", async () => {
  const { a, b, clock, cut } = await open();
  const reasons: string[] = [];
  a.onClose((reason) => reasons.push(reason));
  cut();
  await clock.advance(RESUME_WITHIN_MS - 1);
  expect(reasons).toEqual([]);
  const late = rejection(a.send(counterSignature(1)));
  await clock.advance(2);
  expect(reasons).toEqual(["link-lost: the connection was cut"]);
  expect(await late).toMatchObject({ code: "link-closed" });
  b.close("done");
});

test("a goodbye ends it at once on both sides", async () => {
  const { a, b, clock } = await open();
  const reasons: string[] = [];
  b.onClose((reason) => reasons.push(reason));
  a.close("enough");
  await clock.advance(30);
  expect(reasons).toEqual(["enough"]);
});

test("a peer that claims more than was sent, or less than it had, is closed", async () => {
  for (const lie of [
    { tensors: 9, notes: 0 },
    { tensors: 0, notes: 1 },
  ]) {
    const clock = new ManualClock();
    const { a, b } = memoryLinks(KEYS, { clock });
    const link = SessionLink.begin(a, clock);
    const reasons: string[] = [];
    link.onClose((reason) => reasons.push(reason));
    await b.send({ type: "resume", session: link.session, tensors: 0, notes: 0 });
    const said = rejection(b.send({ type: "received", ...lie }));
    await Promise.race([said, settled()]);
    await settled();
    expect(reasons[0]).toMatch(/^link-count: /);
  }
});
