import { extname } from "node:path";
import { headOf, packingOf, unpackedHead } from "./byte-stream.ts";
import type { Packing } from "./byte-stream.ts";
import { guessEncoding } from "./encoding.ts";
import type { Encoding } from "./encoding.ts";
import type { FoundFile } from "./found-files.ts";
import { npyLayout, tokenLayout } from "./token-file.ts";
import type { Layout, TokenLayout } from "./token-file.ts";

/** What a file was taken for. */
export type FileKind =
  | { readonly as: "text"; readonly encoding: Encoding; readonly packing: Packing }
  | { readonly as: "jsonl" | "json"; readonly encoding: Encoding; readonly packing: Packing }
  | {
      readonly as: "csv";
      readonly separator: "," | "\t";
      readonly encoding: Encoding;
      readonly packing: Packing;
    }
  | { readonly as: "parquet" }
  | { readonly as: "tokens"; readonly layout: TokenLayout }
  | { readonly as: "nothing"; readonly why: string };

export interface KindOptions {
  readonly vocabulary: number;
  /** It was asked for by its name, so that what it is called does not count. */
  readonly isAsked: boolean;
  /** All names beside it, with their paths: an index of a token file is one of them. */
  readonly files: ReadonlyMap<string, string>;
}

const UNREAD_PACKING = "packed in a way that is not read; unpack it first (.gz and .zst are read)";

/** What is not there to be learned, by name. The base name counts, in lower case, without a packing's ending. */
const BY_NAME: readonly (readonly [RegExp, string])[] = [
  [
    /\.(safetensors|pt|pth|ckpt|onnx|onnx_data|gguf|ggml|h5|hdf5|keras|msgpack|pb|tflite|mlmodel|pkl|pickle|joblib|npz)$/,
    "weights or other arrays",
  ],
  [
    /^(pytorch_model|model|adapter_model|optimizer|scheduler|scaler|training_args|diffusion_pytorch_model|consolidated|tf_model|rng_state|random_states)[^/]*\.bin$/,
    "weights of a model",
  ],
  [
    /^(tokenizer|vocab|vocabulary|added_tokens|special_tokens_map|tokenizer_config|merges|bpe|spiece|sentencepiece)([._-](\d+k?|bpe|spm|small|base|large|merged))?\.(json|txt|model|bpe|vocab|codes)$/,
    "a tokenizer's vocabulary",
  ],
  [/\.(tiktoken|spm)$/, "a tokenizer's vocabulary"],
  [
    /^(config|generation_config|preprocessor_config|processor_config|adapter_config|model_config|dataset_info|dataset_infos|state|metadata|package|package-lock|tsconfig|chat_template|training_args|trainer_state|all_results|train_results|eval_results)\.json$|\.index\.json$/,
    "settings",
  ],
  [/\.(ya?ml|toml|ini|cfg|conf|env|properties|lock|jinja2?)$/, "settings"],
  [
    /^(readme|licen[cs]e|copying|notice|changelog|changes|contributing|citation|authors|code_of_conduct|dataset_?card)([._-][a-z0-9_-]*)?(\.(md|txt|rst|markdown|cff|html))?$/,
    "about the data, not part of it",
  ],
  [/\.(html?|xhtml|xml|svg|css|rss|atom|ipynb|mhtml)$/, "markup"],
  [/\.log$/, "a log"],
  [/\.(zip|tar|tgz|7z|rar|bz2|xz|lz4|br|txz|tbz2?)$|\.tar\.(gz|zst)$/, UNREAD_PACKING],
  [/\.(arrow|feather)$/, "Arrow; store it as parquet (for example with to_parquet)"],
  [/\.(pdf|docx?|odt|epub|rtf|pptx?|xlsx?)$/, "a document of another program; store it as text first"],
  [
    /\.(py|ipynb)c$|\.(png|jpe?g|gif|webp|bmp|ico|tiff?|mp3|wav|flac|ogg|mp4|mov|avi|mkv|exe|dll|so|dylib|class|jar|wasm|sqlite|db)$/,
    "pictures, sound or programs",
  ],
];

