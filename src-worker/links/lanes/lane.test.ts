import { execFileSync } from "node:child_process";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { signerA, signerB } from "../link-conformance.ts";
import { LEAST_LANE_BYTES, LaneReceiver, LaneSender } from "./lane.ts";
import { LaneFolder, Lanes } from "./lanes.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah lanes "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const [keyA, keyB] = [signerA.publicKey, signerB.publicKey];
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

const files: number[] = [];
afterEach(() => {
  for (const file of files.splice(0)) closeSync(file);
});

/** Both ends, and the file as another worker has it that has opened it in time. */
function opened(): { sender: LaneSender; receiver: LaneReceiver; file: number } {
  const sender = new LaneSender(folder, keyA);
  const file = openSync(join(folder, sender.name.lane), "r+");
  files.push(file);
  const receiver = LaneReceiver.open(folder, sender.name, keyA);
  if (receiver === null) throw new Error("the lane is not there");
  sender.seen();
  return { sender, receiver, file };
}

describe("a lane", () => {
  test("gives payloads in the order in which they were put, each in memory of its own", () => {
    const { sender, receiver } = opened();
    for (const value of [1, 2, 3]) expect(sender.put(bytes(40_000 + value, value))).toBe(true);
    const taken = [1, 2, 3].map((value) => receiver.take(40_000 + value));
    expect(taken).toEqual([1, 2, 3].map((value) => bytes(40_000 + value, value)));
    expect(taken.map(({ buffer, byteOffset }) => [buffer.byteLength, byteOffset])).toEqual(
      [1, 2, 3].map((value) => [40_000 + value, 0]),
    );
  });

  test("holds 8 MiB that nobody has read, and takes more when that was read", () => {
    const { sender, receiver } = opened();
    const half = 4 * 2 ** 20;
    expect([1, 2, 3].map((value) => sender.put(bytes(half, value)))).toEqual([true, true, false]);
    receiver.take(half);
    expect([4, 5].map((value) => sender.put(bytes(half, value)))).toEqual([true, false]);
    expect([receiver.take(half)[0], receiver.take(half)[0]]).toEqual([2, 4]);
    expect(sender.put(bytes(2 * half, 6))).toBe(true);
    expect(sender.put(bytes(2 * half + 1, 7))).toBe(false);
  });

  test("uses the same memory again and again where payloads are read as they come", () => {
    const { sender, receiver, file } = opened();
    for (let value = 0; value < 200; value++) {
      sender.put(bytes(100_000, value));
      expect(receiver.take(100_000)[0]).toBe(value);
    }
    expect(fstatSync(file).size).toBeLessThan(110_000);
  });

  test("never writes over what waits to be read, whatever sizes come and however late they are read", () => {
    const size = fc.integer({ min: 1, max: 3 * 2 ** 20 });
    const plan = fc.array(fc.oneof(size, fc.constant("take" as const)), { maxLength: 120 });
    fc.assert(
      fc.property(plan, (steps) => {
        const { sender, receiver } = opened();
        const waiting: { size: number; value: number }[] = [];
        for (const [value, step] of steps.entries()) {
          if (step !== "take") {
            if (sender.put(bytes(step, value % 251))) waiting.push({ size: step, value: value % 251 });
            continue;
          }
          const due = waiting.shift();
          if (due === undefined) continue;
          const taken = receiver.take(due.size);
          expect([taken[0], taken.at(-1)]).toEqual([due.value, due.value]);
        }
        sender.close();
      }),
      { seed: 5, numRuns: 40 },
    );
  });

  test("has so many payloads waiting at most, however small", () => {
    const { sender, receiver } = opened();
    const put = () => sender.put(bytes(10, 1));
    expect(Array.from({ length: 65 }, put).filter(Boolean)).toHaveLength(64);
    receiver.take(10);
    expect([put(), put()]).toEqual([true, false]);
  });

  test("has no name any more when the peer has it open, so that nothing is left when both are killed", () => {
    const { sender } = opened();
    expect(sender.put(bytes(40_000, 1))).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("takes nothing before the peer has it open, and is gone when that never comes", () => {
    const sender = new LaneSender(folder, keyA);
    expect(sender.put(bytes(40_000, 1))).toBe(false);
    sender.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is closed although something else lies in its place", () => {
    const sender = new LaneSender(folder, keyA);
    const place = join(folder, sender.name.lane);
    rmSync(place);
    mkdirSync(place);
    sender.close();
    sender.seen();
    expect(sender.put(bytes(40_000, 1))).toBe(false);
  });

  test("takes and gives nothing when it is closed", () => {
    const { sender, receiver } = opened();
    for (const side of [sender, receiver, sender, receiver]) side.close();
    expect(sender.put(bytes(40_000, 2))).toBe(false);
    expect(() => receiver.take(40_000)).toThrow("the lane is closed");
  });

  test("gives what was put before its sender closed it", () => {
    const { sender, receiver } = opened();
    sender.put(bytes(40_000, 1));
    sender.close();
    expect(receiver.take(40_000)).toEqual(bytes(40_000, 1));
  });

  test("is not found by its name where the two have no folder in common, or where something else lies", () => {
    const other = join(folder, "other");
    mkdirSync(other);
    const { name } = new LaneSender(folder, keyA);
    const place = join(other, name.lane);
    const open = () => LaneReceiver.open(other, name, keyA);
    expect(open()).toBe(null);
    symlinkSync(join(folder, name.lane), place);
    expect(open()).toBe(null);
    rmSync(place);
    execFileSync("mkfifo", [place]);
    expect(open()).toBe(null);
    rmSync(place);
    mkdirSync(place);
    expect(open()).toBe(null);
    rmdirSync(place);
    closeSync(openSync(place, "w"));
    expect(open()).toBe(null);
  });

  test("is found only by who has a link to its maker", () => {
    const { name } = new LaneSender(folder, keyA);
    expect(LaneReceiver.open(folder, name, keyB)).toBe(null);
    expect(LaneReceiver.open(folder, name, keyA)).not.toBe(null);
  });

  test.each([
    ["of another size", /no payload of 40001 bytes lies there/, () => undefined, 40_001],
    [
      "whose file was cut short",
      /the file ends before that/,
      (file: number) => ftruncateSync(file, 30_000),
      40_000,
    ],
    [
      "that somebody else has written over",
      /unable to authenticate/i,
      (file: number) => overwrite(file, 4096 + 20_000, 9),
      40_000,
    ],
    [
      "whose place somebody else has changed",
      /no payload of 40000 bytes lies there/,
      (file: number) => overwrite(file, 32 + 3, 255),
      40_000,
    ],
  ])("does not give a payload %s", (_, why, change, size) => {
    const { sender, receiver, file } = opened();
    sender.put(bytes(40_000, 1));
    change(file);
    expect(() => receiver.take(size)).toThrow(why);
  });

  test("does not give a payload a second time that somebody has put back", () => {
    const { sender, receiver, file } = opened();
    sender.put(bytes(40_000, 1));
    const first = readFileSync(file);
    receiver.take(40_000);
    sender.put(bytes(40_000, 2));
    overwrite(file, 4096, ...first.subarray(4096));
    expect(() => receiver.take(40_000)).toThrow(/unable to authenticate/i);
  });

  test("is not used any more when more is said to be read than was put", () => {
    const { sender, file } = opened();
    sender.put(bytes(40_000, 1));
    overwrite(file, 0, 200);
    expect([sender.put(bytes(40_000, 2)), sender.put(bytes(40_000, 2))]).toEqual([false, false]);
  });
});

function overwrite(file: number, position: number, ...values: number[]): void {
  writeSync(file, Uint8Array.from(values), 0, values.length, position);
}

describe("the lanes of a link", () => {
  const lanesOfA = (common: LaneFolder) => new Lanes({ folder: common, ownKey: keyA }, keyB);
  const both = () => {
    const common = new LaneFolder(folder);
    return {
      a: lanesOfA(common),
      b: new Lanes({ folder: new LaneFolder(folder), ownKey: keyB }, keyA),
      common,
    };
  };
  const large = bytes(LEAST_LANE_BYTES, 7);

  test("are used when the other side has said that it reaches them, each for its direction", () => {
    const { a, b } = both();
    expect(a.put(large)).toBe(false);
    const said = a.news();
    expect(said?.type).toBe("lane");
    expect(a.news()).toBe(null);
    const answer = said && b.hear(said);
    expect(answer?.type).toBe("laneSeen");
    expect(b.put(large)).toBe(false);
    expect([a.isPeerOwn, b.isPeerOwn]).toEqual([false, true]);
    expect(answer && a.hear(answer)).toBe(null);
    expect(a.put(large)).toBe(true);
    expect(b.take(large.byteLength)).toEqual(large);
    expect([a.bytesSent, b.bytesReceived]).toEqual([large.byteLength, large.byteLength]);
  });

  test("carry only what is large", () => {
    const { a } = both();
    expect([LEAST_LANE_BYTES - 1, LEAST_LANE_BYTES].map((size) => a.isFor(size))).toEqual([false, true]);
  });

  test("are not used where there is no folder, nor for a name that was not given out", () => {
    const none = new Lanes(null, keyA);
    expect([none.isFor(1e6), none.news(), none.put(large)]).toEqual([false, null, false]);
    const { a } = both();
    const said = a.news();
    expect(said && none.hear(said)).toBe(null);
    a.hear({ type: "laneSeen", lane: "0".repeat(32) });
    expect(a.put(large)).toBe(false);
  });

  test("end their link when a payload is not there, which may go on over another path; the third time the process gives them up", () => {
    const { common } = both();
    const uses = [1, 2, 3].map(() => {
      const lanes = lanesOfA(common);
      const said = both().b.news();
      expect(said && lanes.hear(said)?.type).toBe("laneSeen");
      expect(() => lanes.take(40_000)).toThrow(expect.objectContaining({ code: "link-lost" }));
      return lanesOfA(common).isFor(1e6);
    });
    expect(uses).toEqual([true, true, false]);
  });

  test("give no more than one lane holds for the same bytes from the socket", () => {
    const { a, b } = both();
    const said = a.news();
    const answer = said && b.hear(said);
    if (answer) a.hear(answer);
    const half = bytes(4 * 2 ** 20, 1);
    const handOver = () => a.put(half) && b.take(half.byteLength).byteLength;
    expect([handOver(), handOver()]).toEqual([half.byteLength, half.byteLength]);
    b.heard();
    expect([handOver(), handOver()]).toEqual([half.byteLength, half.byteLength]);
    expect(handOver).toThrow(expect.objectContaining({ code: "link-lost" }));
  });

  test("are not opened after the link's end", () => {
    const { a, b } = both();
    const said = a.news();
    b.close();
    expect(said?.type).toBe("lane");
    expect([said && b.hear(said), b.isPeerOwn]).toEqual([null, false]);
  });

  test("stay in use for others whatever a peer says that has none", () => {
    const { common } = both();
    for (let times = 0; times < 10; times++) {
      expect(() => lanesOfA(common).take(40_000)).toThrow(expect.objectContaining({ code: "link-lost" }));
    }
    expect(common.isBroken).toBe(false);
  });

  test("are not begun in a folder that cannot be written", () => {
    const common = new LaneFolder(join(folder, "none"));
    expect([1, 2, 3].map(() => lanesOfA(common).news())).toEqual([null, null, null]);
    expect(common.isBroken).toBe(true);
  });
});
