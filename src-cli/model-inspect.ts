import { type CutPoint } from "../src-engine/cut-frontier.ts";
import { cutGraph, pointsOf } from "../src-engine/cut.ts";
import { bytesOf } from "../src-engine/cut-cost.ts";
import {
  type FreeDimension,
  freeDimensions,
  type ImportedModel,
  importModel,
  type StoredRow,
} from "../src-engine/import/import-model.ts";
import { softmaxNotes } from "../src-engine/import/loss.ts";
import { WHY } from "../src-engine/import/trained.ts";
import { printable } from "../src-engine/printable.ts";
import { DEFAULT_NODE, type Plan, planOf } from "../src-engine/plan.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure, type FailureBody } from "../src-protocol/failure.ts";
import { number, scaled, size } from "../src-protocol/amounts.ts";
import type { Cuttable } from "../src-engine/section.ts";
import { inspectFolder } from "./folders/folder-inspect.ts";
import { isModelFolder } from "./folders/model-folder.ts";
import { openModel } from "./model-folder.ts";
import { fixedNotes, rolesOf } from "./model-roles.ts";
import type { Roles } from "./model-roles.ts";
import { lookAt } from "./model-sight.ts";
import { withPacked } from "./model-try.ts";

/** More computers than any plan here needs. */
const MOST_COMPUTERS = 1000;
/** Assumed where the file leaves a size open and nobody says it. */
const ASSUMED = { batch: 1, other: 128 };
/** Cut points that a person is shown; JSON has all. */
const SHOWN_POINTS = 12;
const SHOWN_TENSORS = 12;

export interface InspectOptions {
  /** null: as few as fit. */
  stages: number | null;
  sizes: Readonly<Record<string, number>>;
  /** null: all. */
  outputs?: readonly string[] | null;
  freeze?: readonly string[];
  train?: readonly string[];
}

interface Value {
  name: string;
  type: string;
  shape: readonly number[];
}

export interface Inspection {
  producer: string;
  /** Of a folder: null. */
  opset: number | null;
  /** What the model is stored as, for a person. */
  format: string;
  sizes: Readonly<Record<string, number>>;
  /** The names among `sizes` that were not given. */
  assumed: readonly string[];
  inputs: readonly Value[];
  outputs: readonly Value[];
  operators: Readonly<Record<string, number>>;
  parameters: readonly { name: string; shape: readonly number[]; size: number }[];
  parameterCount: number;
  tables: readonly string[];
  /** Every stored tensor of floats that is used. `train` goes by the same answer. */
  tensors: readonly StoredRow[];
  notes: readonly string[];
  cutPoints: readonly { node: string; shape: readonly number[]; bytes: number }[];
  computer: typeof DEFAULT_NODE;
  /** The best class that it can be trained in, and in words why not in `exact`. */
  arithmetic: { class: Arithmetic; text: string };
  /** null: it cannot be trained; `problem` says why. */
  plan: Plan | null;
  problem: FailureBody | null;
}

/** A model that was opened to be looked at. */
export interface InspectedModel extends Pick<
  Inspection,
  "format" | "producer" | "opset" | "sizes" | "assumed" | "operators" | "notes"
> {
  readonly model: Cuttable;
  readonly stored: readonly StoredRow[];
  /** What is found by running it, where that can be. */
  readonly look?: (plan: Plan) => Promise<readonly string[]>;
}

