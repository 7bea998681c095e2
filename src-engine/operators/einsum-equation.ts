import { Failure } from "../../src-protocol/failure.ts";
import type { Shape } from "../shape.ts";

/** An einsum's equation, with a label for every axis. */
export interface Equation {
  /** Labels of each input's axes. */
  terms: readonly (readonly string[])[];
  result: readonly string[];
  sizes: ReadonlyMap<string, number>;
}

function refusal(equation: string, why: string): Failure {
  return new Failure("bad-node", `The einsum "${equation.slice(0, 100)}" cannot be read: ${why}.`);
}

/** What "..." stands for: axes counted from the end, as they broadcast. */
function ellipsis(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `…${count - i}`);
}

/** The letters of one term; `rank` says how many axes "..." stands for. */
function labelsOf(equation: string, term: string, rank: number): string[] {
  const [before = "", after, ...more] = term.split("...");
  if (more.length > 0 || !/^[A-Za-z]*$/.test(before + (after ?? "")))
    throw refusal(equation, `"${term}" is not a list of letters`);
  const open = rank - before.length - (after ?? "").length;
  if (after === undefined ? open !== 0 : open < 0)
    throw refusal(equation, `"${term}" does not name the axes of an input of rank ${rank}`);
  return [...before, ...(after === undefined ? [] : ellipsis(open)), ...(after ?? "")];
}

/** Without "->": what broadcasts, then every letter that occurs once, in alphabetical order. */
function implicitResult(terms: readonly (readonly string[])[], open: readonly string[]): string[] {
  const all = terms.flat();
  const once = [...new Set(all)].filter(
    (label) => !label.startsWith("…") && all.indexOf(label) === all.lastIndexOf(label),
  );
  return [...open, ...once.sort()];
}

/**
 * Reads `"bij,bjk->bik"` for inputs of these shapes.
 *
 * @throws Failure `bad-node` when it is no equation of these inputs, `bad-shape` when sizes differ
 */
export function parseEquation(given: string, shapes: readonly Shape[]): Equation {
  const equation = given.replaceAll(/\s/g, "");
  const [left = "", right, ...more] = equation.split("->");
  const parts = left.split(",");
  if (more.length > 0 || parts.length !== shapes.length)
    throw refusal(equation, `it has ${parts.length} terms for ${shapes.length} inputs`);
  const terms = parts.map((part, i) => labelsOf(equation, part, shapes[i]?.length ?? 0));
  const sizes = new Map<string, number>();
  for (const [i, labels] of terms.entries()) {
    for (const [axis, label] of labels.entries()) {
      const [size = 1, known = 1] = [shapes[i]?.[axis], sizes.get(label)];
      if (size !== known && size !== 1 && known !== 1)
        throw new Failure(
          "bad-shape",
          `In the einsum "${equation.slice(0, 100)}" an axis has the sizes ${known} and ${size}.`,
        );
      sizes.set(label, size === 1 ? known : size);
    }
  }
  const open = ellipsis(
    Math.max(0, ...terms.map((labels) => labels.filter((label) => label.startsWith("…")).length)),
  );
  const result =
    right === undefined
      ? implicitResult(terms, open)
      : labelsOf(
          equation,
          right,
          right.replace("...", "").length + (right.includes("...") ? open.length : 0),
        );
  if (new Set(result).size !== result.length || result.some((label) => !sizes.has(label)))
    throw refusal(equation, "its result names an axis twice, or one that no input has");
  return { terms, result, sizes };
}
