import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { OPEN, allCells, cellAt, changedCells, firstOpen, openCells, ownedCells, withCell } from "./cells.ts";
import type { Cell } from "./cells.ts";

const key = (of: number): SessionKey => sessionKey.parse(of.toString(16).padStart(64, "0"));

/** More than one part, the last of them not whole. */
const COUNT = 300;
const changes = fc.array(
  fc.record({
    at: fc.nat(COUNT + 5),
    owner: fc.option(fc.nat(3).map(key)),
    isCounted: fc.boolean(),
    isAgain: fc.boolean(),
  }),
  { maxLength: 100 },
);

describe("the micro-batches of a stage", () => {
  it("are what was told of each, whatever comes in which order; a number beyond them changes nothing", () => {
    fc.assert(
      fc.property(changes, (told) => {
        const plain: Cell[] = Array.from({ length: COUNT }, () => OPEN);
        let cells = openCells(COUNT);
        for (const { at, ...cell } of told) {
          if (at < COUNT) plain[at] = cell;
          cells = withCell(cells, at, cell);
        }
        expect(allCells(cells)).toEqual(plain);
        expect(plain.map((_, at) => cellAt(cells, at))).toEqual(plain);
        expect(cellAt(cells, COUNT)).toBeUndefined();
        expect(cells.counted).toBe(plain.filter(({ isCounted }) => isCounted).length);
        const open = [...plain.keys()].filter((at) => plain[at]?.owner === null);
        expect(firstOpen(cells)).toBe(open.find((at) => plain[at]?.isAgain === false) ?? open[0] ?? null);
        for (const [owner, its] of ownedCells(cells))
          expect(its).toEqual([...plain.keys()].filter((at) => plain[at]?.owner === owner));
      }),
    );
  });

  it("that changed are named, and what was before is as it was", () => {
    fc.assert(
      fc.property(changes, (told) => {
        const before = openCells(COUNT);
        const now = told.reduce((cells, { at, ...cell }) => withCell(cells, at, cell), before);
        const named = new Set(told.map(({ at }) => at).filter((at) => at < COUNT));
        expect([...changedCells(before, now)]).toEqual([...named].toSorted((a, b) => a - b));
        expect(allCells(before).every((cell) => cell === OPEN)).toBe(true);
      }),
    );
  });

  it("all have owners when none is open", () => {
    const owned = { owner: key(1), isCounted: false, isAgain: false };
    const all = [0, 1, 2].reduce((cells, at) => withCell(cells, at, owned), openCells(3));
    expect(firstOpen(all)).toBeNull();
  });
});
