import { create } from "@bufbuild/protobuf";
import { Failure } from "../../src-protocol/failure.ts";
import {
  type AttributeProto,
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  type TensorProto,
} from "../onnx_pb.js";
import { asElement } from "./known.ts";

type Value =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "numbers"; readonly value: readonly number[] }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "texts"; readonly value: readonly string[] }
  | { readonly kind: "tensor"; readonly value: TensorProto }
  | { readonly kind: "graph" };

/** The attributes of one node of a file. */
export class NodeAttributes {
  readonly #node: string;
  readonly #values: ReadonlyMap<string, Value>;

  constructor(node: string, attributes: readonly AttributeProto[]) {
    this.#node = node;
    this.#values = new Map(attributes.map((each) => [each.name, this.#valueOf(each)]));
  }

  /** Whole numbers, lists of them and texts, as a node would have them. */
  static of(values: Readonly<Record<string, number | readonly number[] | string>>): NodeAttributes {
    const attributes = Object.entries(values).map(([name, value]) => {
      if (typeof value === "number") return { name, type: Kind.INT, i: BigInt(value) };
      if (typeof value === "string") return { name, type: Kind.STRING, s: new TextEncoder().encode(value) };
      return { name, type: Kind.INTS, ints: value.map(BigInt) };
    });
    return new NodeAttributes(
      "",
      attributes.map((each) => create(AttributeProtoSchema, each)),
    );
  }

  get names(): readonly string[] {
    return [...this.#values.keys()];
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  number(name: string, otherwise: number): number {
    const found = this.#values.get(name);
    if (!found) return otherwise;
    return found.kind === "number" ? found.value : this.#wrong(name, "a number");
  }

  numbers(name: string): readonly number[] | undefined {
    const found = this.#values.get(name);
    if (!found) return undefined;
    return found.kind === "numbers" ? found.value : this.#wrong(name, "a list of numbers");
  }

  text(name: string, otherwise: string): string {
    const found = this.#values.get(name);
    if (!found) return otherwise;
    return found.kind === "text" ? found.value : this.#wrong(name, "a text");
  }

  texts(name: string): readonly string[] | undefined {
    const found = this.#values.get(name);
    if (!found) return undefined;
    return found.kind === "texts" ? found.value : this.#wrong(name, "a list of texts");
  }

  tensor(name: string): TensorProto | undefined {
    const found = this.#values.get(name);
    if (!found) return undefined;
    return found.kind === "tensor" ? found.value : this.#wrong(name, "a tensor");
  }

  #valueOf(attribute: AttributeProto): Value {
    switch (attribute.type) {
      case Kind.INT:
        return { kind: "number", value: asElement("int64", Number(attribute.i)) };
      case Kind.FLOAT:
        return { kind: "number", value: attribute.f };
      case Kind.INTS:
        return { kind: "numbers", value: attribute.ints.map((each) => asElement("int64", Number(each))) };
      case Kind.FLOATS:
        return { kind: "numbers", value: attribute.floats };
      case Kind.STRING:
        return { kind: "text", value: new TextDecoder().decode(attribute.s) };
      case Kind.STRINGS:
        return { kind: "texts", value: attribute.strings.map((each) => new TextDecoder().decode(each)) };
      case Kind.TENSOR:
        return attribute.t ? { kind: "tensor", value: attribute.t } : { kind: "graph" };
      default:
        return { kind: "graph" };
    }
  }

  #wrong(name: string, expected: string): never {
    throw new Failure(
      "bad-model-file",
      `The attribute "${name}" of node ${this.#node} is not ${expected}. The file is damaged, or of another ONNX version.`,
    );
  }
}