/** What `tah model inspect` finds out about an ONNX file or a folder. */
export async function inspectModel(path: string, options: InspectOptions): Promise<Inspection> {
  const { model, stored, look, ...found } = isModelFolder(path)
    ? inspectFolder(path, options)
    : inspectFile(path, options);
  const [plan, problem] = planned(model, options.stages);
  const looked = plan === null ? [] : ((await look?.(plan)) ?? []);
  return {
    ...found,
    notes: [...found.notes, ...looked],
    inputs: model.inputs.map(valueOf),
    outputs: model.outputs.map(valueOf),
    parameters: model.parameters.map(({ name, shape, size }) => ({ name, shape, size })),
    parameterCount: model.parameters.reduce((sum, { size }) => sum + size, 0),
    tables: (model.tables ?? []).map(({ name }) => name),
    tensors: stored,
    cutPoints: pointsOf(model).map(({ node, tensor }: CutPoint) => ({
      node,
      shape: tensor.shape,
      bytes: bytesOf(tensor),
    })),
    computer: DEFAULT_NODE,
    arithmetic: arithmeticOf(model),
    plan,
    problem,
  };
}

function inspectFile(path: string, options: InspectOptions): InspectedModel {
  const { sizes, outputs = null, freeze = [], train = [] } = options;
  const { bytes, readExternal } = openModel(path);
  const free = freeDimensions(bytes);
  const unknown = Object.keys(sizes).find((name) => !free.some((each) => each.name === name));
  if (unknown !== undefined) {
    throw new Failure(
      "bad-size",
      `The model leaves no dimension "${unknown}" open. ${free.length === 0 ? "All its sizes are fixed." : `It leaves open: ${free.map(({ name }) => name).join(", ")}.`}`,
    );
  }
  const given = { readExternal, freeze, train, ...(outputs === null ? {} : { outputs }) };
  const sizedBy = (roles: Roles | null): Record<string, number> =>
    Object.fromEntries(
      free.map((each) => [each.name, sizes[each.name] ?? roles?.sizes[each.name] ?? assumed(each)]),
    );
  const importedAs = (roles: Roles | null): ImportedModel =>
    importModel(bytes, { ...given, sizes: sizedBy(roles), fixed: roles?.fixed ?? {} });
  const roles = asLanguageModel(bytes, sizes, outputs);
  // With sizes that are assumed, positions may be more than the model has places for.
  const asLanguage = roles === null ? null : attempted(() => importedAs(roles));
  const language = asLanguage === null ? null : roles;
  const all = sizedBy(language);
  const model = asLanguage ?? assuming(all, sizes, () => importedAs(null));
  return {
    model,
    format: `ONNX operator set ${model.opset}`,
    producer: model.producer,
    opset: model.opset,
    sizes: all,
    assumed: Object.keys(all).filter((name) => !(name in sizes)),
    operators: model.operators,
    stored: model.stored,
    notes: [...model.notes, ...(language === null ? [] : languageNotes(model, language))],
    look: async (plan) => (language === null ? [] : await lookedAt(path, model, language, plan)),
  };
}

/** What `train` would say of its inputs and scores. */
function languageNotes({ graph, outputs }: ImportedModel, roles: Roles): string[] {
  const scores = outputs.find(({ name }) => name === roles.scores);
  return [...(scores === undefined ? [] : softmaxNotes(graph, scores)), ...fixedNotes(roles)];
}

/** What does not fit may be a size that nobody said. @throws Failure of `act` */
function assuming<Result>(
  all: Readonly<Record<string, number>>,
  given: Readonly<Record<string, number>>,
  act: () => Result,
): Result {
  const names = Object.keys(all).filter((name) => !(name in given));
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "bad-shape" || names.length === 0) throw error;
    const words = names.map((name) => `${printable(name)} ${all[name]}`).join(", ");
    throw new Failure(
      "bad-shape",
      `The model does not take the sizes that were assumed (${words}). Say others, as in --size ${printable(names.at(-1) ?? "")}=N. ${error.message}`.slice(
        0,
        2000,
      ),
      { cause: error },
    );
  }
}

