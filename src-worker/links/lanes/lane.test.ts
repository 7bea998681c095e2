import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LEAST_LANE_BYTES, LaneReceiver, LaneSender } from "./lane.ts";
import { LaneFolder, Lanes } from "./lanes.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah lanes "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

function opened(): { sender: LaneSender; receiver: LaneReceiver; lane: string } {
  const sender = new LaneSender(folder);
  const receiver = LaneReceiver.open(folder, sender.name);
  if (receiver === null) throw new Error("the lane is not there");
  return { sender, receiver, lane: join(folder, sender.name) };
}

describe("a lane", () => {
  test("gives payloads in the order in which they were put, and keeps none", () => {
    const { sender, receiver, lane } = opened();
    for (const value of [1, 2, 3]) expect(sender.put(bytes(40_000 + value, value))).toBe(true);
    for (const value of [1, 2, 3])
      expect(receiver.take(40_000 + value)).toEqual(bytes(40_000 + value, value));
    expect(readdirSync(lane)).toEqual([]);
  });

  test("holds 8 MiB that nobody has read, and takes more when that was read", () => {
    const { sender, receiver } = opened();
    const half = 4 * 2 ** 20;
    expect([1, 2, 3].map((value) => sender.put(bytes(half, value)))).toEqual([true, true, false]);
    receiver.take(half);
    expect([4, 5].map((value) => sender.put(bytes(half, value)))).toEqual([true, false]);
  });

  test("is gone when either side closes it, and then takes nothing", () => {
    for (const side of ["sender", "receiver"] as const) {
      const both = opened();
      both.sender.put(bytes(40_000, 1));
      both[side].close();
      expect(both.sender.put(bytes(40_000, 2))).toBe(false);
      expect(() => both.receiver.take(40_000)).toThrow(/ENOENT/);
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  test("is not found by its name where the two have no folder in common, or where something else lies", () => {
    const other = join(folder, "other");
    mkdirSync(other);
    const { name } = new LaneSender(folder);
    expect(LaneReceiver.open(other, name)).toBe(null);
    symlinkSync(join(folder, name), join(other, name));
    expect(LaneReceiver.open(other, name)).toBe(null);
  });

  test.each([
    ["of another size", /no file of 40000 bytes/, (path: string) => truncateSync(path, 39_999)],
    [
      "that is a link",
      /ELOOP/,
      (path: string) => {
        writeFileSync(`${path}.other`, bytes(40_000, 9));
        rmSync(path);
        symlinkSync(`${path}.other`, path);
      },
    ],
    [
      "that would block whoever reads it",
      /no file of 40000 bytes/,
      (path: string) => {
        rmSync(path);
        execFileSync("mkfifo", [path]);
      },
    ],
  ])("does not give a payload %s", (_, why, change) => {
    const { sender, receiver, lane } = opened();
    sender.put(bytes(40_000, 1));
    change(join(lane, "0.payload"));
    expect(() => receiver.take(40_000)).toThrow(why);
  });
});

describe("the lanes of a link", () => {
  const both = () => {
    const common = new LaneFolder(folder);
    return { a: new Lanes(common), b: new Lanes(new LaneFolder(folder)), common };
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
    const none = new Lanes(null);
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
      const lanes = new Lanes(common);
      expect(() => lanes.take(40_000)).toThrow(expect.objectContaining({ code: "link-lost" }));
      return new Lanes(common).isFor(1e6);
    });
    expect(uses).toEqual([true, true, false]);
  });

  test("are not begun in a folder that cannot be written", () => {
    const common = new LaneFolder(join(folder, "none"));
    expect([1, 2, 3].map(() => new Lanes(common).news())).toEqual([null, null, null]);
    expect(common.isBroken).toBe(true);
  });
});
