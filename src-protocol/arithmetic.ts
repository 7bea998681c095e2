import { z } from "zod";

/**
 * How a run's numbers are computed. `exact`: with kernels, and in orders, that give the same bits on
 * every computer that holds the class; work is checked by comparing digests. `fast`: as quickly as
 * each computer can; honest computers differ in the last bits.
 */
export const ARITHMETICS = ["exact", "fast"] as const;
export const arithmetic = z.enum(ARITHMETICS);
export type Arithmetic = z.infer<typeof arithmetic>;

/**
 * What a run is computed in when nobody chooses. Strangers' work must be checked; one's own computer
 * need not prove anything to itself.
 */
export const DEFAULT_ARITHMETIC = { ownComputer: "fast", strangers: "exact" } as const satisfies Readonly<
  Record<string, Arithmetic>
>;

/** What runs the graphs. Another version, or another level of its optimiser, may give other bits. */
export const kernels = z.strictObject({
  onnxruntime: z.string().min(1).max(64),
  level: z.enum(["disabled", "basic", "extended", "all"]),
});
export type Kernels = z.infer<typeof kernels>;

/** Those of this version of the product, by class. */
export const KERNELS: Readonly<Record<Arithmetic, Kernels>> = {
  // Without the optimiser's last level, which lays convolutions out by the processor's own width.
  exact: { onnxruntime: "1.30.0", level: "extended" },
  fast: { onnxruntime: "1.30.0", level: "all" },
};

/**
 * What a run of a model is computed with. In the class exact, models from elsewhere are not fused: what
 * the optimiser fuses depends on where the model is cut, and GPT-2's normalisations then have other
 * bits in three stages than in one.
 */
export function kernelsFor(arithmetic: Arithmetic, model: { readonly kind: string }): Kernels {
  const own = KERNELS[arithmetic];
  return arithmetic === "exact" && model.kind !== "llama" ? { ...own, level: "disabled" } : own;
}
