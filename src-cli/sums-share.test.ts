import { describe, expect, it } from "vitest";
import { readCodecs } from "../src-protocol/link-codecs.ts";
import { MODEL_SIZES, dealtInto } from "../src-protocol/run-size.ts";
import type { Dealt } from "../src-protocol/run-size.ts";
import { builtIn, dealtFor } from "./micro-batches.ts";
import type { SizedRun } from "./micro-batches.ts";
import type { Reach } from "./network-reach.ts";
import { sumsShare } from "./sums-share.ts";

const usual = MODEL_SIZES.default;
const RUN: SizedRun = { size: "default", stages: 3, arithmetic: "exact", codecs: readCodecs("auto") };

interface Asked {
  readonly change?: Partial<SizedRun>;
  readonly reach?: Reach;
  readonly dealt?: Dealt;
  readonly codec?: string;
}

/** As a network is told that begins, or that was begun with steps as they are `dealt`. */
function told(computers: number | null, { change = {}, reach = "home", dealt, codec = "auto" }: Asked = {}) {
  const run = builtIn({ ...RUN, ...change, codecs: readCodecs(codec) });
  const its = dealt ?? dealtFor(run, usual, reach, computers) ?? usual;
  return sumsShare(run, its, reach, { usual, codec, computers });
}

describe("an operator whose steps are spent on sums", () => {
  it("reads why, and what --fast would make of the same computers", () => {
    expect(told(60)?.text).toMatch(
      /^4\d % of a step is for sums \(the gradient of every micro-batch is sent, for a result that is the same to the bit\); with --fast, which begins the run anew, they would train 3\.\d times as much in the same time \(4,096 micro-batches of 4 sequences, about 24 s a step\)\.$/,
    );
  });

  it("reads that more computers are hardly a gain, where that is so", () => {
    expect(told(12)?.text).toContain(", so 12 computers train hardly faster than 3 would; with --fast");
    expect(told(12)).toMatchObject({ isNoGain: true });
    expect(told(60)).toMatchObject({ isNoGain: false });
  });

  it("reads the same of a run that was begun with steps of another form", () => {
    const begun = told(60, { dealt: dealtInto(256, usual) });
    expect(begun?.share).toBeGreaterThan(0.9);
    expect(begun?.better?.times).toBeGreaterThan(told(60)?.better?.times ?? Infinity);
  });

  it("reads what a codec would do, where sums travel as they are in the class fast", () => {
    const change = { arithmetic: "fast" } as const;
    const asTheyAre = told(60, { change, dealt: dealtInto(64, usual), codec: "int8b64" });
    expect(asTheyAre?.better?.options).toBe("--codec auto");
    expect(asTheyAre?.text).toContain("% of a step is for sums (they are as large as the model)");
  });

  it("reads how larger steps would do, where nothing else helps", () => {
    const change = { arithmetic: "fast" } as const;
    expect(told(60, { change, dealt: dealtInto(64, usual) })?.better).toMatchObject({
      options: "--micro-batches 4096 --batch 4",
      microBatches: 4_096,
    });
  });

  it("reads that only faster lines would help, where a model is large for its lines", () => {
    const run = builtIn({ ...RUN, arithmetic: "fast" });
    const large = {
      ...run,
      stagesOf: (batch: number) =>
        run.stagesOf(batch).map((stage) => Object.assign(stage, { parameterCount: 1e9 })),
    };
    const its = dealtFor(large, usual, "home", 60) ?? usual;
    expect(sumsShare(large, its, "home", { usual, codec: "auto", computers: 60 })).toMatchObject({
      better: null,
      text: expect.stringMatching(/; computers whose lines are faster would help\.$/),
    });
  });
});

it("nobody is told of sums that are little of a step, or of computers that nobody has named", () => {
  expect(told(60, { change: { arithmetic: "fast" } })).toBeNull();
  expect(told(60, { reach: "lan" })).toBeNull();
  expect(told(60, { reach: "computer" })).toBeNull();
  expect(told(3), "none is sent").toBeNull();
  expect(told(null)).toBeNull();
});
