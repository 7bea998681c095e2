import type { NodeProto } from "../onnx_pb.js";
import { nodePlace } from "./model-bytes.ts";

const MOST_NAMED = 3;

/** What a person should know of how a file's nodes are trained. `nodes`: those that are used. */
export function nodeNotes(nodes: readonly NodeProto[]): string[] {
  return [batchStatistics(nodes), droppedOut(nodes), alreadyNormal(nodes)].flat();
}

const number = ({ attribute }: NodeProto, name: string): number =>
  Number(attribute.find((each) => each.name === name)?.i ?? 0n);

function batchStatistics(nodes: readonly NodeProto[]): string[] {
  const found = nodes.filter(
    (node) => node.opType === "BatchNormalization" && number(node, "training_mode") === 1,
  );
  if (found.length === 0) return [];
  return [
    `The model normalises by the statistics of each micro-batch (BatchNormalization in training mode: ${listed(found)}). ` +
      "The running statistics in the file stay as they are, and will not fit the trained weights: before the written model is used, let it see data in its framework once more, or export it with model.eval(), which trains with fixed statistics.",
  ];
}

/** Noise that is left out: since operator set 12 its third input, before that its outputs say that it drops. */
function droppedOut(nodes: readonly NodeProto[]): string[] {
  const found = nodes.filter(({ opType, input }) => opType === "Dropout" && (input[2] ?? "") !== "");
  if (found.length === 0) return [];
  return [`It trains without dropout (${listed(found)}): nothing is dropped. In the written file it stays.`];
}

/** Of inference: what is fixed there does not follow. */
function alreadyNormal(nodes: readonly NodeProto[]): string[] {
  const found = nodes.filter(
    (node) => node.opType === "BatchNormalization" && number(node, "training_mode") !== 1,
  );
  if (found.length === 0) return [];
  return [
    `BatchNormalization (${listed(found)}) trains with the statistics that the file stores, as in inference: they do not change.`,
  ];
}

function listed(nodes: readonly NodeProto[]): string {
  const more = nodes.length - MOST_NAMED;
  return nodes.slice(0, MOST_NAMED).map(nodePlace).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
