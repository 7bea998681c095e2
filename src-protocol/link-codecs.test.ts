import { expect, it } from "vitest";
import { codecOf, codecsAgreed, codecsPart, readCodecs, sumCodecOf } from "./link-codecs.ts";

it("an operator names one codec for both directions, two, or a third one for sums", () => {
  expect(readCodecs("int8b64")).toEqual({ forward: "int8b64", backward: "int8b64" });
  expect(readCodecs("int4h/f16")).toEqual({ forward: "int4h", backward: "f16" });
  expect(readCodecs("f32/f32/int8b64")).toEqual({ forward: "f32", backward: "f32", sums: "int8b64" });
  const rounded = { forward: "int8b64", backward: "int8b64" };
  expect(readCodecs("auto")).toEqual({ ...rounded, sums: "int8b64", near: "f32" });
  for (const wrong of ["", "int8", "f16/", "f16/f16/int4h", "f16/f16/f16/f16", "auto/f16", "F32"])
    expect(() => readCodecs(wrong)).toThrow(expect.objectContaining({ code: "bad-option" }));
});

it("auto rounds nothing where all is on one computer, in either class", () => {
  const alone = readCodecs("auto", true);
  expect(alone).toEqual({ forward: "f32", backward: "f32" });
  for (const arithmetic of ["exact", "fast"] as const) {
    expect(codecsPart(arithmetic, alone)).toEqual({});
    expect(codecsPart(arithmetic, readCodecs("auto")).codecs?.forward).toBe("int8b64");
  }
  expect(readCodecs("f16", true), "what is said holds").toEqual({ forward: "f16", backward: "f16" });
});

it("each direction has its codec, and tied gradients travel as they are", () => {
  const run = { arithmetic: "fast", codecs: { forward: "int8b64", backward: "f16" } } as const;
  expect(codecOf(run, "forward", false)).toBe("int8b64");
  expect(codecOf(run, "evaluate", false)).toBe("int8b64");
  expect(codecOf(run, "backward", false)).toBe("f16");
  expect(codecOf(run, "tie", false)).toBe("f32");
  expect(codecOf({ arithmetic: "fast" }, "forward", false)).toBe("f32");
});

it("near computers may be spared the rounding, but not in the class exact", () => {
  const codecs = { forward: "int8b64", backward: "int8b64", near: "f32" } as const;
  expect(codecOf({ arithmetic: "fast", codecs }, "forward", true)).toBe("f32");
  expect(codecOf({ arithmetic: "fast", codecs }, "forward", false)).toBe("int8b64");
  expect(codecOf({ arithmetic: "exact", codecs }, "forward", true)).toBe("int8b64");
  expect(codecsAgreed({ arithmetic: "fast", codecs }, "backward")).toEqual(["int8b64", "f32"]);
  expect(codecsAgreed({ arithmetic: "exact", codecs }, "backward")).toEqual(["int8b64"]);
});

it("a run whose values travel as they are says nothing of codecs", () => {
  expect(codecsPart("exact", { forward: "f32", backward: "f32", near: "f32" })).toEqual({});
  expect(codecsPart("exact", { forward: "f32", backward: "f16", near: "f32" })).toEqual({
    codecs: { forward: "f32", backward: "f16" },
  });
  const sums = { forward: "f32", backward: "f32", sums: "int8b64" } as const;
  expect(codecsPart("fast", { ...sums, sums: "f32" })).toEqual({});
  expect(sumCodecOf({ arithmetic: "fast", ...codecsPart("fast", sums) })).toBe("int8b64");
  expect(() => codecsPart("exact", sums)).toThrow(expect.objectContaining({ code: "bad-option" }));
  expect(codecsPart("fast", { forward: "f16", backward: "f16", near: "f32" }).codecs?.near).toBe("f32");
  expect(codecsPart("exact", readCodecs("auto"))).toEqual({
    codecs: { forward: "int8b64", backward: "int8b64" },
  });
  expect(codecsPart("fast", readCodecs("auto"))).toEqual({ codecs: readCodecs("auto") });
});
