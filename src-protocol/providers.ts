import { phrase } from "./say.ts";
import { z } from "zod";

/**
 * What ONNX Runtime may compute with. The processor is always there and is what the others are
 * measured against, for being right and for being fast.
 */
export const PROVIDERS = ["cpu", "webgpu", "cuda", "coreml", "dml"] as const;
export const executionProvider = z.enum(PROVIDERS);
export type ExecutionProvider = z.infer<typeof executionProvider>;

/** As a person calls it, at the beginning of a sentence. */
export const PROVIDER_NAMES: Readonly<Record<ExecutionProvider, string>> = {
  cpu: phrase("The processor"),
  webgpu: phrase("The graphics card (WebGPU)"),
  cuda: phrase("The NVIDIA graphics card (CUDA)"),
  coreml: phrase("Apple's Core ML"),
  dml: phrase("The graphics card (DirectML)"),
};

/** Largest relative error (Euclidean norm, each output of each graph) against the processor. */
export const LARGEST_ERROR = 1e-4;

const text = z.string().max(500);
/** What a stage computes, in a person's words. */
const computed = z.enum(["results", "gradients", "losses", "parameters"]);
export type Computed = z.infer<typeof computed>;

/** How a provider's test ended. */
export const providerOutcome = z.discriminatedUnion("kind", [
  /** It computed what the processor does. `gflops` counts matrix products, forward and backward. */
  z.strictObject({
    kind: z.literal("right"),
    error: z.number().nonnegative(),
    gflops: z.number().positive(),
  }),
  /** Not in this build of ONNX Runtime. */
  z.strictObject({ kind: z.literal("absent") }),
  /** It said that it cannot: no such device, a graph that it does not run. */
  z.strictObject({ kind: z.literal("refused"), detail: text }),
  /** Its process ended: `signal-SIGSEGV`, `exit-134`. `during`: the test, or training later. */
  z.strictObject({ kind: z.literal("crash"), ending: text, during: z.enum(["test", "training"]) }),
  /** No answer in time. */
  z.strictObject({ kind: z.literal("hang"), seconds: z.number().positive() }),
  /** Numbers further from the processor's than `LARGEST_ERROR`; `tensor`: the worst one. */
  z.strictObject({ kind: z.literal("wrong"), what: computed, tensor: text, error: z.number().positive() }),
  /** Not a number, or infinite. */
  z.strictObject({ kind: z.literal("nan"), what: computed, tensor: text }),
]);
export type ProviderOutcome = z.infer<typeof providerOutcome>;

export const providerResult = z.strictObject({ provider: executionProvider, outcome: providerOutcome });
export type ProviderResult = z.infer<typeof providerResult>;

/** What decides whether results of an earlier test still hold, as far as Node can tell. */
export const probedMachine = z.strictObject({
  onnxruntime: z.string().max(64),
  platform: z.string().max(64),
  /** Kernel or system build: drivers come with it. */
  system: z.string().max(128),
  processor: z.string().max(128),
  graphics: z.array(z.string().max(256)).max(64),
  /** That a worker may use. */
  threads: z.int().positive(),
});
export type ProbedMachine = z.infer<typeof probedMachine>;

/** `<data folder>/providers.json`: a cache, taken again when the machine is another or on request. */
export const providersFile = z.strictObject({
  schema: z.literal("train-at-home/providers/v1"),
  machine: probedMachine,
  at: z.int().nonnegative(),
  results: z.array(providerResult).max(PROVIDERS.length),
});
export type ProvidersFile = z.infer<typeof providersFile>;

/** The decision over results, in words for a person. */
export const providerChoice = z.strictObject({
  provider: executionProvider,
  /** One sentence: what is used and why. */
  text: z.string(),
  /** Every other provider, with the reason in one sentence. */
  aside: z.array(z.strictObject({ provider: executionProvider, text: z.string() })),
});
export type ProviderChoice = z.infer<typeof providerChoice>;

/** What the local API tells. */
export const providersReport = z.strictObject({
  /** `off`: this daemon was started without the test. */
  phase: z.enum(["off", "waiting", "testing", "tested"]),
  /** Used by this computer's worker from its next start on. */
  provider: executionProvider,
  at: z.int().nonnegative().nullable(),
  machine: probedMachine.nullable(),
  results: z.array(providerResult),
  choice: providerChoice.nullable(),
});
export type ProvidersReport = z.infer<typeof providersReport>;

/** Daemon → probe process, once. */
export const daemonToProbe = z.strictObject({
  type: z.literal("probe"),
  provider: executionProvider,
  threads: z.int().positive(),
});
export type DaemonToProbe = z.infer<typeof daemonToProbe>;

/** Probe process → daemon, once; then it ends. `bundled`: what this build of ONNX Runtime has. */
export const probeToDaemon = z.strictObject({
  type: z.literal("probed"),
  outcome: providerOutcome,
  bundled: z.array(z.string().max(64)).max(64),
});
export type ProbeToDaemon = z.infer<typeof probeToDaemon>;
