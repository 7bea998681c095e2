import { expect, it } from "vitest";
import { snapshotDigest } from "./snapshot.ts";

const named = { runId: "r", runSha256: "ab".repeat(32), stage: 1, step: 7, payloadBytes: 12 };
const LINK = "cd".repeat(32);

it("states that were told of by an earlier version are known by the same digest", () => {
  const earlier = { schema: "train-at-home/snapshot/v1", ...named, payloadCrc32: 123_456_789 } as const;
  expect([snapshotDigest(earlier), snapshotDigest({ ...earlier, link: LINK })]).toEqual([
    "db1ea775253a045a9a8c7cdaced12b1e44ca6dade846f1d089b98e59e3353635",
    "99a074fbcbe9349629f461e3dc05fb637028b768237e82a92e9013e4b9d55895",
  ]);
});

it("a state has one digest, with a checksum and without, and another one for all else that is said of it", () => {
  const state = {
    schema: "train-at-home/snapshot/v2",
    ...named,
    sampleSha256: "ef".repeat(32),
    payloadCrc32: null,
  } as const;
  const digest = snapshotDigest(state);
  expect(snapshotDigest({ ...state, payloadCrc32: 5 })).toBe(digest);
  const others = [
    { runId: "s" },
    { runSha256: LINK },
    { stage: 2 },
    { step: 8 },
    { payloadBytes: 24 },
    { link: LINK },
    { sampleSha256: LINK },
  ].map((change) => snapshotDigest({ ...state, ...change }));
  expect(new Set([digest, ...others]).size).toBe(8);
});
