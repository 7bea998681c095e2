import { AUTO, autoCodecs, codecsPart } from "../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../src-protocol/link-codecs.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { Reach } from "./network-reach.ts";

const BECAUSE = {
  computer: "only this computer reaches the network, so there is no line to spare",
  lan: "fewer bytes are as fast or faster within a home too, most of all over Wi-Fi",
  home: "lines between homes are narrow",
} as const satisfies Record<Reach, string>;

/** One line for an operator: how a run's values travel between slices, who has chosen that, and why. */
export function codecText(
  { arithmetic, codecs }: Pick<RunSpec, "arithmetic" | "codecs">,
  said: string,
  reach: Reach,
): string {
  const now = named(codecs);
  const near = codecs?.near === undefined ? "" : ", and as they are within a computer or a home";
  const head = now === "f32" ? "as they are (f32)" : `in ${now}${near}`;
  if (said !== AUTO) return `${head}, as --codec says.`;
  const best = named(codecsPart(arithmetic, autoCodecs(reach === "computer")).codecs);
  if (now === best) return `${head}: ${BECAUSE[reach]}.`;
  const anew = arithmetic === "exact" ? ", which begins the run anew" : "";
  return `${head}, as the run was begun. ${best} would suit it better: ${BECAUSE[reach]} (--codec ${best}${anew}).`;
}

/** As an operator would say them. */
function named({ forward, backward, sums }: LinkCodecs = { forward: "f32", backward: "f32" }): string {
  if (sums !== undefined) return `${forward}/${backward}/${sums}`;
  return forward === backward ? forward : `${forward}/${backward}`;
}
