import type { GraphProto, NodeProto, TensorProto } from "../onnx_pb.js";
import { nodeName } from "./model-bytes.ts";
import { operandsOf, type Signature, signatureOf } from "./signature.ts";

/**
 * Whose numbers a stored tensor holds. Exporters store tensors that are equal once, and one
 * parameter in several forms; training needs the parameters that the model had. Everything here
 * follows from the file alone, so that whoever reads it finds the same names.
 */
export class Ownership {
  readonly signature: Signature | null;
  /** Of each value, the nodes that read it. */
  readonly #readers = new Map<string, NodeProto[]>();
  /** Of each value, the node that computes it. */
  readonly #makers = new Map<string, NodeProto>();
  readonly #stored: ReadonlySet<string>;
  readonly #placeholders = new Map<string, string>();
  readonly #mayBeMerged: (name: string) => boolean;
  readonly #owners = new Map<string, ReadonlyMap<NodeProto, string>>();

  /** `mayBeMerged`: whether a stored tensor could be several that were equal, by its numbers. */
  constructor(
    graph: GraphProto,
    nodes: readonly NodeProto[],
    tensors: readonly TensorProto[],
    mayBeMerged: (name: string) => boolean,
  ) {
    this.signature = signatureOf(graph);
    this.#mayBeMerged = mayBeMerged;
    this.#stored = new Set(tensors.map(({ name }) => name));
    for (const node of nodes) {
      for (const name of new Set(node.input)) {
        const readers = this.#readers.get(name);
        if (readers === undefined) this.#readers.set(name, [node]);
        else readers.push(node);
      }
      for (const name of node.output) if (name !== "") this.#makers.set(name, node);
    }
    for (const [placeholder, target] of this.signature?.targets ?? [])
      this.#placeholders.set(target, placeholder);
  }

  /** The nodes that read a stored tensor, or another value. */
  readersOf(name: string): readonly NodeProto[] {
    return this.#readers.get(name) ?? [];
  }

  /**
   * Layers that are alike but for their numbers (`/layers.0/linear/MatMul`, `/layers.1/linear/MatMul`) and read one
   * stored tensor, as it is or in another form: one layer that is used again has one place, so they were several.
   */
  alikeReadersOf(name: string): readonly NodeProto[] {
    const groups = Map.groupBy(this.#lastReaders(name), (node) =>
      [node.opType, ...placeOf(node).split(/\d+/)].join(" "),
    );
    for (const group of groups.values()) {
      const places = new Map(group.map((node) => [placeOf(node), node]));
      if (places.size > 1) return [...places.values()];
    }
    return [];
  }

