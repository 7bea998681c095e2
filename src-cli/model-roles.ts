import { readsOf } from "../src-engine/import/branches.ts";
import { decodeModel, neededNodes } from "../src-engine/import/model-bytes.ts";
import { printable } from "../src-engine/printable.ts";
import type { ValueInfoProto } from "../src-engine/onnx_pb.js";
import { Failure } from "../src-protocol/failure.ts";
import type { OnnxSpec } from "../src-protocol/model.ts";

/** What a person may say about a model file; null or empty: what the file says, or what is usual. */
export interface RoleOptions {
  readonly tokens: string | null;
  readonly scores: string | null;
  readonly fixed: Readonly<Record<string, number>>;
  readonly sizes: Readonly<Record<string, number>>;
  readonly batch: number | null;
  readonly sequence: number | null;
}

export interface Roles extends Pick<OnnxSpec, "tokens" | "scores" | "fixed" | "sizes"> {
  readonly batch: number;
  readonly sequence: number;
  /** Which of the two the file leaves open, and nothing was said of. */
  readonly open: { readonly batch: boolean; readonly sequence: boolean };
}

/** Where neither the file nor a person says it. */
const USUAL = { batch: 4, sequence: 128 };

/** ONNX's numbers of the whole-number types. */
const WHOLE = new Set([2, 3, 4, 5, 6, 7, 12, 13]);
const BOOLEAN = 9;

const TOKENS_NAME = /^(input_?ids|token_?ids|tokens|ids|idx|input)$/i;
const SCORES_NAME = /^(logits|lm_logits|scores|prediction_scores)$/i;

interface Dimension {
  /** By which `sizes` gives its size; null: the file says it. */
  readonly name: string | null;
  readonly size: number;
}

interface Input {
  readonly name: string;
  readonly type: number;
  readonly dimensions: readonly Dimension[];
}

/**
 * What each input and output of a language model's file is for: which takes the tokens, which gives
 * the scores, which are constant in training, and how large each open dimension is.
 *
 * @throws Failure `which-tokens`, `which-scores`, `model-input`, `bad-size`, and those of `decodeModel`
 */
export function rolesOf(file: Uint8Array, options: RoleOptions): Roles {
  const { graph } = decodeModel(file);
  const scores = scoresOf(
    graph.output.map(({ name }) => name),
    options.scores,
  );
  // What a loop's body reads from around it, too.
  const read = new Set(neededNodes(graph, [scores]).flatMap((node) => readsOf(node)));
  const stored = new Set(graph.initializer.map(({ name }) => name));
  const inputs = graph.input.filter(({ name }) => read.has(name) && !stored.has(name)).map(inputOf);
  const tokens = tokensOf(inputs, options);
  const others = inputs.filter((input) => input !== tokens);
  refuseUnknown(
    "--fixed",
    Object.keys(options.fixed),
    others.map(({ name }) => name),
  );
  const fixed = Object.fromEntries(
    others.map((input) => [input.name, own(options.fixed, input.name) ?? constantFor(input)]),
  );
  return { tokens: tokens.name, scores, fixed, ...sizesOf(tokens, others, options) };
}

function inputOf({ name, type }: ValueInfoProto): Input {
  const tensor = type?.value.case === "tensorType" ? type.value.value : null;
  const dimensions = (tensor?.shape?.dim ?? []).map(({ value }, axis) => {
    if (value.case === "dimValue" && value.value > 0n) return { name: null, size: Number(value.value) };
    const given = value.case === "dimParam" && value.value !== "" ? value.value : `${name}[${axis}]`;
    return { name: given, size: 0 };
  });
  return { name, type: tensor?.elemType ?? 0, dimensions };
}

function scoresOf(outputs: readonly string[], given: string | null): string {
  const named = outputs.filter((name) => SCORES_NAME.test(name));
  const [only, second] = given === null ? (named.length > 0 ? named : outputs) : [given];
  if (only !== undefined && second === undefined && outputs.includes(only)) return only;
  const why =
    given === null
      ? "The model has several outputs, and it is not clear which one holds the scores of the next token"
      : `The model has no output "${printable(given)}"`;
  throw new Failure("which-scores", `${why}. Say it with --scores NAME: ${listed(outputs)}.`.slice(0, 2000));
}

function tokensOf(inputs: readonly Input[], { tokens: given, fixed }: RoleOptions): Input {
  const isTable = ({ type, dimensions }: Input): boolean => WHOLE.has(type) && dimensions.length === 2;
  const tables = inputs.filter(isTable);
  const free = tables.filter(({ name }) => !Object.hasOwn(fixed, name));
  const named = free.filter(({ name }) => TOKENS_NAME.test(name));
  const plain = free.filter(({ name }) => usualRole(name) === null);
  const candidates =
    given === null ? (named.length > 0 ? named : plain) : tables.filter(({ name }) => name === given);
  const [only, second] = candidates;
  if (only !== undefined && second === undefined) return only;
  if (tables.length === 0)
    throw new Failure(
      "which-tokens",
      `The model has no input of token numbers, which would be whole numbers of the shape [batch, sequence]. ` +
        `Its inputs are ${described(inputs)}. Only language models can be trained here.`.slice(0, 1900),
    );
  const why =
    given === null
      ? "It is not clear which input takes the token numbers"
      : `The model has no input "${printable(given)}" that takes token numbers`;
  throw new Failure(
    "which-tokens",
    `${why}. Say it with --tokens NAME: ${described(tables)}.`.slice(0, 2000),
  );
}

type UsualRole = "mask" | "types" | "positions" | "past";

