import type { GraphProto, NodeProto, StringStringEntryProto } from "../onnx_pb.js";

/**
 * What PyTorch's exporter (torch.export with onnxscript's optimiser) writes beside a graph. Seen in
 * files of PyTorch 2.15 with onnxscript 0.7.2; files of others have none of it.
 */
export interface Signature {
  /** What a name of the module (`blocks.0.qkv.weight`) is: the program's own list of its inputs. */
  readonly kinds: ReadonlyMap<string, SignatureKind>;
  /** The module's name by the placeholder that nodes speak of: `p_blocks_0_qkv_weight`. */
  readonly targets: ReadonlyMap<string, string>;
  /** By stored tensor: its kind, where it kept its name. */
  readonly stored: ReadonlyMap<string, SignatureKind>;
  /** By stored tensor that the optimiser computed: the names of all values that it computed it from. */
  readonly foldedFrom: ReadonlyMap<string, readonly string[]>;
}

export type SignatureKind = "PARAMETER" | "BUFFER" | "CONSTANT_TENSOR";

const SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature";
/** Of a value's metadata: what the module's input is that it holds. */
export const KIND = "pkg.torch.export.graph_signature.InputSpec.kind";
const FOLDED_FROM = "pkg.onnxscript.optimizer.folded_from";
/** Of a node's: the operation that it was written for, with its operands. */
export const FX_NODE = "pkg.torch.onnx.fx_node";

/** A file can hold anything: more letters than this are not looked at. */
const MOST_LETTERS = 16 * 2 ** 20;
const MOST_LETTERS_OF_A_NODE = 16_384;

/** null: the file says nothing about its parameters. */
export function signatureOf(graph: GraphProto): Signature | null {
  const text = valueOf(graph.metadataProps, SIGNATURE);
  if (text === "" || text.length > MOST_LETTERS) return null;
  const kinds = new Map<string, SignatureKind>();
  const targets = new Map<string, string>();
  // "p_m_weight: PARAMETER target='m.weight'"
  for (const [, placeholder = "", kind, target = ""] of text.matchAll(
    /^(\w+): (PARAMETER|BUFFER|CONSTANT_TENSOR) target='([^'\n]*)'/gm,
  )) {
    kinds.set(target, kind as SignatureKind);
    targets.set(placeholder, target);
  }
  const stored = new Map<string, SignatureKind>();
  const foldedFrom = new Map<string, readonly string[]>();
  for (const { name, metadataProps } of graph.valueInfo) {
    const kind = valueOf(metadataProps, KIND);
    if (kind === "PARAMETER" || kind === "BUFFER" || kind === "CONSTANT_TENSOR") stored.set(name, kind);
    const folded = valueOf(metadataProps, FOLDED_FROM);
    if (folded !== "" && folded.length <= MOST_LETTERS)
      foldedFrom.set(
        name,
        [...folded.matchAll(/'([^']*)'/g)].map(([, each = ""]) => each),
      );
  }
  return { kinds, targets, stored, foldedFrom };
}

/** The operands of the operation that a node was written for: `p_m_weight`, `add_6`. Empty: not said. */
export function operandsOf({ metadataProps }: NodeProto): readonly string[] {
  const text = valueOf(metadataProps, FX_NODE);
  // "%linear : [num_users=1] = call_function[target=…](args = (%x, %p_m_weight, None), kwargs = {})"
  const [, args = ""] = /\(args = (.*)$/s.exec(text.slice(0, MOST_LETTERS_OF_A_NODE)) ?? [];
  return [...new Set([...args.matchAll(/%(\w+)/g)].map(([, name = ""]) => name))];
}

function valueOf(entries: readonly StringStringEntryProto[], wanted: string): string {
  return entries.find(({ key }) => key === wanted)?.value ?? "";
}