  #lastReaders(name: string, depth = 0): readonly NodeProto[] {
    return this.readersOf(name).flatMap((node) =>
      FORMS.has(node.opType) && depth < DEPTH ? this.#lastReaders(node.output[0] ?? "", depth + 1) : [node],
    );
  }

  /** The name of the parameter that `reader` means by the stored tensor `name`: often the same name. */
  owner(name: string, reader: NodeProto): string {
    const known = this.#owners.get(name) ?? this.#share(name);
    this.#owners.set(name, known);
    return known.get(reader) ?? name;
  }

  /** All parameters that a stored tensor holds the numbers of. */
  ownersOf(name: string): ReadonlySet<string> {
    return new Set(this.readersOf(name).map((reader) => this.owner(name, reader)));
  }

  /** The module's parameters that went into a stored tensor, as far as the file says it. */
  parametersIn(name: string): readonly string[] {
    const { kinds, stored, foldedFrom } = this.signature ?? NOTHING_SAID;
    if (stored.get(name) === "PARAMETER") return [name];
    return (foldedFrom.get(name) ?? []).filter((each) => kinds.get(each) === "PARAMETER");
  }

  #share(name: string): ReadonlyMap<NodeProto, string> {
    const readers = this.readersOf(name);
    if (readers.length < 2) return new Map();
    const said = this.signature && this.#asSaid(name, readers);
    return said ?? (this.#mayBeMerged(name) ? this.#byPlace(name, readers) : new Map());
  }

  /** By the operands that each reader's operation had before tensors were merged; null: not said. */
  #asSaid(name: string, readers: readonly NodeProto[]): ReadonlyMap<NodeProto, string> | null {
    const own = new Set([name, ...this.#placeholdersOf(name)]);
    const owners = new Map<NodeProto, string>();
    for (const reader of readers) {
      const operands = operandsOf(reader);
      if (operands.length === 0) return null;
      if (operands.some((each) => own.has(each))) continue;
      const other = this.#otherParameter(name, operands, reader) ?? this.#otherFold(name, operands, reader);
      if (other !== undefined) owners.set(reader, other);
    }
    return owners;
  }

  #placeholdersOf(name: string): string[] {
    const from = this.signature?.stored.has(name) ? [name] : this.parametersIn(name);
    return from.flatMap((each) => this.#placeholders.get(each) ?? []);
  }

  /** Among a reader's operands, the parameter that was merged into `name`: it is no tensor of its own. */
  #otherParameter(name: string, operands: readonly string[], reader: NodeProto): string | undefined {
    const targets = operands.flatMap((each) => this.signature?.targets.get(each) ?? []);
    const role = lastPart(this.parametersIn(name)[0] ?? name);
    const lost = targets.filter((each) => lastPart(each) === role && !this.#stored.has(each));
    return lost.length > 1 ? `${name}@${nodeName(reader)}` : lost[0];
  }

  /** A folded value of another name, of numbers that are all alike: norms of `1 + weight`. */
  #otherFold(name: string, operands: readonly string[], reader: NodeProto): string | undefined {
    if (!this.#mayBeMerged(name)) return undefined;
    const unmade = operands.filter((each) => !this.#makers.has(each));
    return `${name}@${unmade.length === 1 ? unmade[0] : nodeName(reader)}`;
  }

  /**
   * Where the file says nothing: vectors of equal numbers are the norm weights and biases of a whole
   * model, all 1 or 0 at first. Each reader has its own, but for those that follow the same matrix: a
   * loop that was written out reads one bias at each of its steps.
   */
  #byPlace(name: string, readers: readonly NodeProto[]): ReadonlyMap<NodeProto, string> {
    const owners = new Map<NodeProto, string>();
    const places = new Map<string, string>();
    for (const reader of readers) {
      // An exporter that merges with Identity keeps the parameter's own name as its output's.
      if (reader.opType === "Identity") {
        owners.set(reader, reader.output[0] ?? name);
        continue;
      }
      const place = this.#matrixBefore(name, reader) ?? `node ${nodeName(reader)}`;
      const first = places.size === 0 ? name : `${name}@${nodeName(reader)}`;
      const owner = places.get(place) ?? first;
      places.set(place, owner);
      owners.set(reader, owner);
    }
    return owners;
  }

  /** The stored matrix whose product `reader` adds the vector `name` to, or multiplies itself. */
  #matrixBefore(name: string, reader: NodeProto): string | undefined {
    if (PRODUCTS.has(reader.opType))
      return reader.input.slice(1).find((each) => each !== name && this.#stored.has(each));
    for (const input of reader.input) {
      if (input === name) continue;
      const maker = this.#makers.get(input);
      if (maker === undefined || !PRODUCTS.has(maker.opType)) continue;
      return maker.input.find((each) => this.#stored.has(each));
    }
    return undefined;
  }
}

const PRODUCTS: ReadonlySet<string> = new Set(["MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"]);
/** What changes the form of a tensor and not its numbers. */
const FORMS: ReadonlySet<string> = new Set(["Identity", "Transpose", "Cast", "Reshape"]);
const DEPTH = 4;
const NOTHING_SAID: Signature = {
  kinds: new Map(),
  targets: new Map(),
  stored: new Map(),
  foldedFrom: new Map(),
};

/** The module that an exporter's name of a node begins with, whichever of its calls (`/cell_2`): empty, it does not say. */
function placeOf({ name }: NodeProto): string {
  return name.slice(0, Math.max(0, name.lastIndexOf("/"))).replaceAll(/_\d+(?=\/|$)/g, "");
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}
