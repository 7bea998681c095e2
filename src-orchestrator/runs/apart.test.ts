import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { testKey } from "./fleet.test-support.ts";
import { place } from "./placement.ts";
import type { Candidate, Vacancy } from "./placement.ts";

/** Computers by their owners' letters, in the order of arrival. */
function nodesOf(owners: string, change: (at: number) => Partial<Candidate> = () => ({})) {
  return new Map(
    [...owners].map((owner, at): [SessionKey, Candidate] => [
      testKey(at + 1),
      {
        sessionKey: testKey(at + 1),
        owner: owner as Ss58Address,
        restorable: new Map(),
        failures: 0,
        arrival: at,
        isTrusted: false,
        memoryBytes: 8e9,
        reach: "unknown",
        ...change(at),
      },
    ]),
  );
}

const open: Vacancy = { holder: null, stored: new Set(), needBytes: 1 };
const stages = (count: number, change: (at: number) => Partial<Vacancy> = () => ({})): Vacancy[] =>
  Array.from({ length: count }, (_, at) => ({ ...open, ...change(at) }));

function placed(vacancies: readonly Vacancy[], nodes: ReadonlyMap<SessionKey, Candidate>): string {
  const holders = place(vacancies, nodes)?.holders ?? [];
  return holders.map((key) => nodes.get(key)?.owner ?? "?").join("");
}

const neighbours = (owners: string): number =>
  [...owners].filter((owner, at) => at > 0 && owners[at - 1] === owner).length;

describe("computers of one owner", () => {
  it("change places with others until they are no neighbours", () => {
    expect(placed(stages(3), nodesOf("AAB"))).toBe("ABA");
    expect(placed(stages(5), nodesOf("BACAA")), "by more than one change").toBe("ABACA");
  });

  it("stay where they came when they are none", () => {
    const nodes = nodesOf("ABCAB");
    expect(place(stages(5), nodes)?.holders).toEqual([...nodes.keys()]);
  });

  it("leave a place to one that waits, and is not worse", () => {
    expect(placed(stages(2), nodesOf("AAB"))).toBe("AB");
    expect(
      placed(
        stages(2),
        nodesOf("AAB", (at) => ({ failures: at === 2 ? 1 : 0 })),
      ),
    ).toBe("AA");
    expect(
      placed(
        stages(2),
        nodesOf("AAB", (at) => ({ isTrusted: at < 2 })),
      ),
    ).toBe("AA");
  });

  it("are as few neighbours as can be", () => {
    expect(neighbours(placed(stages(4), nodesOf("AAAB")))).toBe(1);
    expect(placed(stages(2), nodesOf("AA"))).toBe("AA");
  });

  it("are not moved where only they fit, or can be dialled", () => {
    const small = nodesOf("AAB", (at) => ({ memoryBytes: at === 1 ? 8e9 : 8 }));
    expect(
      placed(
        stages(3, (at) => ({ needBytes: at === 1 ? 1e9 : 1 })),
        small,
      ),
    ).toBe("AAB");
    expect(
      placed(
        stages(3),
        nodesOf("AAB", (at) => ({ reach: at === 2 ? "unreachable" : "unknown" })),
      ),
    ).toBe("BAA");
  });

  it("keep what they hold, and what they alone can bring back", () => {
    const held = stages(3, (at) => ({ holder: at < 2 ? testKey(at + 1) : null }));
    expect(placed(held, nodesOf("AAB"))).toBe("AAB");
    const disks = nodesOf("AAB", (at) => ({ restorable: new Map([[at, [4]]]) }));
    expect(place(stages(3), disks)).toEqual({ holders: [1, 2, 3].map(testKey), resumeStep: 4 });
    const stored = stages(3, (at) => ({ stored: new Set(at === 2 ? [4] : []) }));
    const two = nodesOf("AABC", (at) => ({ restorable: new Map(at < 2 ? [[at, [4]]] : []) }));
    expect(place(stored, two), "the third is another one's anyway").toMatchObject({ resumeStep: 4 });
    expect(placed(stored, two)).toBe("AAB");
  });

  it("are neighbours of their own only where every order of a few has as many", () => {
    const permutations = (left: string): string[] =>
      left === ""
        ? [""]
        : [...left].flatMap((one, at) =>
            permutations(left.slice(0, at) + left.slice(at + 1)).map((rest) => one + rest),
          );
    fc.assert(
      fc.property(fc.stringMatching(/^[ABC]{2,6}$/), (owners) => {
        const least = Math.min(...permutations(owners).map(neighbours));
        expect(neighbours(placed(stages(owners.length), nodesOf(owners)))).toBe(least);
      }),
      { seed: 3, numRuns: 60 },
    );
  });

  it("are placed in bounded time, also when nearly all of thousands are of one owner", () => {
    const nodes = nodesOf("A".repeat(2_000) + "B".repeat(20));
    const found = placed(stages(64), nodes);
    expect(found).toHaveLength(64);
    expect(neighbours(found)).toBeLessThan(63);
  });
});