/** By the first bytes, whatever it is called: in hexadecimal. */
const BY_HEAD: readonly (readonly [string, string])[] = [
  ["504b0304", "packed (zip), or weights of a model; unpack it first"],
  // torch.save of old, and pickles of protocols 4 and 5.
  ["80028a0a6cfc9c46f9", "weights of a model (a pickle)"],
  ["800495", "weights of a model (a pickle)"],
  ["800595", "weights of a model (a pickle)"],
  ["80027d71", "weights of a model (a pickle)"],
  ["800263", "weights of a model (a pickle)"],
  ["47475546", "weights of a model (GGUF)"],
  ["89484446", "weights of a model (HDF5)"],
  ["255044462d", "PDF; store it as text first"],
  ["425a68", UNREAD_PACKING],
  ["fd377a585a00", UNREAD_PACKING],
  ["377abcaf", UNREAD_PACKING],
  ["52617221", UNREAD_PACKING],
  ["04224d18", UNREAD_PACKING],
  ["4152524f5731", "Arrow; store it as parquet (for example with to_parquet)"],
];
const SAFETENSORS = /^\{"(__metadata__"|[^"]{1,200}":\{"dtype")/;
/** "MMIDIDX" */
const MEGATRON_INDEX = "4d4d4944494458";
const MARKUP = /^\uFEFF?\s*(<!doctype\s+html|<html[\s>]|<\?xml\s|<svg[\s>])/i;

const SAMPLE_BYTES = 1024 * 1024;
const SPOTS = 3;
const SPOT_BYTES = 64 * 1024;

/** What a file is: by its name, then by what is in it. */
export async function kindOf(file: FoundFile, options: KindOptions): Promise<FileKind> {
  if (file.bytes === 0) return { as: "nothing", why: "empty" };
  const head = await headOf(file.path, Math.min(file.bytes, 4096));
  const packing = packingOf(head);
  const base = (file.name.split("/").pop() ?? "").toLowerCase();
  const name = packing === null ? base : base.replace(/\.(gz|gzip|zst|zstd)$/, "");
  const isTar = packing !== null && /\.(tar|tgz|tzst)$/.test(name);
  const asNamed = BY_NAME.find(([pattern]) => pattern.test(name));
  if (isTar || (asNamed !== undefined && !options.isAsked))
    return { as: "nothing", why: isTar ? "a packed folder (tar); unpack it first" : (asNamed?.[1] ?? "") };
  if (packing === null) {
    const raw = await rawKind(file, name, head, options);
    if (raw !== null) return raw;
  }
  return await textKind(file, name, packing, options);
}

async function rawKind(
  file: FoundFile,
  name: string,
  head: Buffer,
  options: KindOptions,
): Promise<FileKind | null> {
  if (head.subarray(0, 4).toString("latin1") === "PAR1") return { as: "parquet" };
  const ending = extname(name);
  if (ending === ".parquet")
    return { as: "nothing", why: "no parquet file, though it is called so; copy it again" };
  const first = head.subarray(0, 16).toString("hex");
  const asHead = BY_HEAD.find(([prefix]) => first.startsWith(prefix));
  if (asHead !== undefined) return { as: "nothing", why: asHead[1] };
  if (SAFETENSORS.test(head.subarray(8, 256).toString("latin1")))
    return { as: "nothing", why: "weights of a model (safetensors)" };
  if (ending === ".npy") return tokenKind(await npyLayout(file.path, file.bytes));
  if (ending === ".idx" && first.startsWith(MEGATRON_INDEX))
    return { as: "nothing", why: "index of a token file" };
  if (ending !== ".bin" && ending !== ".u16" && ending !== ".u32") return null;
  const index = ending === ".bin" ? (options.files.get(file.name.replace(/\.bin$/i, ".idx")) ?? null) : null;
  const { vocabulary } = options;
  return tokenKind(await tokenLayout(file.path, file.bytes, ending, { vocabulary, index }));
}

function tokenKind(layout: Layout): FileKind {
  return "refused" in layout ? { as: "nothing", why: layout.refused } : { as: "tokens", layout };
}

async function textKind(
  file: FoundFile,
  name: string,
  packing: Packing,
  { isAsked }: KindOptions,
): Promise<FileKind> {
  const head = await unpackedHead(file.path, packing, SAMPLE_BYTES);
  if (head.length === 0)
    return { as: "nothing", why: packing === null ? "empty" : `damaged, or empty (${packing})` };
  const guess = guessEncoding(packing === null ? await spots(file, head) : head);
  if (guess.encoding === null) return { as: "nothing", why: guess.why };
  const { encoding } = guess;
  const beginning = new TextDecoder(encoding).decode(head.subarray(0, 512));
  if (!isAsked && MARKUP.test(beginning)) return { as: "nothing", why: "markup" };
  const ending = extname(name);
  const common = { encoding, packing };
  if (ending === ".jsonl" || ending === ".ndjson") return { as: "jsonl", ...common };
  if (ending === ".json") return { as: "json", ...common };
  if (ending === ".csv") return { as: "csv", separator: separatorOf(beginning), ...common };
  if (ending === ".tsv" || ending === ".tab") return { as: "csv", separator: "\t", ...common };
  return { as: "text", ...common };
}

function separatorOf(beginning: string): "," | "\t" {
  const [first = ""] = beginning.split("\n");
  return first.includes("\t") && !first.includes(",") ? "\t" : ",";
}

/** The beginning, and pieces further on: what is a letter there may not have come before. */
async function spots(file: FoundFile, head: Buffer): Promise<Buffer> {
  if (file.bytes <= head.length || (guessEncoding(head).encoding ?? "").startsWith("utf-16")) return head;
  const parts = [trimmed(head)];
  for (let i = 1; i <= SPOTS; i++) {
    const from = Math.floor(((file.bytes - SPOT_BYTES) * i) / SPOTS);
    parts.push(trimmed(await headOf(file.path, SPOT_BYTES, Math.max(head.length, from))));
  }
  return Buffer.concat(parts);
}

/** Without letters that the piece's ends cut in two. */
function trimmed(piece: Buffer): Buffer {
  let from = 0;
  let to = piece.length;
  while (from < 4 && (piece[from] ?? 0) >= 0x80) from += 1;
  while (to > piece.length - 4 && (piece[to - 1] ?? 0) >= 0x80) to -= 1;
  return piece.subarray(from, Math.max(from, to));
}