/** By the names that exporters give. */
function usualRole(name: string): UsualRole | null {
  if (/mask/i.test(name)) return "mask";
  if (/token_?type|segment/i.test(name)) return "types";
  if (/position/i.test(name)) return "positions";
  if (/past|cache|key_?values/i.test(name)) return "past";
  return null;
}

/** The axis of a cache, [batch, heads, places, size] or alike, that its places lie along; null: the file fixes it. */
function pastAxis(dimensions: readonly Dimension[]): number | null {
  const open = dimensions.flatMap(({ name }, axis) => (name === null || axis === 0 ? [] : [{ name, axis }]));
  const named = open.find(({ name }) => /past|cache|seq|len/i.test(name));
  return named?.axis ?? open[0]?.axis ?? null;
}

/** What an input holds all through training. */
function constantFor({ name, type, dimensions }: Input): number | "positions" {
  const shown = printable(name);
  const role = usualRole(name);
  if (role === "mask" && (WHOLE.has(type) || type === BOOLEAN)) return 1;
  if (role === "types" && WHOLE.has(type)) return 0;
  if (role === "positions" && WHOLE.has(type)) return "positions";
  // A cache of what came before: nothing came before.
  if (role === "past" && pastAxis(dimensions) !== null) return 0;
  if (role === "past")
    throw new Failure(
      "model-input",
      `The input "${shown}" takes what was computed for earlier tokens, and the file fixes for how many. Training has nothing there: export the model with that dimension open, or without a cache (use_cache=False).`,
    );
  throw new Failure(
    "model-input",
    `The model has another input, "${shown}", and training feeds tokens only. Say which number it holds with --fixed ${shown}=NUMBER, or export the model without it.`,
  );
}

function sizesOf(
  tokens: Input,
  others: readonly Input[],
  options: RoleOptions,
): Pick<Roles, "sizes" | "batch" | "sequence" | "open"> {
  const batch = sizeOf(tokens, 0, "batch", options);
  const sequence = sizeOf(tokens, 1, "sequence", options);
  const sizes = new Map<string, number>();
  for (const input of [tokens, ...others]) {
    for (const [axis, { name }] of input.dimensions.entries()) {
      if (name === null || sizes.has(name)) continue;
      const isPast = usualRole(input.name) === "past";
      const usual = isPast
        ? axis === 0
          ? batch
          : axis === pastAxis(input.dimensions)
            ? 0
            : undefined
        : input.dimensions.length === 2
          ? [batch, sequence][axis]
          : undefined;
      const size = own(options.sizes, name) ?? usual;
      if (size === undefined)
        throw new Failure(
          "bad-size",
          `The input "${printable(input.name)}" leaves its dimension "${printable(name)}" open. Say its size with --size ${printable(name)}=N.`,
        );
      sizes.set(name, size);
    }
  }
  refuseUnknown("--size", Object.keys(options.sizes), [...sizes.keys()]);
  const isOpen = (axis: 0 | 1, said: number | null): boolean => {
    const name = tokens.dimensions[axis]?.name ?? null;
    return name !== null && said === null && own(options.sizes, name) === undefined;
  };
  const open = { batch: isOpen(0, options.batch), sequence: isOpen(1, options.sequence) };
  return { sizes: Object.fromEntries(sizes), batch, sequence, open };
}

/** Of the tokens: as the file fixes it, else as it is given, in either of two ways. */
function sizeOf(tokens: Input, axis: 0 | 1, option: "batch" | "sequence", options: RoleOptions): number {
  const { name, size } = tokens.dimensions[axis] ?? { name: null, size: 0 };
  const said = options[option];
  if (name === null) {
    if (said === null || said === size) return size;
    throw new Failure(
      "bad-size",
      `The model takes ${size} ${option === "batch" ? "sequences at a time" : "tokens a sequence"}, because its file fixes that; --${option} ${said} does not fit. Leave the option out, or export the model with that dimension open.`,
    );
  }
  const sized = own(options.sizes, name);
  if (said !== null && sized !== undefined && said !== sized)
    throw new Failure(
      "bad-size",
      `--${option} ${said} and --size ${printable(name)}=${sized} contradict each other. Give one of them.`,
    );
  return said ?? sized ?? USUAL[option];
}

/** Names come from a file: "constructor" is one like any other. */
function own(record: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function refuseUnknown(option: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const there =
    known.length === 0 ? "There is nothing to be said with it." : `It is one of ${listed(known)}.`;
  throw new Failure(
    "bad-size",
    `${option} names "${printable(unknown)}", which this model does not have open. ${there}`.slice(0, 2000),
  );
}

function described(inputs: readonly Input[]): string {
  const shape = ({ dimensions }: Input): string =>
    dimensions.map(({ name, size }) => (name === null ? String(size) : printable(name))).join(", ");
  return inputs.map((input) => `${printable(input.name)} [${shape(input)}]`).join(", ");
}

function listed(names: readonly string[]): string {
  return names.map(printable).join(", ");
}

/** What the other inputs hold, for a person. */
export function fixedNotes({ fixed, sizes }: Pick<Roles, "fixed" | "sizes">): string[] {
  const names = Object.keys(fixed);
  const past = names.filter((name) => usualRole(name) === "past");
  const noted = names.flatMap((name) => {
    if (fixed[name] === "positions")
      return [`The input "${printable(name)}" is filled with 0, 1, 2, … along the sequence.`];
    if (past.includes(name)) return [];
    return [`The input "${printable(name)}" is filled with ${fixed[name]}.`];
  });
  const [first] = past;
  if (first === undefined || !Object.values(sizes).includes(0)) return noted;
  const more = past.length > 1 ? ` and ${past.length - 1} more like it` : "";
  return [
    ...noted,
    `The input "${printable(first)}"${more}, a cache of earlier tokens, is empty: nothing came before.`,
  ];
}
