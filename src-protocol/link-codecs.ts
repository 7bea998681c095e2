import { z } from "zod";
import { Failure } from "./failure.ts";
import type { RunSpec } from "./model.ts";
import type { TensorMeta } from "./peer.ts";

/** How a tensor's float32 values may travel, from most to fewest bits a value: see `src-engine/codecs`. */
export const CODEC_NAMES = ["f32", "f16", "int8b64", "int4h"] as const;
export const codecName = z.enum(CODEC_NAMES);
export type CodecName = z.infer<typeof codecName>;

/** In which the gradient sums of a stage's replicas may travel: what is left out comes with the next one. */
export const sumCodec = z.enum(["f32", "f16", "int8b64"]);
export type SumCodec = z.infer<typeof sumCodec>;

/** What a run's links carry, for each direction; see docs/codecs.md. */
export const linkCodecs = z.strictObject({
  /** Activations, towards the tail. */
  forward: codecName,
  /** Gradients, towards the head; they are rounded stochastically. */
  backward: codecName,
  /** Gradient sums, between the replicas of a stage; absent: as they are, as always in the class `exact`. */
  sums: sumCodec.optional(),
  /**
   * `f32`: links within one computer and one home carry the values as they are. Only in the class `fast`:
   * in `exact` a number may not depend on the road that it took.
   */
  near: z.literal("f32").optional(),
});
export type LinkCodecs = z.infer<typeof linkCodecs>;

/** Of a run that says nothing of it. */
export const AS_THEY_ARE: LinkCodecs = { forward: "f32", backward: "f32" };

/**
 * What `auto` means where lines lie between computers. A codec may stand here once it has passed the gate (`npm run
 * bench -- codec-gate`): with it the loss at equal tokens is that of `f32`, within the gate's bound.
 */
const AUTO_CODECS: LinkCodecs = { forward: "int8b64", backward: "int8b64", sums: "int8b64" };

type Run = Pick<RunSpec, "arithmetic" | "codecs">;

/** In which a tensor is sent. `isNear`: to this computer, or one in the same home. */
export function codecOf(
  { arithmetic, codecs = AS_THEY_ARE }: Run,
  pass: TensorMeta["pass"],
  isNear: boolean,
): CodecName {
  // The sums of tied gradients are added up on their way: they would be rounded at each stop.
  if (pass === "tie") return "f32";
  if (isNear && codecs.near === "f32" && arithmetic === "fast") return "f32";
  return pass === "backward" ? codecs.backward : codecs.forward;
}

/** The same on all links of a run: every replica adds up the same numbers. */
export function sumCodecOf({ arithmetic, codecs = AS_THEY_ARE }: Run): SumCodec {
  return arithmetic === "fast" ? (codecs.sums ?? "f32") : "f32";
}

/** In which a tensor may come: the two ends of a link need not agree about how near they are. */
export function codecsAgreed(run: Run, pass: TensorMeta["pass"]): readonly CodecName[] {
  return [...new Set([codecOf(run, pass, false), codecOf(run, pass, true)])];
}

/**
 * Part of a run's description; nothing where the values travel as they are.
 *
 * @throws Failure `bad-option` where sums are to be rounded in the class `exact`: what is left out of one
 *   depends on who worked on what
 */
export function codecsPart(
  arithmetic: RunSpec["arithmetic"],
  { forward, backward, near, sums: asked = "f32" }: LinkCodecs = AS_THEY_ARE,
): Pick<RunSpec, "codecs"> {
  // Only `auto` spares near links, and it rounds sums where they may be.
  const sums = near !== undefined && arithmetic === "exact" ? "f32" : asked;
  if (sums !== "f32" && arithmetic === "exact")
    throw new Failure(
      "bad-option",
      `In the class exact the sums of replicas travel as they are, not as ${sums}: leave out the third codec, or train in the class fast.`,
    );
  if ([forward, backward, sums].every((codec) => codec === "f32")) return {};
  return {
    codecs: {
      forward,
      backward,
      ...(sums !== "f32" && { sums }),
      ...(near !== undefined && arithmetic === "fast" && { near }),
    },
  };
}

/** What an operator says who leaves the choice to the program. */
export const AUTO = "auto";

/**
 * What `auto` means. `isAlone`: all of the network's computers are this one, so there is no line that rounding would
 * spare, in the class `exact` neither: all of its links are alike.
 */
export function autoCodecs(isAlone: boolean): LinkCodecs {
  return isAlone ? AS_THEY_ARE : { ...AUTO_CODECS, near: "f32" };
}

/** For help texts. */
export const CODEC_WORDS = `${AUTO}, ${CODEC_NAMES.join(", ")}, two (int8b64/f16: activations/gradients), or three (f16/f16/int8b64: and the sums of replicas)`;

/**
 * What an operator says of links: one codec for both directions, two, or a third one for the sums of replicas;
 * `auto`: as `autoCodecs`.
 *
 * @throws Failure `bad-option`
 */
export function readCodecs(text: string, isAlone = false): LinkCodecs {
  if (text === AUTO) return autoCodecs(isAlone);
  const [forward, backward = forward, sums, ...more] = text.split("/");
  const parsed = linkCodecs.safeParse({ forward, backward, ...(sums !== undefined && { sums }) });
  if (parsed.success && more.length === 0) return parsed.data;
  throw new Failure("bad-option", `--codec is ${CODEC_WORDS}, not "${text.slice(0, 40)}".`);
}
