import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { SettledAnswer, SettledPay } from "../../src-protocol/settled-pay.ts";

interface Heard {
  readonly own: Ss58Address;
  /** Keys that this computer worked with before. */
  readonly before: readonly Ss58Address[];
  readonly starts: readonly Pick<SettledPay["windows"][number], "window" | "from">[];
  /** Of each key that could ask, the own one first. */
  readonly answers: readonly SettledAnswer[];
}

/** Each computer once, the own one first, and all of them together. A key's own answer is the fullest of it. */
export function settledByDevice({
  own,
  before,
  starts,
  answers,
}: Heard): Pick<SettledPay, "windows" | "devices"> {
  const known = new Map<Ss58Address, SettledPay["devices"][number]>();
  const heard = [
    ...answers.flatMap(({ devices }) => devices.slice(0, 1)),
    ...answers.flatMap(({ devices }) => devices.slice(1)),
  ];
  for (const { hotkey, since } of heard) {
    if (known.has(hotkey)) continue;
    const is = hotkey === own ? "this" : before.includes(hotkey) ? "former" : "other";
    const windows = starts.map((start, at) => ({
      ...start,
      ...(since[at] ?? { creditedRao: "0", payments: 0 }),
    }));
    known.set(hotkey, { hotkey, is, windows });
  }
  const devices = [...known.values()];
  const windows = starts.map((start, at) => {
    const each = devices.flatMap((device) => device.windows[at] ?? []);
    return {
      ...start,
      creditedRao: String(each.reduce((sum, { creditedRao }) => sum + BigInt(creditedRao), 0n)),
      payments: each.reduce((sum, { payments }) => sum + payments, 0),
    };
  });
  return { windows, devices };
}