/** null: it is refused. */
function attempted<Result>(act: () => Result): Result | null {
  try {
    return act();
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

/** What `train` would make of its inputs, with small sizes; null: it is no language model, or not for sure. */
function asLanguageModel(
  bytes: Uint8Array,
  sizes: Readonly<Record<string, number>>,
  outputs: readonly string[] | null,
): Roles | null {
  const scores = outputs?.length === 1 ? (outputs[0] ?? null) : null;
  const options = { tokens: null, scores, fixed: {}, sizes: {}, batch: null, sequence: null };
  try {
    const { open, tokens } = rolesOf(bytes, options);
    const own = (axis: number): number | undefined => {
      const free = freeDimensions(bytes).find((each) => each.input === tokens && each.axis === axis);
      return free && sizes[free.name];
    };
    const batch = open.batch ? (own(0) ?? ASSUMED.batch) : null;
    return rolesOf(bytes, { ...options, batch, sequence: open.sequence ? (own(1) ?? ASSUMED.other) : null });
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

/** Whether its scores see later tokens, found by running it; nothing where it cannot be run so. */
async function lookedAt(path: string, model: Cuttable, roles: Roles, plan: Plan): Promise<readonly string[]> {
  const scores = model.outputs.find(({ name }) => name === roles.scores)?.tensor.shape ?? [];
  const places = scores.slice(0, -1).reduce((product, size) => product * size, 1);
  if (scores.length < 2 || places !== roles.batch * roles.sequence) return [];
  const flops = plan.stages.reduce((sum, stage) => sum + stage.flops.forward, 0);
  const parameters = plan.stages.reduce((sum, { parameterCount }) => sum + parameterCount, 0);
  try {
    return await withPacked(path, async (file) => (await lookAt(file, roles, { flops, parameters })).notes);
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

function assumed({ name, axis }: FreeDimension): number {
  return axis === 0 || /batch/i.test(name) ? ASSUMED.batch : ASSUMED.other;
}

function planned(model: Cuttable, stages: number | null): [Plan | null, FailureBody | null] {
  try {
    const nodes = Array.from({ length: stages ?? MOST_COMPUTERS }, () => DEFAULT_NODE);
    const [first] = model.inputs;
    const shape = first?.tensor.shape ?? [];
    // Of token numbers every element is a token; of anything else, every example.
    const tokens = first?.tensor.type.startsWith("int") ? shape.reduce((a, b) => a * b, 1) : (shape[0] ?? 1);
    return [planOf(cutGraph(model, { stages, nodes }), tokens), null];
  } catch (error) {
    if (error instanceof Failure) return [null, error.body()];
    throw error;
  }
}

/** Whether its forward and gradients can be written in kernels that give the same bits everywhere. */
function arithmeticOf(model: Cuttable): Inspection["arithmetic"] {
  const anywhere = { ...DEFAULT_NODE, memoryBytes: Number.POSITIVE_INFINITY };
  try {
    const exact = { ...model, arithmetic: "exact" as const };
    // Forward too: the gradient of a function may be written without it.
    for (const stage of cutGraph(exact, { stages: 1, nodes: [anywhere] })) stage.train();
    return { class: "exact", text: "exact: the same bits on every computer that holds this class" };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const why = error.code === "not-exact" ? error.message : "It cannot be trained: see below.";
    return { class: "fast", text: `fast. ${why}` };
  }
}

function valueOf({ name, tensor: { type, shape } }: Cuttable["outputs"][number]): Value {
  return { name, type, shape };
}

/** The same for a person. */
export function inspectionText(found: Inspection, allTensors = false): string {
  const count = Object.values(found.operators).reduce((a, b) => a + b, 0);
  const operators = Object.entries(found.operators).sort(([, a], [, b]) => b - a);
  const lines = [
    `Made by:     ${found.producer || "unknown"}, ${found.format}`,
    ...found.inputs.map((value) => `Input:       ${valueText(value)}`),
    ...found.outputs.map((value) => `Output:      ${valueText(value)}`),
    `Parameters:  ${number(found.parameterCount)} in ${found.parameters.length} tensors`,
    `Operators:   ${count} nodes: ${operators.map(([op, times]) => `${op} ${times}`).join(", ")}`,
  ];
  if (found.assumed.length > 0) {
    const sizes = found.assumed.map((name) => `${name} ${found.sizes[name]}`).join(", ");
    lines.push(`Assumed:     ${sizes}. Other sizes: --size ${found.assumed[0]}=N`);
  }
  lines.push(...tensorLines(found.tensors, allTensors));
  for (const note of found.notes) lines.push(`Note:        ${note}`);
  lines.push(`Arithmetic:  ${found.arithmetic.text}`);
  lines.push(`Cut points:  ${found.cutPoints.length}`);
  for (const { node, shape, bytes } of found.cutPoints.slice(0, SHOWN_POINTS))
    lines.push(`             after ${node}: [${shape.join(", ")}], ${size(bytes)}`);
  if (found.cutPoints.length > SHOWN_POINTS)
    lines.push(`             and ${found.cutPoints.length - SHOWN_POINTS} more (--json has all)`);
  if (found.problem) lines.push(`Problem:     ${found.problem.message}`);
  return [...lines, ...(found.plan ? planLines(found.plan, found.computer) : [])].join("\n");
}

/** What does not train, for it is what people get wrong; with `all`, every tensor. */
function tensorLines(tensors: readonly StoredRow[], all: boolean): string[] {
  const shown = tensors.filter(({ trains, copy }) => all || !trains || copy !== null);
  const guessed = tensors.filter(({ sure, trains }) => trains && !sure).length;
  const lines = shown.slice(0, all ? shown.length : SHOWN_TENSORS).map((row) => {
    const { name, shape, trains, sure, from = [] } = row;
    return `             ${printable(name)}${from.length === 0 ? "" : ` (${from.map(printable).join(", ")})`} [${shape.join(", ")}] ${trains ? "trains" : "does not train"}: ${whyText(row)}${sure ? "" : " (a guess)"}`;
  });
  if (lines.length < shown.length)
    lines.push(`             and ${shown.length - lines.length} more (--tensors has all)`);
  const rest =
    guessed === 0
      ? "the file says which tensors are parameters"
      : `of ${guessed} the file does not say that they are parameters; change it with --freeze and --train`;
  return [`Stored:      ${tensors.length} tensors; ${rest}`, ...lines];
}

function whyText({ why, copy }: StoredRow): string {
  return copy === null ? WHY[why] : `as "${printable(copy.of)}", whose numbers it holds once more`;
}

function planLines(plan: Plan, computer: typeof DEFAULT_NODE): string[] {
  const rows = plan.stages.map(({ index, parameterCount, flops, memory, boundaryBytes }) => [
    String(index + 1),
    number(parameterCount),
    scaled(flops.forward, "FLOP"),
    scaled(flops.backward, "FLOP"),
    size(memory.full.peakBytes),
    size(boundaryBytes.out),
  ]);
  const table = [["stage", "parameters", "forward", "backward", "memory", "sends on"], ...rows];
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  );
  return [
    "",
    `Plan for ${plan.stages.length === 1 ? "one computer" : `${plan.stages.length} computers`} with ${size(computer.memoryBytes)} for training (of 8 GB), one micro-batch of the sizes above.`,
    "Weights, gradients and AdamW in float32 (20 bytes a parameter); memory includes the intermediate results of a micro-batch.",
    ...table.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("   ")),
    `All together send ${size(plan.bytesPerToken)} for one token or example, forward and back.`,
  ];
}

function valueText({ name, type, shape }: Value): string {
  return `${name} ${type} [${shape.join(", ")}]`;
}

/**
 * Sizes as they are typed: `batch=4`.
 *
 * @throws Failure `bad-size`
 */
export function parseSizes(words: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    words.map((word) => {
      const [, name, digits] = /^(.+)=(\d{1,9})$/.exec(word) ?? [];
      if (name !== undefined && Number(digits) > 0) return [name, Number(digits)];
      throw new Failure(
        "bad-size",
        `"${word}" is not a size. Write the dimension's name and a number, as in --size batch=4.`,
      );
    }),
  );
}
