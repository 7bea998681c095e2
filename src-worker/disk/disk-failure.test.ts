import { expect, it } from "vitest";
import { diskFailure } from "./disk-failure.ts";

it.each([
  ["ENOSPC", "disk-full", "The disk is full"],
  ["EDQUOT", "disk-full", "The disk is full"],
  ["EROFS", "disk-read-only", "may not be written"],
  ["EACCES", "disk-read-only", "may not be written"],
  ["EIO", "disk-failed", "could not be used"],
])("%s is told as %s, with the file and what to do", (cause, code, sentence) => {
  const failure = diskFailure(Object.assign(new Error(cause), { code: cause }), "/data/slot");
  expect(failure.code).toBe(code);
  expect(failure.message).toContain(sentence);
  expect(failure.message).toContain("/data/slot");
});
