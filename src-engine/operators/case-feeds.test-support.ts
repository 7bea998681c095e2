import type { GraphBuilder } from "../graph-builder.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Domain, Input } from "./cases.test-support.ts";
import type { Feeds } from "./differences.test-support.ts";

/** The inputs of a case in a graph, named `x0`, `x1`, … */
export function tensorsOf(graph: GraphBuilder, inputs: readonly Input[]): Tensor[] {
  return inputs.map((input, i) => {
    if (!("constant" in input)) return graph.input(`x${i}`, input.shape);
    const type = input.constant === "float" ? graph.float : input.constant;
    if (input.isFed) return graph.input(`x${i}`, input.shape, type);
    return graph.constant(type, input.shape, input.values);
  });
}

/** Random values for every input of the graph, in the domain that the case says. */
export function feedsFor(graph: GraphBuilder, inputs: readonly Input[], random: () => number): Feeds {
  // Multiples of the golden ratio, modulo 1, keep away from each other.
  let turn = random();
  const draw = (domain: Domain): number => {
    turn = (turn + 0.618_033_988_749_895) % 1;
    const value = 4 * random() - 2;
    if (domain === "any") return value;
    if (domain === "distinct") return 4 * turn - 2;
    if (domain === "positive") return 0.3 + Math.abs(value);
    if (domain === "not zero") return value + Math.sign(value) * 0.3;
    return domain[0] + ((value + 2) / 4) * (domain[1] - domain[0]);
  };
  return Object.fromEntries(
    [...graph.inputs].map(([{ shape, type }, name]) => {
      const input = name.startsWith("x") ? inputs[Number(name.slice(1))] : undefined;
      if (input && "constant" in input) return [name, { shape, data: [...input.values], type }];
      const domain = input && "domain" in input ? input.domain : "any";
      const data = Array.from({ length: sizeOf(shape) }, () => draw(domain));
      return [name, { shape, data, type }];
    }),
  );
}
