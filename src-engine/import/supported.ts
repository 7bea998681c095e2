import { Failure } from "../../src-protocol/failure.ts";
import type { NodeProto } from "../onnx_pb.js";
import { MOST_LETTERS, nodesByOperator } from "../refusal-text.ts";
import { FOLDS } from "./fold.ts";
import { lowering } from "./lowering.ts";
import { nodePlace } from "./model-bytes.ts";
import { printable } from "../printable.ts";
import { isSequenceOperator } from "./sequence.ts";

/** What the walk itself answers, without a row in the table. */
const OF_THE_WALK: ReadonlySet<string> = new Set(["Shape", "Size", "If", "Loop", "Scan"]);

function isKnown({ opType, domain }: NodeProto): boolean {
  const isStandard = domain === "" || domain === "ai.onnx";
  return (
    isStandard &&
    (OF_THE_WALK.has(opType) ||
      isSequenceOperator(opType) ||
      Object.hasOwn(FOLDS, opType) ||
      lowering(opType) !== undefined)
  );
}

/**
 * All at once, so that a person sees everything that stands in the way: every operator without a
 * rule, with all its nodes and the module that each was exported from, as far as a message holds them.
 *
 * @throws Failure `unsupported-operator`
 */
export function refuseUnknownOperators(nodes: readonly NodeProto[]): void {
  const refused = Map.groupBy(
    nodes.filter((node) => !isKnown(node)),
    ({ domain, opType }) => printable(domain === "" || domain === "ai.onnx" ? opType : `${domain}.${opType}`),
  );
  if (refused.size === 0) return;
  const places = new Map([...refused].map(([op, its]) => [op, its.map(nodePlace)]));
  const isForeign = [...refused.keys()].some((op) => op.includes("."));
  throw new Failure(
    "unsupported-operator",
    `The engine has no rule for ${nodesByOperator(places)}. `.slice(0, MOST_LETTERS) +
      (isForeign
        ? "What stands before the point is a domain of its own, which only one runtime knows: export the model for plain ONNX. "
        : "") +
      "Leave that part out of the model, name an output that does not need it, or compute it with other operators, and export again.",
  );
}
