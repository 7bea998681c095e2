import type { Shape } from "../shape.ts";
import type { Signature } from "./signature.ts";
import type { TableKind } from "./tables.ts";

/** Whether a stored tensor trains, why, and whether that is known or guessed. */
export interface Verdict {
  readonly trains: boolean;
  readonly why: Why;
  readonly sure: boolean;
  /** The module's own names for what it holds, where the exporter gave it another; patterns know both. */
  readonly from?: readonly string[];
}

/** Reasons, with what a person reads. */
export const WHY = {
  asked: "as you asked",
  parameter: "the file lists it as a parameter",
  "folded-parameter": "computed from a parameter when the model was exported",
  buffer: "the file lists it as a buffer",
  constant: "the file lists it as a constant",
  "folded-constant": "computed from constants when the model was exported",
  statistics: "statistics or sizes that an operator only reads",
  state: "the zeros that a loop or a recurrent layer begins with",
  mask: "a mask: 0, or so negative that it hides",
  "non-finite": "it holds numbers that are not finite",
  positions: "a table of positions: waves or straight lines",
  frequencies: "frequencies or slopes: powers of one number",
  name: "by its name",
  weight: "a stored tensor that the computation reads",
} as const;
export type Why = keyof typeof WHY;

/** What is known about a stored float tensor. */
export interface StoredFacts {
  readonly name: string;
  readonly shape: Shape;
  readonly size: number;
  readonly signature: Signature | null;
  /** The module's parameters that went into it. */
  readonly parametersIn: readonly string[];
  /** Operators read it as what never trains. */
  readonly isStatistics: boolean;
  /** Operators read it as what they begin with. */
  readonly isState: boolean;
  isZero(): boolean;
  /** Reads its numbers, so it is asked last. */
  table(): TableKind | null;
}

/** Names of what training frameworks store beside parameters. */
const STATISTICS_NAME = /(^|[._/])(running_(mean|var)|moving_(mean|variance))$/i;
const TABLE_NAME =
  /(^|[._/])(inv_freq|freqs_cis|cos|sin|(cos|sin)_cached?|rotary\w*|triu|tril|position_ids)$/i;

/**
 * Which stored tensors train: by what the file says, else by their use and their numbers; by name
 * alone only where numbers cannot tell (statistics), and then it is said to be a guess.
 */
export function verdictOf(facts: StoredFacts): Verdict {
  const said = asSaid(facts);
  if (facts.isStatistics) return no("statistics", true);
  const mayTrain = said?.trains !== false && (facts.size > 1 || said?.why === "parameter");
  if (!mayTrain) return said ?? no("constant", true);
  // A parameter stays one whatever its numbers are, as long as it can be stored.
  if (said !== null) return facts.table() === "non-finite" ? no("non-finite", true) : said;
  if (STATISTICS_NAME.test(facts.name)) return no("name", false);
  if (facts.isState && facts.isZero()) return no("state", false);
  const table = facts.table();
  if (table !== null) return no(table, table === "mask" || table === "non-finite");
  if (TABLE_NAME.test(facts.name)) return no("name", false);
  return { trains: true, why: "weight", sure: false };
}

function no(why: Why, sure: boolean): Verdict {
  return { trains: false, why, sure };
}

/** null: the file says nothing about this tensor. */
function asSaid({ name, signature, parametersIn }: StoredFacts): Verdict | null {
  if (signature === null) return null;
  // Keras on PyTorch lists its parameters as constants, so a list without parameters says nothing.
  const listsParameters = [...signature.kinds.values()].includes("PARAMETER");
  const kind = signature.stored.get(name) ?? signature.kinds.get(name);
  if (kind === "PARAMETER") return { trains: true, why: "parameter", sure: true };
  if (kind === "BUFFER") return no("buffer", true);
  if (parametersIn.length > 0) return { trains: true, why: "folded-parameter", sure: true };
  const folded = signature.foldedFrom.get(name);
  const fromConstants = folded?.some((each) => signature.kinds.get(each) === "CONSTANT_TENSOR") === true;
  if (folded !== undefined && (listsParameters || !fromConstants)) return no("folded-constant", true);
  if (listsParameters && (kind === "CONSTANT_TENSOR" || signature.stored.size > 0))
    return no("constant", true);
  return null;
}
