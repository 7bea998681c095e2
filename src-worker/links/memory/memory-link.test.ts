import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeGoodbye, encodeMessage } from "../../../src-protocol/frame.ts";
import { FramedLink } from "../framed-link.ts";
import { ManualClock, settled } from "../link-clock.ts";
import {
  closed,
  collect,
  counterSignature,
  linkConformance,
  signerA,
  signerB,
  tensor,
} from "../link-conformance.ts";
import { LaneSender } from "../lanes/lane.ts";
import { LaneFolder } from "../lanes/lanes.ts";
import { LINK_TIMING } from "../link.ts";
import { memoryLinks, memoryPipes } from "./memory-link.ts";

const keys = { a: signerA.publicKey, b: signerB.publicKey };

describe("a link in memory", () => {
  linkConformance(async (clock = new ManualClock()) => ({ ...memoryLinks(keys, { clock }), end() {} }));

  test("a delay holds every byte back for exactly that time, and is what the round trip measures", async () => {
    const clock = new ManualClock();
    const { a, b } = memoryLinks(keys, { clock, delayMs: 15 });
    const heard: string[] = [];
    b.onMessage((message) => void heard.push(message.type));
    const sent = a.send(counterSignature(1));
    await clock.advance(14);
    expect(heard).toEqual([]);
    await clock.advance(1);
    expect(heard).toEqual(["counterSignature"]);
    await sent;
    await clock.advance(2_030);
    expect(a.stats.roundTripMs).toBe(30);
    a.close("over");
  });

  test("a peer that sends rubbish or announces too much hears why it was closed", async () => {
    for (const [bytes, code] of [
      [new Uint8Array(16).fill(65), "frame-magic"],
      [new Uint8Array(Buffer.from("544148310103000000000100ffffffff", "hex")), "frame-length"],
    ] as const) {
      const pipes = memoryPipes({ clock: new ManualClock() });
      const link = new FramedLink(keys.b, pipes.a, new ManualClock(), LINK_TIMING);
      const heard: Uint8Array[] = [];
      pipes.b.start({ data: (data) => heard.push(data), lost() {} });
      pipes.b.write([bytes], () => {});
      expect(await closed(link)).toContain(code);
      await settled();
      expect(Buffer.concat(heard).toString("latin1")).toContain(code);
    }
  });

  test("what comes after the goodbye in the same bytes is not looked at", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tah-lanes-"));
    const lane = new LaneSender(folder, keys.b);
    const clock = new ManualClock();
    const pipes = memoryPipes({ clock });
    const home = { folder: new LaneFolder(folder), ownKey: keys.a };
    const link = new FramedLink(keys.b, pipes.a, clock, LINK_TIMING, home);
    const after = encodeMessage({ type: "lane", ...lane.name }, new Uint8Array(0)).flat();
    pipes.b.write([...encodeGoodbye("over"), ...after], () => {});
    expect(await closed(link)).toBe("over");
    expect([link.stats.messagesReceived, link.isOwn]).toEqual([0, false]);
    lane.close();
    rmSync(folder, { recursive: true });
  });

  test("a peer that asks for signs of life without end cannot make answers pile up", async () => {
    const clock = new ManualClock();
    const pipes = memoryPipes({ clock });
    const link = new FramedLink(keys.b, pipes.a, clock, LINK_TIMING);
    pipes.b.start({ data() {}, lost() {} });
    pipes.b.pause();
    const question = Buffer.from("54414831010200000000000000000000", "hex");
    // Its own tensor fills the pipe first: a peer that does not read.
    const sent = link.send(tensor(0), new Uint8Array(2_000_000)).catch(() => {});
    const before = link.stats.bytesSent;
    pipes.b.write(
      Array.from({ length: 10_000 }, () => question),
      () => {},
    );
    await settled();
    expect(link.stats.bytesSent).toBe(before);
    pipes.b.resume();
    await sent;
    expect(link.stats.bytesSent).toBeLessThan(2_001_000);
    link.close("over");
  });

  test("messages sent in one turn arrive in order with and without delay", async () => {
    const clock = new ManualClock();
    const { a, b } = memoryLinks(keys, { clock, delayMs: 3 });
    const heard = collect(b, 20);
    const sent = Promise.all(
      Array.from({ length: 20 }, (_, index) => a.send(tensor(index), new Uint8Array(100))),
    );
    await clock.advance(3);
    expect((await heard).map(([message]) => message)).toEqual(
      Array.from({ length: 20 }, (_, index) => tensor(index)),
    );
    await sent;
    a.close("over");
  });
});
