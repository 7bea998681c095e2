import { describe, expect, it } from "vitest";
import { afterCrash } from "./restart.ts";

const crash = (at: number, code = "exit-1") => ({ at, code, message: "" });

describe("a child that has crashed", () => {
  it("is started again at once the first time", () => {
    expect(afterCrash([crash(1000)], 1000)).toEqual({ kind: "restart", delayMs: 0 });
  });

  it("waits longer each time", () => {
    const crashes = ["a", "b", "c", "d", "e", "f"].map((code, index) => crash(index, code));
    const delays = crashes.map((_, index) => afterCrash(crashes.slice(0, index + 1), 10));
    expect(delays.map((restart) => (restart.kind === "restart" ? restart.delayMs : null))).toEqual([
      0, 100, 1000, 2000, 5000, 5000,
    ]);
  });

  it("is put aside after five equal failures in a minute", () => {
    const crashes = [1, 2, 3, 4, 5].map((at) => crash(at, "snapshot-damaged"));
    expect(afterCrash(crashes, 6)).toMatchObject({ kind: "aside", crash: { code: "snapshot-damaged" } });
  });

  it("is put aside at once when the network does not let it in", () => {
    for (const code of ["invitation-revoked", "protocol-mismatch"])
      expect(afterCrash([crash(0, code)], 1)).toMatchObject({ kind: "aside", crash: { code } });
  });

  it("starts afresh when the failures are long ago", () => {
    const crashes = [1, 2, 3, 4, 70_000].map((at) => crash(at));
    expect(afterCrash(crashes, 70_000)).toEqual({ kind: "restart", delayMs: 0 });
  });

  it("is never put aside for being killed from outside", () => {
    const crashes = [1, 2, 3, 4, 5, 6].map((at) => crash(at, "signal-SIGKILL"));
    expect(afterCrash(crashes, 7)).toEqual({ kind: "restart", delayMs: 5000 });
  });
});
