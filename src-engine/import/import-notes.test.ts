import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { NodeProtoSchema } from "../onnx_pb.js";
import { nodeNotes } from "./import-notes.ts";

const notesOf = (node: MessageInitShape<typeof NodeProtoSchema>): string[] =>
  nodeNotes([create(NodeProtoSchema, { name: "this_one", ...node })]);
const mode = (i: bigint) => [{ name: "training_mode", type: 2, i }];

it.each<[string, MessageInitShape<typeof NodeProtoSchema>, RegExp]>([
  [
    "statistics of the batch, which leave the file's own stale",
    { opType: "BatchNormalization", attribute: mode(1n) },
    /statistics of each micro-batch .*this_one.*stay as they are.*model\.eval\(\)/,
  ],
  [
    "statistics that are fixed",
    { opType: "BatchNormalization", attribute: mode(0n) },
    /this_one.*the statistics that the file stores, as in inference: they do not change/,
  ],
  [
    "noise of an export in training mode",
    { opType: "Dropout", input: ["x", "ratio", "training"] },
    /without dropout \(this_one\).*In the written file it stays/,
  ],
])("a note says of a node what trains otherwise than it looks: %s", (_, node, note) => {
  expect(notesOf(node)).toEqual([expect.stringMatching(note)]);
});

it("nothing is said of what is as it looks", () => {
  for (const opType of ["MatMul", "Dropout", "LayerNormalization"])
    expect(notesOf({ opType, input: ["x"] })).toEqual([]);
});
