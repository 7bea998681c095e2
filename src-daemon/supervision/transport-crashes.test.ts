import { describe, expect, test } from "vitest";
import { isTransportCrash, TransportCrashes } from "./transport-crashes.ts";

const ending = { code: "signal-SIGSEGV", overHyperdht: true, provider: "cpu", lines: [] };

describe("a crash of the transport", () => {
  test("is one where a worker with a link over it dies by a signal that nobody sent", () => {
    expect(isTransportCrash(ending)).toBe(true);
    expect(isTransportCrash({ ...ending, overHyperdht: false })).toBe(false);
    expect(isTransportCrash({ ...ending, code: "signal-SIGKILL" })).toBe(false);
    expect(isTransportCrash({ ...ending, code: "compute-failed" })).toBe(false);
  });

  test("is not blamed on it where a graphics card computes, unless it says so itself", () => {
    expect(isTransportCrash({ ...ending, provider: "webgpu" })).toBe(false);
    expect(isTransportCrash({ ...ending, provider: "cuda", lines: ["Assertion failed in udx.c:812"] })).toBe(
      true,
    );
  });

  test("costs a restart; after three within an hour the node goes on over TLS, and an hour later not any more", () => {
    const crashes = new TransportCrashes();
    expect(crashes.crashed(0)).toContain("1 of 3");
    expect(crashes.crashed(1_800_000)).toContain("2 of 3");
    expect(crashes.off(1_800_000)).toBeNull();
    expect(crashes.crashed(3_599_000)).toContain("goes on over TLS");
    expect(crashes.off(3_599_000)).toContain("3 times");
    expect(crashes.off(3_600_001)).toBeNull();
  });
});
