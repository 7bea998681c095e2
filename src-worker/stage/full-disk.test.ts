import { join } from "node:path";
import { expect, it } from "vitest";
import { CAN_FILL_A_DISK, onFullDisk } from "../../src-protocol/full-disk.test-support.ts";

const at = (...names: string[]): string => JSON.stringify(join(import.meta.dirname, ...names));

it.runIf(CAN_FILL_A_DISK)(
  "a snapshot that a full disk has no room for is said, and those of before are restored by the next process",
  () => {
    const [saved, said, restorable, restored, newest] = onFullDisk(
      262_144,
      `const { Snapshots } = await import(${at("snapshots.ts")});
       const { tinyRun } = await import(${at("..", "tiny-run.test-support.ts")});
       const stage = { spec: tinyRun(), stage: 1 };
       const memoryOf = (value) => {
         const memory = new SharedArrayBuffer(100_000);
         new Uint8Array(memory).fill(value);
         return memory;
       };
       const snapshots = await Snapshots.open(disk + "/snapshots", () => {});
       await snapshots.save(stage, 3, memoryOf(3));
       await snapshots.save(stage, 4, memoryOf(4));
       print("two");
       print(await snapshots.save(stage, 5, memoryOf(5)).then(() => null, ({ code, message }) => [code, message]));
       const again = await Snapshots.open(disk + "/snapshots", () => {});
       print(again.restorable().flatMap(({ steps }) => steps.map(({ step }) => step)));
       const memory = memoryOf(0);
       print(await again.restore(stage, 4, memory));
       print(new Uint8Array(memory).every((byte) => byte === 4));`,
    );
    expect(saved).toBe("two");
    expect(said).toEqual([
      "disk-full",
      expect.stringMatching(/^The disk is full: .* nothing stored is lost/),
    ]);
    expect(restorable).toEqual([3, 4]);
    expect([restored, newest]).toEqual([true, true]);
  },
);

it.runIf(CAN_FILL_A_DISK)(
  "where the disk and the file system in memory are both full, the states in memory stay for the next process",
  () => {
    const [said, still] = onFullDisk(
      600_000,
      `const { writeFileSync } = await import("node:fs");
       const { StoredStates } = await import(${at("stored-states.ts")});
       const { tinyRun } = await import(${at("..", "tiny-run.test-support.ts")});
       const stage = { spec: tinyRun(), stage: 1 };
       const open = () => StoredStates.open(disk + "/home", disk + "/memory", () => {});
       const states = await open();
       await states.hold(stage, true, () => true);
       const keep = (step) => states.keep(stage, step, new SharedArrayBuffer(100_000), "ab".repeat(32));
       await keep(1);
       await keep(2);
       try { for (;;) writeFileSync(disk + "/of-others", Buffer.alloc(4096), { flag: "a" }); } catch {}
       print(await keep(3).then(() => null, ({ code }) => code));
       print((await open()).restorable().flatMap(({ steps }) => steps.map(({ step }) => step)));`,
    );
    expect([said, still]).toEqual(["disk-full", [1, 2]]);
  },
);

it.runIf(CAN_FILL_A_DISK)(
  "a file system in memory that others have filled: the states there go to the disk, and come back a minute after it has room",
  () => {
    const [kept, onDisk, inMemory, again] = onFullDisk(
      400_000,
      `const { writeFileSync, rmSync, mkdtempSync } = await import("node:fs");
       const { StoredStates } = await import(${at("stored-states.ts")});
       const { tinyRun } = await import(${at("..", "tiny-run.test-support.ts")});
       const stage = { spec: tinyRun(), stage: 1 };
       const folder = mkdtempSync(disk + "-home");
       let now = 0;
       const states = await StoredStates.open(folder, disk + "/states", () => {}, () => now);
       await states.hold(stage, await states.hasPlaces(100_000), () => true);
       const keep = (step) => states.keep(stage, step, new SharedArrayBuffer(100_000), "ab".repeat(32));
       await keep(1);
       print(states.keeps);
       writeFileSync(disk + "/of-others", Buffer.alloc(260_000));
       await keep(2);
       print(states.disk.stepsOf(stage).map(({ step }) => step).sort());
       print([states.keeps, states.isFull, states.bytesInMemory]);
       now += 61_000;
       await keep(3);
       const still = states.keeps;
       rmSync(disk + "/of-others");
       now += 61_000;
       await keep(4);
       await keep(5);
       await keep(6);
       print([still, states.keeps, states.isWhole]);
       rmSync(folder, { recursive: true });`,
    );
    expect([kept, onDisk, inMemory, again]).toEqual([true, [1, 2], [false, true, 0], [false, true, true]]);
  },
);
